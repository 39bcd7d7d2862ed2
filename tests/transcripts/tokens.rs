//! Tokens of an issuer whose key the server has: signed ones (RFC 9068), for the cases of RFC 7628.

#![allow(clippy::disallowed_methods, reason = "tokens expire")]

use std::time::{SystemTime, UNIX_EPOCH};

use auth::testing::Signer;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::matching::Names;
use super::server::Account;

pub const ISSUER: &str = "https://id.example.com";
pub const AUDIENCE: &str = "mail.example.com";
pub const SCOPE: &str = "mail";
/// The claim that names the account.
pub const CLAIM: &str = "email";
/// What the key is called.
pub const KEY: &str = "one";
/// How long a token holds, in seconds; an expired one is past it by as much.
const LIFE: u64 = 3_600;

/// The head of `SubjectPublicKeyInfo` of a key on the curve P-256 (RFC 5480): the point follows.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// The issuer, and somebody who would like to be one.
pub struct Tokens {
    signer: Signer,
    stranger: Signer,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { signer: Signer::es256(KEY), stranger: Signer::es256(KEY) }
    }
}

impl Tokens {
    /// The key as a JWK Set.
    pub fn keys(&self) -> String {
        json!({ "keys": [self.signer.jwk()] }).to_string()
    }

    /// The key as OpenSSL writes it.
    pub fn pem(&self) -> String {
        let jwk = self.signer.jwk();
        let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let der = [P256.to_vec(), coordinate("x"), coordinate("y")].concat();
        let text = BASE64_STANDARD.encode(der);
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// Those of an account, by the names that cases have for them.
    pub fn names(&self, account: &Account) -> Names {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let good = json!({
            "iss": ISSUER, "aud": AUDIENCE, "scope": format!("openid {SCOPE}"), "sub": account.name, CLAIM: account.name,
            "iat": now - LIFE - 1, "nbf": now - LIFE - 1, "exp": now + LIFE,
        });
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            sign(&self.signer, &claims)
        };
        let names = [
            ("token", sign(&self.signer, &good)),
            ("token.expired", with("exp", (now - LIFE).into())),
            ("token.audience", with("aud", "calendar.example.com".into())),
            ("token.issuer", with("iss", "https://id.example.net".into())),
            ("token.scope", with("scope", "openid".into())),
            ("token.nobody", with(CLAIM, "nobody-at-all".into())),
            ("token.forged", sign(&self.stranger, &good)),
        ];
        names.map(|(name, token)| (name.to_owned(), token)).into()
    }
}

/// Some servers want the type of RFC 7519 and not that of RFC 9068.
fn sign(signer: &Signer, claims: &Value) -> String {
    signer.sign_with(&json!({ "alg": "ES256", "typ": "JWT", "kid": KEY }), claims)
}
