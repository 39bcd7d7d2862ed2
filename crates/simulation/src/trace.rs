//! What happened, in lines of text: to compare two runs, and to read after a failure.

use std::fmt;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the beginning.
    pub at: u64,
    /// What; messages are called m1, m2 and so on, nodes n0, n1, clients c0, c1.
    pub what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}.{:03} {}", self.at / 1000, self.at % 1000, self.what)
    }
}

impl Line {
    /// Whether the line names this as a word of its own.
    fn names(&self, subject: &str) -> bool {
        self.what.match_indices(subject).any(|(at, _)| {
            let before = self.what.get(..at).and_then(|text| text.chars().next_back());
            let after = self.what.get(at + subject.len()..).and_then(|text| text.chars().next());
            ![before, after].into_iter().flatten().any(char::is_alphanumeric)
        })
    }
}

/// All lines of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    lines: Vec<Line>,
}

impl Trace {
    /// Writes a line.
    pub fn write(&mut self, at: u64, what: impl Into<String>) {
        self.lines.push(Line { at, what: what.into() });
    }

    /// All lines, the oldest first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A hash of all lines: equal for two runs of one seed.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for line in &self.lines {
            hasher.update(line.to_string().as_bytes()).update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The first lines in which two traces part, if they do.
    pub fn difference<'a>(&'a self, other: &'a Trace) -> Option<(Option<&'a Line>, Option<&'a Line>)> {
        let longest = self.lines.len().max(other.lines.len());
        (0..longest).map(|at| (self.lines.get(at), other.lines.get(at))).find(|(a, b)| a != b)
    }

    /// The last lines that concern one of these, or a fault; all where nothing is named.
    pub fn history(&self, subjects: &[String], most: usize) -> Vec<&Line> {
        let concerns = |line: &&Line| {
            subjects.is_empty()
                || line.what.starts_with('!')
                || subjects.iter().any(|subject| line.names(subject))
        };
        let mut found: Vec<&Line> = self.lines.iter().rev().filter(concerns).take(most).collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_names_whole_words() {
        let mut trace = Trace::default();
        trace.write(1, "c0 delivers m1 to INBOX");
        trace.write(2, "c0 delivers m12 to INBOX");
        trace.write(3, "! n0 is killed");
        let found = |subject: &str| trace.history(&[subject.to_owned()], 10).len();
        assert_eq!((found("m1"), found("m12"), found("INBOX"), found("m3")), (2, 2, 3, 1));
        assert_eq!(trace.history(&[], 2).len(), 2);
    }
}
