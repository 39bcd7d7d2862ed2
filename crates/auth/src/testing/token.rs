//! Tokens as an issuer signs them (RFC 7515), by aws-lc-rs and not by the library that reads them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key of an issuer.
pub struct Signer {
    id: String,
    key: Key,
}

enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// A new key for ES256.
    pub fn es256(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Signer { id: id.to_owned(), key: Key::Es256(key) }
    }

    /// A new key for EdDSA.
    pub fn eddsa(id: &str) -> Self {
        Signer { id: id.to_owned(), key: Key::EdDsa(Ed25519KeyPair::generate().expect("a key")) }
    }

    /// A new key for RS256.
    pub fn rs256(id: &str) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Signer { id: id.to_owned(), key: Key::Rs256(Box::new(key)) }
    }

    /// Its public half (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Es256(key) => {
                // An uncompressed point: 0x04, x, y.
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": encode(x), "y": encode(y) })
            }
            Key::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": encode(key.public_key().as_ref()) })
            }
            Key::Rs256(key) => {
                let (modulus, exponent) = integers(key.public_key().as_ref());
                json!({ "kty": "RSA", "alg": "RS256", "n": encode(modulus), "e": encode(exponent) })
            }
        };
        jwk["kid"] = self.id.as_str().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let algorithm = match &self.key {
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
            Key::Rs256(_) => "RS256",
        };
        self.sign_with(&json!({ "alg": algorithm, "typ": "at+jwt", "kid": self.id }), claims)
    }

    /// Signs claims under a header that may lie.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Es256(key) => key.sign(&random, message.as_bytes()).expect("signed").as_ref().to_vec(),
            Key::EdDsa(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("signed");
                signature
            }
        };
        format!("{message}.{}", encode(signature))
    }
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` of 2,048 bits, without the zero before the modulus.
fn integers(der: &[u8]) -> (&[u8], &[u8]) {
    // 30 82 xx xx, 02 82 01 01 00, 256 octets, 02 03, 3 octets.
    (&der[9..265], &der[267..])
}
