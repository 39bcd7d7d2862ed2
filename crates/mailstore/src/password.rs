//! Passwords: what an account keeps of one, with the cost and the salt handed in.
//!
//! Two things are kept of every password, in one text that is replicated as one register, so that they never belong to
//! two passwords: its argon2id hash, against which a password is checked that a client sends (PLAIN, LOGIN, USER and PASS), and the
//! keys of SCRAM-SHA-256, by which a client proves that it knows the password.

pub mod app;
mod scram;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

pub use scram::{LEAST_ITERATIONS, MOST_ITERATIONS, ScramKeys};

/// The longest password that is looked at, in octets: hashing more would cost an attacker little and us much.
pub const LONGEST_PASSWORD: usize = 1024;
/// What begins a credential of the second version.
const VERSION_2: &str = "v2 ";

/// How much a password check costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Rounds of PBKDF2 for SCRAM, [`LEAST_ITERATIONS`] to [`MOST_ITERATIONS`]. Clients pay them at every login, the server once.
    pub scram_iterations: u32,
}

impl PasswordCost {
    /// What RFC 9106 section 4 recommends where memory is scarce is 64 MiB and 3 passes; a mail server checks many
    /// logins at once, so this is the OWASP minimum of 19 MiB and 2 passes. RFC 7677 section 4 wants 4,096 rounds for SCRAM at
    /// the least; these are as many as the clients take that bound them (Cyrus SASL: 65,536).
    pub const STANDARD: PasswordCost =
        PasswordCost { memory_kib: 19 * 1024, passes: 2, scram_iterations: 65_536 };
    /// For tests and simulations.
    pub const TEST: PasswordCost =
        PasswordCost { memory_kib: 8, passes: 1, scram_iterations: LEAST_ITERATIONS };

    fn argon2(self) -> Option<Argon2<'static>> {
        let params = Params::new(self.memory_kib, self.passes, 1, None).ok()?;
        Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// What an account keeps of its password.
///
/// ```text
/// version 1   argon2id hash (PHC string), of the password as the operator wrote it
/// version 2   "v2" SP argon2id hash [ SP SCRAM keys ], both of the password prepared by SASLprep
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    argon2: &'a str,
    is_prepared: bool,
    scram: Option<ScramKeys>,
}

impl<'a> Credential<'a> {
    /// Reads what [`hash`] made, of whichever version. What cannot be read is no password's.
    pub fn parse(encoded: &'a str) -> Self {
        let Some(words) = encoded.strip_prefix(VERSION_2) else {
            return Credential { argon2: encoded, is_prepared: false, scram: None };
        };
        let (argon2, keys) = words.split_once(' ').unwrap_or((words, ""));
        Credential { argon2, is_prepared: true, scram: ScramKeys::parse(keys) }
    }

    /// The keys of SCRAM-SHA-256; a credential of the first version has none.
    pub fn scram(self) -> Option<ScramKeys> {
        self.scram
    }

    fn accepts(&self, password: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(self.argon2) else { return false };
        let prepared = prepare(password);
        let password = if self.is_prepared { prepared.as_ref() } else { password };
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    }
}

/// What an account keeps of this password, to be read by [`Credential::parse`]; none where the password is too long or the cost
/// out of bounds. The salt of SCRAM, which everybody may ask for, follows from `salt` and does not tell it.
pub fn hash(password: &str, salt: [u8; 16], cost: PasswordCost) -> Option<String> {
    let argon2 = hash_without_scram(password, salt, cost)?;
    let keys = ScramKeys::derive(prepare(password).as_ref(), scram::salt(&salt), cost.scram_iterations)?;
    Some(format!("{argon2} {keys}"))
}

/// The same without the keys of SCRAM: what a password is checked against that nobody has.
pub(crate) fn hash_without_scram(password: &str, salt: [u8; 16], cost: PasswordCost) -> Option<String> {
    if password.len() > LONGEST_PASSWORD {
        return None;
    }
    let salt = SaltString::encode_b64(&salt).ok()?;
    let argon2 = cost.argon2()?.hash_password(prepare(password).as_bytes(), &salt).ok()?;
    Some(format!("{VERSION_2}{argon2}"))
}

/// Whether the password is the one that was hashed. The cost is the hash's own.
pub fn verify(password: &str, encoded: &str) -> bool {
    password.len() <= LONGEST_PASSWORD && Credential::parse(encoded).accepts(password)
}

/// The password as SASLprep writes it (RFC 4013), so that a client that composes its letters and one that does not say the same.
/// What SASLprep prohibits, or leaves nothing of, is taken as it is: nobody is locked out by a character.
fn prepare(password: &str) -> std::borrow::Cow<'_, str> {
    match stringprep::saslprep(password) {
        Ok(prepared) if !prepared.is_empty() => prepared,
        _ => password.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_and_nothing_else() {
        let encoded = hash("secret", [7; 16], PasswordCost::TEST).expect("hashed");
        assert!(encoded.starts_with("v2 $argon2id$"));
        assert!(verify("secret", &encoded));
        assert!(!verify("Secret", &encoded) && !verify("", &encoded) && !verify("secret", "no hash"));
        assert_eq!(hash(&"x".repeat(1025), [7; 16], PasswordCost::TEST), None);
    }

    /// An operation of the account's document takes texts of 1,024 octets.
    #[test]
    fn what_is_kept_fits_into_an_operation() {
        let longest = PasswordCost { scram_iterations: MOST_ITERATIONS, ..PasswordCost::TEST };
        let encoded = hash(&"x".repeat(LONGEST_PASSWORD), [0xff; 16], longest).expect("hashed");
        assert!(encoded.len() < crdt::operation::LONGEST_TEXT / 2, "{encoded}");
    }

    /// Accounts that were made before SCRAM have the hash alone.
    #[test]
    fn a_credential_of_the_first_version_is_checked_as_it_was() {
        let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
        let argon2 = PasswordCost::TEST.argon2().expect("a cost");
        let encoded = argon2.hash_password("I\u{ad}X".as_bytes(), &salt).expect("hashed").to_string();
        assert!(verify("I\u{ad}X", &encoded) && !verify("IX", &encoded));
        assert_eq!(Credential::parse(&encoded).scram(), None);
    }

    /// RFC 4013 section 3.
    #[test]
    fn passwords_are_prepared() {
        for (written, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
            ("\u{ad}", "\u{ad}"),
        ] {
            assert_eq!(prepare(written), prepared, "{written:?}");
        }
        let encoded = hash("Ange\u{301}lique", [7; 16], PasswordCost::TEST).expect("hashed");
        assert!(verify("Ang\u{e9}lique", &encoded) && verify("Ange\u{301}lique", &encoded));
    }

    #[test]
    fn the_keys_of_scram_are_those_of_the_same_password() {
        let encoded = hash("secret", [7; 16], PasswordCost::TEST).expect("hashed");
        let keys = Credential::parse(&encoded).scram().expect("keys");
        assert_eq!(ScramKeys::derive("secret", keys.salt, keys.iterations), Some(keys));
        assert_ne!(keys.salt, [7; 16]);
    }
}
