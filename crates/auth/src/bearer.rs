//! The messages of OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's, from before it).

use serde_json::json;

use crate::exchange::{Failure, Secret};
use crate::mechanism::Mechanism;

const MALFORMED: Failure = Failure::Malformed("The response is not one of this mechanism");
/// What the messages are divided by (RFC 7628 section 3.1).
const KVSEP: char = '\u{1}';

/// A token, and whose it is said to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) token: Secret,
    pub(crate) name: Option<String>,
}

impl Bearer {
    pub(crate) fn parse(mechanism: Mechanism, message: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        match mechanism {
            Mechanism::XOAuth2 => xoauth2(text),
            _ => oauthbearer(text),
        }
        .ok_or(MALFORMED)
    }
}

/// `client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep` (RFC 7628 section 3.1). Host and port are told for a signature over
/// them, which bearer tokens have not. Channel binding is none of this mechanism's (section 3.1: the flag is `n` or `y`).
fn oauthbearer(text: &str) -> Option<Bearer> {
    let (gs2_header, pairs) = text.split_once(KVSEP)?;
    let (flag, rest) = gs2_header.split_once(',')?;
    let acting_for = rest.strip_suffix(',')?;
    matches!(flag, "n" | "y").then_some(())?;
    let name = match acting_for {
        "" => None,
        other => Some(crate::scram::saslname(other.strip_prefix("a=")?)?),
    };
    Some(Bearer { token: token(pairs.strip_suffix(KVSEP)?, "auth")?, name })
}

/// `user=` name ^A `auth=Bearer ` token ^A ^A
fn xoauth2(text: &str) -> Option<Bearer> {
    let (user, pairs) = text.split_once(KVSEP)?;
    let name = user.strip_prefix("user=").filter(|name| !name.is_empty())?;
    Some(Bearer { token: token(pairs.strip_suffix(KVSEP)?, "auth")?, name: Some(name.to_owned()) })
}

/// The token among `kvpair = key "=" value kvsep`: `auth` is the value of an Authorization header (RFC 6750 section 2.1).
fn token(pairs: &str, key: &str) -> Option<Secret> {
    let mut found = None;
    for pair in pairs.strip_suffix(KVSEP)?.split(KVSEP) {
        let (name, value) = pair.split_once('=')?;
        if name == key && found.replace(value).is_some() {
            return None;
        }
    }
    let (scheme, token) = found?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    // b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    let fits = scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty() && token.bytes().all(plain);
    fits.then(|| Secret(token.to_owned()))
}

/// What the issuer wants, as clients are told that were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// The scopes that a token has to have.
    pub scope: Option<String>,
    /// Where it is written how to get a token (RFC 8414, OpenID Connect Discovery).
    pub openid_configuration: Option<String>,
}

/// The error that a client is told as a challenge (RFC 7628 section 3.2.2, and the same in the words of XOAUTH2).
pub(crate) fn refusal(mechanism: Mechanism, status: &str, hint: &Hint) -> Vec<u8> {
    let mut told = match mechanism {
        Mechanism::XOAuth2 => {
            let status = if status == "insufficient_scope" { "403" } else { "401" };
            json!({ "status": status, "schemes": "bearer" })
        }
        _ => json!({ "status": status }),
    };
    if let Some(scope) = &hint.scope {
        told["scope"] = scope.as_str().into();
    }
    if let Some(place) = hint.openid_configuration.as_ref().filter(|_| mechanism != Mechanism::XOAuth2) {
        told["openid-configuration"] = place.as_str().into();
    }
    told.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oauth(text: &str) -> Option<(String, Option<String>)> {
        Bearer::parse(Mechanism::OAuthBearer, text.as_bytes())
            .ok()
            .map(|bearer| (bearer.token.0, bearer.name))
    }

    /// RFC 7628 section 4.1.
    #[test]
    fn the_example_of_the_rfc() {
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let said = format!(
            "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer {token}\u{1}\u{1}"
        );
        assert_eq!(oauth(&said), Some((token.to_owned(), Some("user@example.com".to_owned()))));
        let said = said.replace("n,a=user@example.com,", "n,,").replace("Bearer", "bearer");
        assert_eq!(oauth(&said), Some((token.to_owned(), None)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for wrong in [
            "",
            "\u{1}",
            "n,,",
            "n,,\u{1}",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}",
            "n,,\u{1}auth=Bearer x y\u{1}\u{1}",
            "p=tls-exporter,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,a=,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,b=c,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}host\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
        ] {
            assert_eq!(oauth(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn xoauth2_names_the_user() {
        let said = |text: &str| Bearer::parse(Mechanism::XOAuth2, text.as_bytes()).ok();
        let bearer = said(
            "user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}",
        );
        assert_eq!(bearer.and_then(|bearer| bearer.name), Some("someuser@example.com".to_owned()));
        for wrong in
            ["user=\u{1}auth=Bearer x\u{1}\u{1}", "auth=Bearer x\u{1}\u{1}", "user=a\u{1}auth=Bearer x\u{1}"]
        {
            assert_eq!(said(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wanted() {
        let hint =
            Hint { scope: Some("mail".to_owned()), openid_configuration: Some("https://id/x".to_owned()) };
        let text =
            |mechanism, hint| String::from_utf8(refusal(mechanism, "invalid_token", hint)).expect("text");
        assert_eq!(
            text(Mechanism::OAuthBearer, &hint),
            r#"{"openid-configuration":"https://id/x","scope":"mail","status":"invalid_token"}"#
        );
        assert_eq!(text(Mechanism::XOAuth2, &hint), r#"{"schemes":"bearer","scope":"mail","status":"401"}"#);
        assert_eq!(text(Mechanism::OAuthBearer, &Hint::default()), r#"{"status":"invalid_token"}"#);
    }

    proptest! {
        #[test]
        fn whatever_a_client_says(octets in prop::collection::vec(any::<u8>(), 0..80), text in "[n,a=\u{1}uthBer x]{0,60}") {
            for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
                let _ = Bearer::parse(mechanism, &octets);
                let _ = Bearer::parse(mechanism, text.as_bytes());
            }
        }
    }
}
