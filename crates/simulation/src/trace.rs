//! What happened, in lines of text: to compare two runs, and to read after a failure.

use std::collections::BTreeSet;
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

    /// The last lines that concern one of these, with the faults in between; where nothing is named, simply the last.
    pub fn history(&self, subjects: &[String], most: usize) -> Vec<&Line> {
        let concerns =
            |line: &Line| subjects.is_empty() || subjects.iter().any(|subject| line.names(subject));
        let most_named = if subjects.is_empty() { most } else { most / 2 };
        let of_subjects =
            self.lines.iter().enumerate().rev().filter(|(_, line)| concerns(line)).take(most_named);
        let mut told: BTreeSet<usize> = of_subjects.map(|(at, _)| at).collect();
        let first = told.first().copied().unwrap_or(0);
        let faults = self.lines.iter().enumerate().skip(first).rev();
        let room = most.saturating_sub(told.len());
        told.extend(faults.filter(|(_, line)| line.what.starts_with('!')).map(|(at, _)| at).take(room));
        told.into_iter().filter_map(|at| self.lines.get(at)).collect()
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
        trace.write(4, "c0 n0 +1=m12");
        trace.write(5, "! n1 starts");
        // What a message is named in comes first; faults only from there on.
        let lines = trace.history(&["m12".to_owned()], 4);
        assert_eq!(lines.iter().map(|line| line.at).collect::<Vec<_>>(), [2, 3, 4, 5]);
    }
}
