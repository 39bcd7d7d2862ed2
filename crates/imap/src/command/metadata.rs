//! Names of annotations and what GETMETADATA asks for (RFC 5464).

/// The longest name of an annotation, in octets.
const LONGEST_NAME: usize = 255;

/// The name of an annotation: `/private/...` or `/shared/...`, in lower case, for case does not tell names apart (RFC 5464
/// section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryName(String);

impl EntryName {
    /// The name, unless RFC 5464 section 4.1 does not allow it.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(octets).ok()?.to_ascii_lowercase();
        let below = name.strip_prefix("/private/").or_else(|| name.strip_prefix("/shared/"))?;
        let is_allowed = |c: char| (' '..='~').contains(&c) && c != '*' && c != '%';
        let whole = below.split('/').all(|part| !part.is_empty()) && name.chars().all(is_allowed);
        (whole && name.len() <= LONGEST_NAME).then_some(EntryName(name))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far below the names that GETMETADATA asks for (RFC 5464 section 4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The names alone.
    #[default]
    Zero,
    /// And those right below.
    One,
    /// And all below.
    Infinity,
}

impl Depth {
    /// Whether a name is asked for where `asked` was named.
    pub fn reaches(self, asked: &EntryName, name: &str) -> bool {
        match name.strip_prefix(asked.as_str()) {
            Some("") => true,
            Some(below) => match (self, below.strip_prefix('/')) {
                (Depth::Zero, _) | (_, None) => false,
                (Depth::One, Some(below)) => !below.contains('/'),
                (Depth::Infinity, Some(_)) => true,
            },
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(
            EntryName::new(b"/Private/Comment").as_ref().map(EntryName::as_str),
            Some("/private/comment")
        );
        for bad in [
            "",
            "/",
            "/private",
            "/private/",
            "/shared//x",
            "/shared/x/",
            "/other/x",
            "private/x",
            "/shared/x*",
            "/shared/%",
            "/shared/\u{e4}",
            "/shared/\u{7}",
        ] {
            assert_eq!(EntryName::new(bad.as_bytes()), None, "{bad:?}");
        }
    }

    /// RFC 5464 section 4.2.2.
    #[test]
    fn depth_counts_levels() {
        let asked = EntryName::new(b"/private/filters/values").expect("a name");
        let reached = |depth: Depth| {
            ["", "/small", "/small/er", "x"]
                .map(|rest| depth.reaches(&asked, &format!("{}{rest}", asked.as_str())))
        };
        assert_eq!(reached(Depth::Zero), [true, false, false, false]);
        assert_eq!(reached(Depth::One), [true, true, false, false]);
        assert_eq!(reached(Depth::Infinity), [true, true, true, false]);
    }
}
