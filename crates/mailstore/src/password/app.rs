//! App passwords: made here and never chosen, so that their hash may be quick and no two are alike.

/// The letters of an app password: none that is taken for another one.
const LETTERS: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";
/// How many letters one has; five bits each make 125.
const LENGTH: usize = 25;
/// How many letters stand together.
const GROUP: usize = 5;
/// What the hash is made under: another way to hash has another name.
const CONTEXT: &str = "peerpost app password 1";

/// The app password that these random octets make, as its owner types it: `abcde-fghij-...`.
pub fn generate(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let letter = |place: usize| {
        let index = (bits >> (5 * place)) as usize % LETTERS.len();
        LETTERS.get(index).map_or('a', |letter| char::from(*letter))
    };
    let mut text = String::with_capacity(LENGTH + LENGTH / GROUP);
    for place in 0..LENGTH {
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(letter(place));
    }
    text
}

/// The hash of an app password, in whatever case of letters and with or without its hyphens or spaces; `None` where it cannot
/// be one.
pub fn digest(password: &str) -> Option<[u8; 32]> {
    if password.len() > super::LONGEST_PASSWORD {
        return None;
    }
    let typed = password.bytes().filter(|octet| !matches!(octet, b'-' | b' '));
    let letters: Vec<u8> = typed.map(|octet| octet.to_ascii_lowercase()).collect();
    let fits = letters.len() == LENGTH && letters.iter().all(|letter| LETTERS.contains(letter));
    fits.then(|| blake3::derive_key(CONTEXT, &letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_typed_as_it_is_read() {
        assert_eq!(generate([0; 16]), "aaaaa-aaaaa-aaaaa-aaaaa-aaaaa");
        assert_eq!(generate([0xff; 16]), "99999-99999-99999-99999-99999");
        let made = generate([0x5a; 16]);
        let known = digest(&made);
        assert!(known.is_some());
        assert_eq!(digest(&made.replace('-', "")), known);
        assert_eq!(digest(&made.replace('-', " ").to_uppercase()), known);
        assert_ne!(digest(&generate([0x5b; 16])), known);
    }

    #[test]
    fn other_passwords_are_none() {
        let made = generate([0x5a; 16]);
        for wrong in [
            "",
            "secret",
            &made[1..],
            &format!("{made}a"),
            &made.replacen(&made[..1], "l", 1),
            &"a".repeat(2000),
        ] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }
}
