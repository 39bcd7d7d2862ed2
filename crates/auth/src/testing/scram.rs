//! The client's side of SCRAM-SHA-256.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A client of SCRAM-SHA-256 or SCRAM-SHA-256-PLUS.
pub struct ScramClient {
    gs2_header: String,
    bound: Vec<u8>,
    password: String,
    bare: String,
    server_key_signs: Option<[u8; 32]>,
}

impl ScramClient {
    /// A client that begins with this header (`n,,`, `y,,`, `p=tls-exporter,,`), on a channel with these octets.
    pub fn new(gs2_header: &str, bound: &[u8], name: &str, password: &str) -> Self {
        ScramClient {
            gs2_header: gs2_header.to_owned(),
            bound: bound.to_vec(),
            password: password.to_owned(),
            bare: format!("n={},r=fyko+d2lbbFgONRv9qkxdawL", name.replace('=', "=3D").replace(',', "=2C")),
            server_key_signs: None,
        }
    }

    /// What it says first, in base64.
    pub fn first(&self) -> String {
        BASE64_STANDARD.encode(format!("{}{}", self.gs2_header, self.bare))
    }

    /// Its answer to the server's first message; both in base64.
    pub fn last(&mut self, challenge: &str) -> String {
        let challenge = BASE64_STANDARD.decode(challenge.trim()).expect("base64");
        let challenge = String::from_utf8(challenge).expect("text");
        let field = |name: &str| {
            let found = challenge.split(',').find_map(|part| part.strip_prefix(name));
            found.unwrap_or_else(|| panic!("{name} in {challenge}"))
        };
        assert!(field("r=").starts_with("fyko+d2lbbFgONRv9qkxdawL"), "the nonce goes on: {challenge}");
        let salt = BASE64_STANDARD.decode(field("s=")).expect("base64");
        let rounds: NonZeroU32 = field("i=").parse().expect("a number");
        let channel = BASE64_STANDARD.encode([self.gs2_header.as_bytes(), &self.bound].concat());
        let without_proof = format!("c={channel},r={}", field("r="));
        let auth_message = format!("{},{challenge},{without_proof}", self.bare);
        let (proof, signature) = scram_proof(&self.password, &salt, rounds, &auth_message);
        self.server_key_signs = Some(signature);
        BASE64_STANDARD.encode(format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)))
    }

    /// Whether the server's last message, in base64, shows that it knows the password.
    pub fn is_convinced_by(&self, verifier: &str) -> bool {
        let signature = self.server_key_signs.expect("the server has spoken");
        let expected = format!("v={}", BASE64_STANDARD.encode(signature));
        BASE64_STANDARD.decode(verifier.trim()) == Ok(expected.into_bytes())
    }
}

/// The proof that a client sends, and the signature that a server answers which knows the password (RFC 5802 section 3).
pub fn scram_proof(
    password: &str,
    salt: &[u8],
    rounds: NonZeroU32,
    auth_message: &str,
) -> (Vec<u8>, [u8; 32]) {
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let signature = sign(stored_key.as_ref(), auth_message.as_bytes());
    let proof = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    (proof, sign(&sign(&salted, b"Server Key"), auth_message.as_bytes()))
}

fn sign(key: &[u8], text: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    tag.as_ref().try_into().expect("32 octets")
}
