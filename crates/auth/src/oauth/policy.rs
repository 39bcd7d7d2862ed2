//! From the claims of a token to a name, as the operator wants it.

use serde_json::{Map, Value};

use crate::bearer::Hint;

/// How much the clocks of issuer and node may differ, in seconds.
pub const LEEWAY_SECONDS: u64 = 60;
/// The longest name that is taken from a token, in octets.
const LONGEST_NAME: usize = 1024;

/// What a token has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who has to have issued it (`iss`).
    pub issuer: String,
    /// For whom (`aud`).
    pub audience: Option<String>,
    /// What it has to allow (`scope`): all of these.
    pub scopes: Vec<String>,
    /// Which claim is the name of the account.
    pub username_claim: String,
    /// Where it is written how to get a token; told to clients that are refused.
    pub openid_configuration: Option<String>,
}

/// Whose token it is, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The name of the account.
    pub name: String,
    /// Until when, in seconds since 1970; `None` where the issuer did not say.
    pub expires: Option<u64>,
}

/// Why a token is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none, or says something that is not wanted.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// It held once.
    #[error("the token has expired")]
    Expired,
    /// It does not allow reading mail.
    #[error("the token lacks a scope")]
    Scope,
    /// Nobody could be asked.
    #[error("the issuer of tokens does not answer")]
    Unavailable,
}

/// Where claims come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A signed token: `iss` and `exp` have to be there (RFC 9068 section 4).
    Signed,
    /// The issuer itself, which need not repeat who it is, nor say when the token ends (RFC 7662 section 2.2).
    Introspected,
}

impl Policy {
    /// What a client is told that was refused.
    pub fn hint(&self) -> Hint {
        let scope = (!self.scopes.is_empty()).then(|| self.scopes.join(" "));
        Hint { scope, openid_configuration: self.openid_configuration.clone() }
    }

    /// Whose token it is that has these claims, at this time in seconds since 1970.
    ///
    /// # Errors
    /// The first thing that is not as it has to be.
    pub fn judge(&self, claims: &Map<String, Value>, source: Source, now: u64) -> Result<Bearer, TokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let may_lack = source == Source::Introspected;
        match claims.get("iss") {
            None if may_lack => {}
            _ if text("iss") == Some(self.issuer.as_str()) => {}
            _ => return Err(TokenError::Invalid("it has another issuer")),
        }
        if self.audience.as_ref().is_some_and(|audience| !names(claims.get("aud"), audience)) {
            return Err(TokenError::Invalid("it is for another audience"));
        }
        let expires = moment(claims, "exp")?;
        match expires {
            None if !may_lack => return Err(TokenError::Invalid("it does not say when it expires")),
            Some(expires) if expires.saturating_add(LEEWAY_SECONDS) <= now => {
                return Err(TokenError::Expired);
            }
            _ => {}
        }
        if moment(claims, "nbf")?.is_some_and(|begins| begins > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(TokenError::Invalid("it does not hold yet"));
        }
        let has = |scope: &String| names(claims.get("scope"), scope) || names(claims.get("scp"), scope);
        if !self.scopes.iter().all(has) {
            return Err(TokenError::Scope);
        }
        let name = text(&self.username_claim).filter(|name| is_name(name));
        let name = name.ok_or(TokenError::Invalid("it does not say whose it is"))?;
        Ok(Bearer { name: name.to_owned(), expires })
    }
}

/// Whether a claim names this: as text with words (RFC 8693 section 4.2), or as an array of text. An audience is text of one word.
fn names(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::String(text)) => text == wanted || text.split(' ').any(|word| word == wanted),
        Some(Value::Array(several)) => several.iter().any(|value| value.as_str() == Some(wanted)),
        _ => false,
    }
}

/// `NumericDate` (RFC 7519 section 2): seconds since 1970, perhaps with a fraction.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds =
                value.as_u64().or_else(|| value.as_f64().filter(|at| *at >= 0.0).map(|at| at as u64));
            seconds.map(Some).ok_or(TokenError::Invalid("it has a time that is none"))
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn policy() -> Policy {
        Policy {
            issuer: "https://id.example.com".to_owned(),
            audience: Some("peerpost".to_owned()),
            scopes: vec!["mail".to_owned(), "offline_access".to_owned()],
            username_claim: "email".to_owned(),
            openid_configuration: None,
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://id.example.com", "aud": ["other", "peerpost"], "exp": NOW + 300, "nbf": NOW - 1,
            "scope": "openid mail offline_access", "email": "alice@example.com",
        })
    }

    fn judged(claims: &Value, source: Source) -> Result<String, TokenError> {
        policy().judge(claims.as_object().expect("an object"), source, NOW).map(|bearer| bearer.name)
    }

    #[test]
    fn a_good_token_tells_a_name() {
        assert_eq!(judged(&good(), Source::Signed), Ok("alice@example.com".to_owned()));
        let mut claims = good();
        claims["aud"] = "peerpost".into();
        claims["scope"] = Value::Null;
        claims["scp"] = json!(["mail", "offline_access"]);
        assert!(judged(&claims, Source::Signed).is_ok());
    }

    #[test]
    fn each_claim_is_wanted() {
        let with = |name: &str, value: Value, source| {
            let mut claims = good();
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value,
            }
            judged(&claims, source)
        };
        for (name, value) in [
            ("iss", Value::Null),
            ("iss", "https://id.example.com/".into()),
            ("iss", json!(["https://id.example.com"])),
            ("aud", Value::Null),
            ("aud", "peerpost2".into()),
            ("aud", json!([1])),
            ("exp", Value::Null),
            ("exp", "tomorrow".into()),
            ("exp", (-1).into()),
            ("nbf", (NOW + 61).into()),
            ("email", Value::Null),
            ("email", "".into()),
            ("email", "a\nb".into()),
            ("email", 7.into()),
        ] {
            let judged = with(name, value.clone(), Source::Signed);
            assert!(matches!(judged, Err(TokenError::Invalid(_))), "{name} {value}: {judged:?}");
        }
        assert_eq!(with("exp", (NOW - 60).into(), Source::Signed), Err(TokenError::Expired));
        assert!(with("exp", (NOW - 59).into(), Source::Signed).is_ok(), "clocks differ");
        assert!(with("exp", (NOW as f64 + 0.5).into(), Source::Signed).is_ok());
        assert_eq!(with("scope", "mail".into(), Source::Signed), Err(TokenError::Scope));
        assert_eq!(with("scope", "mailoffline_access".into(), Source::Signed), Err(TokenError::Scope));
        assert!(with("iss", Value::Null, Source::Introspected).is_ok());
        assert!(with("exp", Value::Null, Source::Introspected).is_ok());
        assert!(with("iss", "https://other".into(), Source::Introspected).is_err());
        assert!(with("aud", Value::Null, Source::Introspected).is_err());
    }
}
