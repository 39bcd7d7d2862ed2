//! What happened in one run, for comparing it with another.
//!
//! A trace is of what the shell did to the store and of what clients were answered, each with its moment. It is not of
//! packets: keys of handshakes come from the entropy of the operating system, which no simulation can hand to aws-lc-rs, so
//! their octets differ from run to run. Their lengths do not (see [`crate::machine::key_of`]), so the moments are the same.

use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    now: Duration,
    lines: Vec<String>,
}

impl Trace {
    /// What is noted from now on happens then.
    pub fn set_time(&self, now: Duration) {
        self.0.lock().unwrap().now = now;
    }

    /// Notes what happens on a node.
    pub fn note(&self, node: usize, what: impl Display) {
        self.write(format_args!("n{node} {what}"));
    }

    /// Notes what happens to the nodes.
    pub fn note_outside(&self, what: impl Display) {
        self.write(format_args!("! {what}"));
    }

    fn write(&self, what: impl Display) {
        let mut trace = self.0.lock().unwrap();
        let line = format!("{:>7} {what}", trace.now.as_millis());
        trace.lines.push(line);
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().lines.len()
    }

    /// The last lines, for a failure to show.
    pub fn tail(&self, lines: usize) -> String {
        let all = &self.0.lock().unwrap().lines;
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The first line that is not in both.
    pub fn difference(&self, other: &Trace) -> Option<String> {
        let (ours, theirs) = (&self.0.lock().unwrap().lines, &other.0.lock().unwrap().lines);
        let place = (0..ours.len().max(theirs.len())).find(|place| ours.get(*place) != theirs.get(*place))?;
        Some(format!("line {place}:\n  {:?}\n  {:?}", ours.get(place), theirs.get(place)))
    }
}
