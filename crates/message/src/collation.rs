//! The collation by which SORT and THREAD compare texts (RFC 5256 section 2): i;unicode-casemap (RFC 5051).

use unicode_normalization::char::decompose_compatible;

use crate::limits::COLLATION_OCTETS_MAX;

/// What stands for a text where texts are compared: equal for texts that are equal but for case and the form of their
/// letters, and ordered by its octets (RFC 5051 section 2).
///
/// It is cut soon after [`COLLATION_OCTETS_MAX`]: texts that differ only beyond count as equal.
pub fn casemap(text: &str) -> String {
    let mut key = String::with_capacity(text.len().min(COLLATION_OCTETS_MAX));
    for letter in text.chars() {
        if key.len() >= COLLATION_OCTETS_MAX {
            break;
        }
        match letter {
            ' '..='~' => key.push(letter.to_ascii_uppercase()),
            letter => decompose_compatible(title_case(letter), |part| key.push(part)),
        }
    }
    key
}

/// The simple titlecase mapping of UnicodeData.txt: one letter for one letter. The standard library has the full mapping to
/// upper case, which is the same for most.
fn title_case(letter: char) -> char {
    match letter {
        // Digraphs: upper, title and lower case in turn.
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        // Georgian letters have capitals, but no titlecase.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => letter,
        _ => {
            let mut upper = letter.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => greek_with_iota(letter),
            }
        }
    }
}

/// Greek letters with an iota below: their full upper case is two letters, their titlecase one.
fn greek_with_iota(letter: char) -> char {
    let above = match letter {
        'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => 8,
        'ᾳ' | 'ῃ' | 'ῳ' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(letter) + above).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_count() {
        for (one, other) in [
            ("Meeting", "mEETING"),
            ("GRÜSSE", "grüsse"),
            ("ΔΙΟΓΈΝΗΣ", "διογένης"),
            ("ǆ", "Ǆ"),
            ("ǆ", "ǅ"),
            ("ᾳ", "ᾼ"),
            ("ᾔ", "ᾜ"),
            ("ц", "Ц"),
        ] {
            assert_eq!(casemap(one), casemap(other), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("ß", "ss"), ("ü", "u"), ("a ", "a")] {
            assert_ne!(casemap(one), casemap(other), "{one} {other}");
        }
    }

    /// RFC 5051 section 2: letters are taken apart, by canonical and by compatibility mappings.
    #[test]
    fn the_form_of_letters_does_not_count() {
        for (one, other) in
            [("é", "e\u{301}"), ("ﬁ", "fi"), ("Å", "å"), ("ａ", "A"), ("가", "\u{1100}\u{1161}")]
        {
            let folded = casemap(one);
            assert!(
                folded == casemap(other) || folded.eq_ignore_ascii_case(&casemap(other)),
                "{one} {other}"
            );
        }
        assert!(casemap("zebra") > casemap("École"), "E with its accent apart sorts with E");
    }

    #[test]
    fn a_key_is_bounded() {
        let long = "\u{fdfa}".repeat(COLLATION_OCTETS_MAX);
        assert!(casemap(&long).len() < COLLATION_OCTETS_MAX + 100);
        assert_eq!(casemap(&"x".repeat(100_000)), casemap(&"X".repeat(200_000)));
    }
}
