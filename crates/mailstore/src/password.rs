//! Passwords: argon2id, with the cost and the salt handed in.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// The longest password that is looked at, in octets: hashing more would cost an attacker little and us much.
pub const LONGEST_PASSWORD: usize = 1024;

/// How much a password check costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PasswordCost {
    /// What RFC 9106 section 4 recommends where memory is scarce is 64 MiB and 3 passes; a mail server checks many
    /// logins at once, so this is the OWASP minimum of 19 MiB and 2 passes.
    pub const STANDARD: PasswordCost = PasswordCost { memory_kib: 19 * 1024, passes: 2 };
    /// For tests and simulations.
    pub const TEST: PasswordCost = PasswordCost { memory_kib: 8, passes: 1 };

    fn argon2(self) -> Option<Argon2<'static>> {
        let params = Params::new(self.memory_kib, self.passes, 1, None).ok()?;
        Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// The encoded hash of a password; none where the password is too long or the cost out of bounds.
pub fn hash(password: &str, salt: [u8; 16], cost: PasswordCost) -> Option<String> {
    if password.len() > LONGEST_PASSWORD {
        return None;
    }
    let salt = SaltString::encode_b64(&salt).ok()?;
    Some(cost.argon2()?.hash_password(password.as_bytes(), &salt).ok()?.to_string())
}

/// Whether the password is the one that was hashed. The cost is the hash's own.
pub fn verify(password: &str, encoded: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(encoded) else { return false };
    password.len() <= LONGEST_PASSWORD
        && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_and_nothing_else() {
        let encoded = hash("secret", [7; 16], PasswordCost::TEST).expect("hashed");
        assert!(encoded.starts_with("$argon2id$"));
        assert!(verify("secret", &encoded));
        assert!(!verify("Secret", &encoded) && !verify("", &encoded) && !verify("secret", "no hash"));
        assert_eq!(hash(&"x".repeat(1025), [7; 16], PasswordCost::TEST), None);
    }
}
