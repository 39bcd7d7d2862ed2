//! Signed tokens (RFC 7519) and the keys they are signed with (RFC 7517). The one place that names `jsonwebtoken`, of which only
//! the signatures are used: it would read the clock itself.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::policy::TokenError;

/// The most keys of an issuer.
const MOST_KEYS: usize = 100;

/// The keys of an issuer.
pub struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    family: Family,
    key: DecodingKey,
}

/// What a key can have signed. A key never takes signatures of another family: the public key of RSA is no secret of HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Rsa,
    Elliptic,
    Edwards,
}

impl KeySet {
    /// Reads a JWK Set; keys of kinds that are not known here, and those for encryption, are left out. `None` where it is none, or
    /// has no key that could be used.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let set: BTreeMap<String, Value> = serde_json::from_slice(octets).ok()?;
        let keys = set.get("keys")?.as_array()?.iter().take(MOST_KEYS);
        let keys: Vec<Key> =
            keys.filter_map(|key| usable(serde_json::from_value(key.clone()).ok()?)).collect();
        (!keys.is_empty()).then_some(KeySet(keys))
    }

    /// The claims of a token.
    ///
    /// # Errors
    /// `None` where it names a key that is not among these: the issuer may have new ones.
    pub fn claims(&self, token: &str) -> Option<Result<Map<String, Value>, TokenError>> {
        let Ok(header) = jsonwebtoken::decode_header(token) else {
            return Some(Err(TokenError::Invalid("it is no signed token")));
        };
        let Some(family) = family(header.alg) else {
            return Some(Err(TokenError::Invalid("its signature is not one of RSA, ECDSA or EdDSA")));
        };
        let mut candidates = self.0.iter().filter(|key| key.family == family);
        let key = match &header.kid {
            Some(id) => candidates.find(|key| key.id.as_ref() == Some(id))?,
            // A token that names no key: there has to be one alone.
            None => candidates.next().filter(|_| candidates.next().is_none())?,
        };
        let mut validation = Validation::new(header.alg);
        // Claims are judged elsewhere, at a time that is handed in.
        validation.set_required_spec_claims::<&str>(&[]);
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation);
        Some(decoded.map(|token| token.claims).map_err(|_| TokenError::Invalid("its signature is wrong")))
    }
}

fn usable(key: Jwk) -> Option<Key> {
    if key.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let family = match key.algorithm {
        AlgorithmParameters::RSA(_) => Family::Rsa,
        AlgorithmParameters::EllipticCurve(_) => Family::Elliptic,
        AlgorithmParameters::OctetKeyPair(_) => Family::Edwards,
        _ => return None,
    };
    Some(Key { id: key.common.key_id.clone(), family, key: DecodingKey::from_jwk(&key).ok()? })
}

fn family(algorithm: Algorithm) -> Option<Family> {
    match algorithm {
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Some(Family::Rsa),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Some(Family::Rsa),
        Algorithm::ES256 | Algorithm::ES384 => Some(Family::Elliptic),
        Algorithm::EdDSA => Some(Family::Edwards),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::Signer;

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("keys")
    }

    fn is_refused(keys: &KeySet, token: &str) -> bool {
        matches!(keys.claims(token), Some(Err(TokenError::Invalid(_))))
    }

    #[test]
    fn every_kind_of_key_signs_and_no_other_key_does() {
        let signers = [Signer::es256("one"), Signer::eddsa("two"), Signer::rs256("three")];
        let keys = set(&signers.iter().map(Signer::jwk).collect::<Vec<_>>());
        for signer in &signers {
            let token = signer.sign(&json!({ "sub": "alice" }));
            let claims = keys.claims(&token).expect("a known key").expect("a good signature");
            assert_eq!(claims["sub"], "alice");
            let (message, signature) = token.rsplit_once('.').expect("three parts");
            let (header, _) = message.split_once('.').expect("three parts");
            let other = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"mallory"}"#);
            assert!(is_refused(&keys, &format!("{header}.{other}.{signature}")));
            assert!(is_refused(&keys, &format!("{message}.")));
        }
        assert!(is_refused(&keys, &Signer::es256("one").sign(&json!({ "sub": "alice" }))));
        assert!(
            keys.claims(&Signer::es256("four").sign(&json!({}))).is_none(),
            "the issuer may have another key"
        );
    }

    /// RFC 8725 section 2.1: `none`, and a public key taken for the secret of HMAC.
    #[test]
    fn a_token_cannot_choose_how_it_is_checked() {
        let signer = Signer::rs256("one");
        let keys = set(&[signer.jwk()]);
        let claims = json!({ "sub": "alice" });
        for algorithm in ["none", "None", "HS256", "ES256K", "RS1"] {
            let token = signer.sign_with(&json!({ "alg": algorithm, "kid": "one" }), &claims);
            assert!(is_refused(&keys, &token), "{algorithm}");
        }
        // The right key, of another family.
        let token = signer.sign_with(&json!({ "alg": "ES256", "kid": "one" }), &claims);
        assert!(keys.claims(&token).is_none());
        let token = signer.sign_with(&json!({ "alg": "RS512", "kid": "one" }), &claims);
        assert!(is_refused(&keys, &token), "it was signed by RS256");
    }

    #[test]
    fn a_token_that_names_no_key_fits_where_one_alone_could_be_meant() {
        let (one, two, other) = (Signer::es256("one"), Signer::es256("two"), Signer::eddsa("three"));
        let token = one.sign_with(&json!({ "alg": "ES256" }), &json!({ "sub": "alice" }));
        assert!(set(&[one.jwk(), other.jwk()]).claims(&token).is_some_and(|claims| claims.is_ok()));
        assert!(set(&[one.jwk(), two.jwk()]).claims(&token).is_none());
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out() {
        let (signer, mut for_encryption) = (Signer::es256("one"), Signer::es256("two").jwk());
        for_encryption["use"] = "enc".into();
        let odd =
            [json!({ "kty": "AKP", "alg": "ML-DSA-65" }), json!({ "kty": "oct", "k": "AAAA" }), json!(7)];
        let keys = set(&[&[for_encryption.clone()], &odd[..], &[signer.jwk()]].concat());
        assert_eq!(keys.0.len(), 1);
        for nothing in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
            assert!(KeySet::parse(nothing.as_bytes()).is_none(), "{nothing}");
        }
        assert!(KeySet::parse(json!({ "keys": [for_encryption] }).to_string().as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn whatever_the_token_is(token in "[A-Za-z0-9_.-]{0,200}", octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let keys = set(&[Signer::eddsa("one").jwk()]);
            prop_assert!(keys.claims(&token).is_none_or(|claims| claims.is_err()));
            let _ = KeySet::parse(&octets);
        }
    }
}
