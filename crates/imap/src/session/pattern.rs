//! The patterns of LIST and LSUB (RFC 9051 section 6.3.9): `*` stands for anything, `%` for anything within one level.

use mailstore::account::HIERARCHY_SEPARATOR;

/// A pattern of mailbox names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<u8>);

impl Pattern {
    /// The pattern that a client means by a reference and a pattern: one after the other.
    pub(super) fn new(reference: &str, pattern: &str) -> Self {
        let mut octets = Vec::with_capacity(reference.len() + pattern.len());
        for octet in reference.bytes().chain(pattern.bytes()) {
            // Of wildcards side by side one is enough, and `*` is the stronger.
            match (octets.last(), octet) {
                (Some(b'*'), b'*' | b'%') | (Some(b'%'), b'%') => {}
                (Some(b'%'), b'*') => {
                    octets.pop();
                    octets.push(b'*');
                }
                _ => octets.push(octet),
            }
        }
        Pattern(octets)
    }

    /// Whether it has a `%`.
    pub(super) fn has_level_wildcard(&self) -> bool {
        self.0.contains(&b'%')
    }

    /// Whether it may match a name at or below this one, which ends with a separator.
    pub(super) fn reaches(&self, prefix: &str) -> bool {
        let top = prefix.strip_suffix(HIERARCHY_SEPARATOR).unwrap_or(prefix).as_bytes();
        let is_literal = |octet: &&u8| !matches!(octet, b'*' | b'%');
        let literal: Vec<u8> = self.0.iter().take_while(is_literal).copied().collect();
        literal.starts_with(top) || (literal.len() < self.0.len() && top.starts_with(&literal))
    }

    /// About how many steps a comparison with a name takes.
    pub(super) fn cost(&self, name: &str) -> usize {
        name.len().saturating_mul(self.0.len()).saturating_add(1)
    }

    /// Whether the name matches. INBOX at the start of a name is compared without regard to case.
    pub(super) fn matches(&self, name: &str) -> bool {
        let inbox = name == "INBOX" || name.starts_with("INBOX/");
        // reached[i]: the pattern up to i matches the name so far.
        let mut reached = vec![false; self.0.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.skip_wildcards(&mut reached);
        for (place, octet) in name.bytes().enumerate() {
            let mut next = vec![false; reached.len()];
            let mut any = false;
            for (index, wanted) in self.0.iter().copied().enumerate() {
                if !reached.get(index).copied().unwrap_or_default() {
                    continue;
                }
                let stays = wanted == b'*' || (wanted == b'%' && octet != HIERARCHY_SEPARATOR as u8);
                let equal = octet == wanted || (inbox && place < 5 && octet.eq_ignore_ascii_case(&wanted));
                let target = if stays { index } else { index + 1 };
                if let Some(state) = next.get_mut(target)
                    && (stays || equal)
                {
                    *state = true;
                    any = true;
                }
            }
            if !any {
                return false;
            }
            self.skip_wildcards(&mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or_default()
    }

    /// A wildcard may stand for nothing.
    fn skip_wildcards(&self, reached: &mut [bool]) {
        for (index, wanted) in self.0.iter().enumerate() {
            if matches!(wanted, b'*' | b'%')
                && reached.get(index).copied().unwrap_or_default()
                && let Some(next) = reached.get_mut(index + 1)
            {
                *next = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_rfc_says() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("a*", "a/b/c", true),
            ("a%", "ab", true),
            ("a%", "a/b", false),
            ("%b", "ab", true),
            ("*b", "a/b", true),
            ("a", "a", true),
            ("a", "A", false),
            ("inbox", "INBOX", true),
            ("InBox/x", "INBOX/x", true),
            ("InBox/x", "INBOX/X", false),
            ("inbox", "inboxes", false),
            ("", "a", false),
            ("a*c%e", "abcde", true),
            ("%%**%", "a/b", true),
            ("entw\u{fc}rfe", "entw\u{fc}rfe", true),
        ] {
            assert_eq!(Pattern::new("", pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(Pattern::new("a/", "%").matches("a/b"));
    }

    #[test]
    fn what_a_pattern_reaches_is_told_before_it_is_compared() {
        for (pattern, expected) in [
            ("*", true),
            ("%", true),
            ("Oth%", true),
            ("Other Users/alice/%", true),
            ("Other Users", true),
            ("INBOX", false),
            ("Other", false),
            ("Archive*", false),
        ] {
            assert_eq!(Pattern::new("", pattern).reaches("Other Users/"), expected, "{pattern}");
        }
    }

    #[test]
    fn many_wildcards_cost_little() {
        let pattern = Pattern::new("", &"*a".repeat(200));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(900))));
    }
}
