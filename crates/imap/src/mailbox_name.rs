//! Mailbox names on the wire: modified UTF-7 (RFC 3501 section 5.1.3), or UTF-8 once the client enabled it.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How mailbox names are spelled on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameEncoding {
    /// Modified UTF-7: every client without IMAP4rev2 and UTF8=ACCEPT.
    #[default]
    ModifiedUtf7,
    /// UTF-8 (RFC 6855, RFC 9051 section 5.1): after ENABLE alone.
    Utf8,
}

/// Why octets are no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Neither ASCII nor UTF-8.
    #[error("the mailbox name is not UTF-8")]
    NotUtf8,
    /// A `&` opens what is no modified base64 of UTF-16.
    #[error(
        "the mailbox name is not modified UTF-7 (RFC 3501 section 5.1.3); a literal \"&\" is written \"&-\""
    )]
    NotModifiedUtf7,
}

const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

impl NameEncoding {
    /// The name that these octets spell. In modified UTF-7 octets beyond ASCII are tolerated where they are UTF-8.
    ///
    /// # Errors
    /// Where they spell none.
    pub fn decode(self, octets: &[u8]) -> Result<String, NameError> {
        let text = std::str::from_utf8(octets).map_err(|_| NameError::NotUtf8)?;
        match self {
            NameEncoding::Utf8 => Ok(text.to_owned()),
            NameEncoding::ModifiedUtf7 => decode_utf7(text).ok_or(NameError::NotModifiedUtf7),
        }
    }

    /// The name as this encoding spells it.
    pub fn encode(self, name: &str) -> String {
        match self {
            NameEncoding::Utf8 => name.to_owned(),
            NameEncoding::ModifiedUtf7 => encode_utf7(name),
        }
    }
}

fn decode_utf7(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (encoded, after) = shifted.split_once('-')?;
        if encoded.is_empty() {
            name.push('&');
        } else {
            let octets = MODIFIED_BASE64.decode(encoded).ok()?;
            let (pairs, odd) = octets.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            for character in char::decode_utf16(units) {
                name.push(character.ok()?);
            }
        }
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

fn encode_utf7(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    for character in name.chars() {
        let plain = matches!(character, ' '..='~');
        if plain {
            unshift(&mut shifted, &mut text);
            text.push(character);
            if character == '&' {
                text.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend(character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    unshift(&mut shifted, &mut text);
    text
}

/// Writes what was collected for base64 as one run.
fn unshift(shifted: &mut Vec<u8>, text: &mut String) {
    if !shifted.is_empty() {
        text.push('&');
        MODIFIED_BASE64.encode_string(&*shifted, text);
        text.push('-');
        shifted.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UTF7: NameEncoding = NameEncoding::ModifiedUtf7;

    #[test]
    fn the_names_of_the_rfc() {
        for (wire, name) in [
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}"),
            ("&Jjo-!", "\u{263a}!"),
            ("Entw&APw-rfe", "Entw\u{fc}rfe"),
            ("Sent &- Received", "Sent & Received"),
            ("&2D3cjA-", "\u{1f48c}"),
            ("INBOX", "INBOX"),
        ] {
            assert_eq!(UTF7.decode(wire.as_bytes()).as_deref(), Ok(name));
            assert_eq!(UTF7.encode(name), wire);
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for wire in ["A&B", "&", "&A-", "&Jjo", "&Jjo=-", "&2D0-", "&!!!-", "&Jjp-"] {
            assert_eq!(UTF7.decode(wire.as_bytes()), Err(NameError::NotModifiedUtf7), "{wire}");
        }
        assert_eq!(UTF7.decode(b"\xff"), Err(NameError::NotUtf8));
    }

    #[test]
    fn octets_beyond_ascii_are_tolerated_as_utf8() {
        assert_eq!(UTF7.decode("Entw\u{fc}rfe".as_bytes()).as_deref(), Ok("Entw\u{fc}rfe"));
        assert_eq!(NameEncoding::Utf8.decode(b"A&B").as_deref(), Ok("A&B"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_again(name in any::<String>()) {
            let wire = UTF7.encode(&name);
            prop_assert!(wire.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
            prop_assert_eq!(UTF7.decode(wire.as_bytes()), Ok(name));
        }

        #[test]
        fn arbitrary_octets_do_not_panic(octets in any::<Vec<u8>>(), tail in "[&A-Za-z0-9+,-]{0,20}") {
            let _ = UTF7.decode(&octets);
            if let Ok(name) = UTF7.decode(tail.as_bytes()) {
                prop_assert_eq!(UTF7.decode(UTF7.encode(&name).as_bytes()), Ok(name));
            }
        }
    }
}
