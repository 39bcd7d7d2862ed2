//! What SCRAM-SHA-256 keeps of a password, and the cryptography over it (RFC 5802 section 3, RFC 7677). The messages of the
//! exchange are no business of this file.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};

/// The fewest rounds of PBKDF2 (RFC 7677 section 4).
pub const LEAST_ITERATIONS: u32 = 4_096;
/// The most rounds: a second or two of a phone.
pub const MOST_ITERATIONS: u32 = 1_000_000;
/// The scheme, as RFC 5803 section 3 names it.
const SCHEME: &str = "SCRAM-SHA-256$";

/// What a server needs to know of a password (RFC 5802 section 3). Whoever has it can pass for the server, and try passwords,
/// but not log in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ScramKeys {
    /// The salt, which every client is told.
    pub salt: [u8; 16],
    /// Rounds of PBKDF2, which every client is told.
    pub iterations: u32,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl ScramKeys {
    /// Keys of a prepared password; none where the rounds are out of bounds.
    pub fn derive(password: &str, salt: [u8; 16], iterations: u32) -> Option<Self> {
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return None;
        }
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(iterations)?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let stored_key = sha256(&hmac(&salted, b"Client Key"));
        Some(ScramKeys { salt, iterations, stored_key, server_key: hmac(&salted, b"Server Key") })
    }

    /// Keys that no password has, and that are the same at every node for one name: whoever asks for an account that is not
    /// there, here or at two nodes, once or twice, is answered as if it were.
    pub fn decoy(secret: &[u8], name: &str, iterations: u32) -> Self {
        let key = blake3::derive_key("peerpost SCRAM decoy", secret);
        let mut octets = blake3::Hasher::new_keyed(&key);
        octets.update(name.to_ascii_lowercase().as_bytes());
        let (mut salt, mut stored_key, mut server_key) = ([0; 16], [0; 32], [0; 32]);
        let mut octets = octets.finalize_xof();
        octets.fill(&mut salt);
        octets.fill(&mut stored_key);
        octets.fill(&mut server_key);
        ScramKeys { salt, iterations, stored_key, server_key }
    }

    /// Whether the proof is that of somebody who knows the password: `ClientProof` XOR `ClientSignature` has to be the client's
    /// key, whose hash is kept. Takes as long for a wrong proof as for a right one.
    pub fn accepts(&self, auth_message: &[u8], proof: &[u8; 32]) -> bool {
        let signature = hmac(&self.stored_key, auth_message);
        let mut client_key = *proof;
        client_key.iter_mut().zip(signature).for_each(|(octet, other)| *octet ^= other);
        constant_time::verify_slices_are_equal(&sha256(&client_key), &self.stored_key).is_ok()
    }

    /// `ServerSignature`, by which the client knows that the server knows its password.
    pub fn server_signature(&self, auth_message: &[u8]) -> [u8; 32] {
        hmac(&self.server_key, auth_message)
    }

    /// Reads what `Display` wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix(SCHEME)?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok()?;
        (LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations).then_some(())?;
        Some(ScramKeys {
            salt: octets(salt)?,
            iterations,
            stored_key: octets(stored_key)?,
            server_key: octets(server_key)?,
        })
    }
}

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, octets in base64 (RFC 5803 section 3).
impl fmt::Display for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScramKeys { salt, iterations, stored_key, server_key } = self;
        let (salt, stored_key, server_key) = (base64(salt), base64(stored_key), base64(server_key));
        write!(f, "{SCHEME}{iterations}:{salt}${stored_key}:{server_key}")
    }
}

/// Keys are not for logs.
impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(..)")
    }
}

/// The salt of SCRAM that goes with the salt of a password's hash, without telling it.
pub(super) fn salt(secret: &[u8; 16]) -> [u8; 16] {
    let mut salt = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key("peerpost SCRAM salt");
    hasher.update(secret).finalize_xof().fill(&mut salt);
    salt
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    fixed(tag.as_ref())
}

fn sha256(message: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, message).as_ref())
}

/// SHA-256 gives 32 octets.
fn fixed(octets: &[u8]) -> [u8; 32] {
    octets.try_into().unwrap_or([0; 32])
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(octets)
}

fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3: the proof of the password "pencil", and the server's signature.
    #[test]
    fn the_example_of_the_rfc() {
        let salt = octets("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt");
        let keys = ScramKeys::derive("pencil", salt, 4096).expect("keys");
        let auth_message = concat!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        )
        .as_bytes();
        let proof: [u8; 32] = octets("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("a proof");
        assert!(keys.accepts(auth_message, &proof));
        assert_eq!(
            base64(&keys.server_signature(auth_message)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        let mut wrong = proof;
        wrong[31] ^= 1;
        assert!(!keys.accepts(auth_message, &wrong) && !keys.accepts(b"another exchange", &proof));
    }

    #[test]
    fn keys_are_written_and_read_and_not_shown() {
        let keys = ScramKeys::derive("pencil", [3; 16], 4096).expect("keys");
        let text = keys.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:AwMDAwMDAwMDAwMDAwMDAw==$"), "{text}");
        assert_eq!(ScramKeys::parse(&text), Some(keys));
        for wrong in [
            "",
            "SCRAM-SHA-1$4096:AA==$AA==:AA==",
            "SCRAM-SHA-256$4096:AA==$AA==:AA==",
            &text.replace("4096", "4095"),
            &text.replace("4096", "1000001"),
            &text.replace("4096", "-1"),
            text.get(..text.len() - 2).expect("longer"),
        ] {
            assert_eq!(ScramKeys::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), "ScramKeys(..)");
        assert_eq!(ScramKeys::derive("pencil", [3; 16], 4095), None);
    }

    /// A salt that changed from one attempt to the next, or from one node to another, would tell which accounts there are.
    #[test]
    fn a_decoy_is_stable() {
        let one = ScramKeys::decoy(&[1; 16], "nobody", 4096);
        assert!(one == ScramKeys::decoy(&[1; 16], "Nobody", 4096));
        assert_ne!(one.salt, ScramKeys::decoy(&[1; 16], "nobodi", 4096).salt);
        assert_ne!(one.salt, ScramKeys::decoy(&[2; 16], "nobody", 4096).salt);
    }
}
