//! The collation by which SEARCH finds texts, and SORT and THREAD compare them (RFC 5255 section 4.1): i;unicode-casemap
//! (RFC 5051).

use std::hash::{DefaultHasher, Hash, Hasher};

use unicode_normalization::char::decompose_compatible;

use crate::limits::COLLATION_OCTETS_MAX;

/// Gives what stands for a text in this collation, letter by letter: each in its titlecase, and that taken apart by its canonical
/// and compatibility mappings (RFC 5051 section 2). A letter stands for itself wherever it is, so that a text may come in pieces,
/// and a part of it is found in the whole.
pub(crate) fn fold(text: &str, mut give: impl FnMut(char)) {
    for letter in text.chars() {
        match letter {
            ' '..='~' => give(letter.to_ascii_uppercase()),
            letter => decompose_compatible(title_case(letter), &mut give),
        }
    }
}

/// What stands for a text where texts are compared: equal for texts that are equal in the collation, and ordered by its octets.
///
/// It is bounded: what lies beyond [`COLLATION_OCTETS_MAX`] is told by its hash. So texts that differ only there are still two, in
/// some order.
pub fn casemap(text: &str) -> String {
    let mut key = String::with_capacity(text.len().min(COLLATION_OCTETS_MAX));
    // Without a random seed: keys are compared with each other, and nobody gains by two that are alike.
    let mut beyond: Option<DefaultHasher> = None;
    fold(text, |letter| match &mut beyond {
        Some(hasher) => letter.hash(hasher),
        None if key.len() + letter.len_utf8() <= COLLATION_OCTETS_MAX => key.push(letter),
        None => letter.hash(beyond.get_or_insert_default()),
    });
    if let Some(hasher) = beyond {
        key.push_str(&format!("{}{:016x}", char::MAX, hasher.finish()));
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
    }

    /// They counted as equal, so that THREAD put them into one thread.
    #[test]
    fn long_texts_that_differ_late_are_two() {
        let long = |letter: &str, count| letter.repeat(count);
        assert_eq!(casemap(&long("x", 100_000)), casemap(&long("X", 100_000)));
        assert_ne!(casemap(&long("x", 100_000)), casemap(&long("X", 200_000)));
        assert_ne!(casemap(&long("x", 2_000)), casemap(&format!("{}y", long("x", 1_999))));
        assert_eq!(casemap(&long("é", 2_000)), casemap(&long("E\u{301}", 2_000)), "wherever the bound falls");
        assert!(casemap(&long("x", 1_024)) < casemap(&long("x", 1_025)));
        let cut = casemap(&long("\u{fdfa}", 1_000));
        assert_eq!(cut, casemap(&long("\u{fdfa}", 1_000)));
    }
}
