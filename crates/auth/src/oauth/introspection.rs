//! Asking the issuer what a token is (RFC 7662), without the asking.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::policy::TokenError;

/// The body of the request (RFC 7662 section 2.1).
pub fn request(token: &str) -> String {
    format!("token={}&token_type_hint=access_token", encode(token))
}

/// The value of the Authorization header: HTTP Basic, name and secret encoded as forms are before (RFC 6749 section 2.3.1).
pub fn authorization(client_id: &str, client_secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", encode(client_id), encode(client_secret))))
}

/// The claims of an active token (RFC 7662 section 2.2).
///
/// # Errors
/// `Invalid` where the token is not active, `Unavailable` where that is no answer.
pub fn claims(response: &[u8]) -> Result<Map<String, Value>, TokenError> {
    let claims: Map<String, Value> = serde_json::from_slice(response).map_err(|_| TokenError::Unavailable)?;
    match claims.get("active").and_then(Value::as_bool) {
        Some(true) => Ok(claims),
        Some(false) => Err(TokenError::Invalid("the issuer does not know it, or no longer")),
        None => Err(TokenError::Unavailable),
    }
}

/// `application/x-www-form-urlencoded`, of octets that are letters, digits and `-._` alone.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(char::from(octet)),
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_cannot_be_taken_for_something_else() {
        assert_eq!(request("a+b/c=&x"), "token=a%2Bb%2Fc%3D%26x&token_type_hint=access_token");
        assert_eq!(authorization("a:b", "c d"), format!("Basic {}", BASE64_STANDARD.encode("a%3Ab:c%20d")));
    }

    #[test]
    fn active_is_a_word_that_has_to_be_said() {
        assert!(claims(br#"{"active":true,"sub":"x"}"#).is_ok());
        assert!(matches!(claims(br#"{"active":false}"#), Err(TokenError::Invalid(_))));
        for wrong in [&b""[..], b"{}", b"[]", br#"{"active":"true"}"#, b"<html>"] {
            assert_eq!(claims(wrong), Err(TokenError::Unavailable));
        }
    }
}
