//! The base subject (RFC 5256 section 2.1): what is left of a subject without its marks of replies and forwards.

use crate::words::decode_words;

/// The base subject of a message, for SORT by subject and for threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseSubject {
    /// The text, encoded words decoded. Empty where the message has no subject, or one of nothing but marks.
    pub text: String,
    /// Whether marks of a reply or of a forward were taken off.
    pub is_reply_or_forward: bool,
}

impl BaseSubject {
    /// The base subject of the value of a `Subject` field, unfolded.
    pub fn of(subject: &[u8]) -> Self {
        // Step 1.
        let decoded = decode_words(subject);
        let spaced = decoded.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        let subject = spaced.collect::<Vec<&str>>().join(" ");
        let mut rest = subject.as_str();
        let mut marked = false;
        loop {
            // Step 2.
            rest = without_trailers(rest, &mut marked);
            // Steps 3 to 5.
            rest = without_leaders(rest, &mut marked);
            // Step 6.
            match strip_word(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
                Some(inner) => (rest, marked) = (inner, true),
                None => break,
            }
        }
        BaseSubject { text: rest.to_owned(), is_reply_or_forward: marked }
    }
}

/// `subj-trailer = "(fwd)" / WSP`
fn without_trailers<'a>(mut text: &'a str, marked: &mut bool) -> &'a str {
    loop {
        text = text.trim_end_matches(' ');
        let Some((rest, last)) =
            text.len().checked_sub("(fwd)".len()).and_then(|at| text.split_at_checked(at))
        else {
            return text;
        };
        if !last.eq_ignore_ascii_case("(fwd)") {
            return text;
        }
        (text, *marked) = (rest, true);
    }
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`, and blobs before something else than a blob.
///
/// Blobs that no mark follows are taken off together: however many a hostile subject has, each is looked at once.
fn without_leaders<'a>(mut text: &'a str, marked: &mut bool) -> &'a str {
    loop {
        text = text.trim_start_matches(' ');
        let (mut after, mut last_blob) = (text, text);
        while let Some(rest) = without_blob(after) {
            last_blob = after;
            after = rest;
        }
        match without_mark(after) {
            Some(rest) => (text, *marked) = (rest, true),
            // Step 4: what is left may be a blob, but not nothing.
            None => return if after.is_empty() { last_blob } else { after },
        }
    }
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn without_mark(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| strip_word(text, word))?;
    let rest = rest.trim_start_matches(' ');
    without_blob(rest).unwrap_or(rest).strip_prefix(':')
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn without_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    let rest = inner.get(end..)?.strip_prefix(']')?;
    Some(rest.trim_start_matches(' '))
}

/// What follows these letters, in any case.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(word.len())?;
    first.eq_ignore_ascii_case(word).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(subject: &str) -> (String, bool) {
        let base = BaseSubject::of(subject.as_bytes());
        (base.text, base.is_reply_or_forward)
    }

    /// RFC 5256 section 2.1, step by step.
    #[test]
    fn marks_are_taken_off() {
        for (subject, text, marked) in [
            ("afternoon meeting", "afternoon meeting", false),
            ("", "", false),
            ("   ", "", false),
            ("a \t b\r\n c", "a b c", false),
            ("Re: a", "a", true),
            ("RE:re: fw:FWD: a", "a", true),
            ("re : a", "a", true),
            ("Re[2]: a", "a", true),
            ("Re [2]: a", "a", true),
            ("Reply: a", "Reply: a", false),
            ("Re", "Re", false),
            ("Re:", "", true),
            ("a (fwd)", "a", true),
            ("a (FWD)(fwd)  (fwd) ", "a", true),
            ("(fwd)", "", true),
            ("[list] a", "a", false),
            ("[list] [other] a", "a", false),
            ("[list] Re: a", "a", true),
            ("[list][other]Re: [third] a", "a", true),
            ("[list]", "[list]", false),
            ("[list] [other]", "[other]", false),
            ("Re: [list]", "[list]", true),
            ("[a[b] c", "[a[b] c", false),
            ("[fwd: a]", "a", true),
            ("[Fwd: Re: a (fwd)]", "a", true),
            ("[fwd: [fwd: a]] (fwd)", "a", true),
            ("[fwd: a] b", "b", false),
            ("[fwd: [x] a]", "a", true),
            ("a [list]", "a [list]", false),
            ("=?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=", "Grüße", true),
            ("=?utf-8?q?Re:?= a", "a", true),
            ("Ré: a", "Ré: a", false),
            ("[é] Re: ü", "ü", true),
        ] {
            assert_eq!(base(subject), (text.to_owned(), marked), "{subject:?}");
        }
    }

    /// Each blob used to be taken off alone and all others looked at again: time that grew with the square of their number.
    #[test]
    fn many_marks_cost_little() {
        assert_eq!(base(&"[x]".repeat(20_000)), ("[x]".to_owned(), false));
        assert_eq!(base(&"[x]re:".repeat(10_000)), (String::new(), true));
        let nested = format!("{}a{}", "[fwd:".repeat(10_000), "]".repeat(10_000));
        assert_eq!(base(&nested), ("a".to_owned(), true));
        assert_eq!(base(&"(fwd)".repeat(10_000)), (String::new(), true));
    }
}
