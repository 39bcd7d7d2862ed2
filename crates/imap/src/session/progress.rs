//! Telling how far a long command came (RFC 9585), so that neither the client nor a middlebox takes the server for dead.

use mailstore::crdt::clock::Millis;

use super::answer::Answer;
use super::{Running, Session};
use crate::command::Tag;

/// How often it is told, in milliseconds (RFC 9585 section 3 asks for 10 to 15 seconds).
pub const INTERVAL: u64 = 10 * 1000;

/// When it is to be told next.
pub(super) struct Progress {
    due: Millis,
}

impl Progress {
    /// The progress of a command that begins now.
    pub(super) fn new(now: Millis) -> Self {
        Progress { due: now.after(INTERVAL) }
    }

    /// Tells it, if it is time to: `done` of `total`.
    pub(super) fn tell(&mut self, now: Millis, tag: &Tag, done: usize, total: usize, out: &mut Vec<u8>) {
        if now >= self.due {
            self.due = now.after(INTERVAL);
            in_progress(tag, &format!("{done} {total}")).write_untagged(out);
        }
    }
}

impl Session {
    /// The store takes long over [`super::Action::Ask`]: called again and again after each [`INTERVAL`]. The client hears that its
    /// command is being worked on; how far it came only the store knows.
    pub fn still_asking(&self, out: &mut Vec<u8>) {
        let tag = match &self.running {
            Running::Append(appending) => Some(appending.tag()),
            Running::Copy(copying) => Some(copying.tag()),
            Running::Expunge(expunging) => Some(&expunging.tag),
            Running::MultiSearch(multi) => Some(multi.tag()),
            Running::Replace(replacing) => Some(replacing.tag()),
            Running::Store(storing) => Some(storing.tag()),
            _ => None,
        };
        if let Some(tag) = tag {
            in_progress(tag, "NIL NIL").write_untagged(out);
        }
    }
}

/// `INPROGRESS (tag state)`. A tag with a bracket would end the code for clients that do not parse it, so it is left out.
fn in_progress(tag: &Tag, state: &str) -> Answer {
    let tag = tag.as_str();
    let tag = if tag.contains(']') { "NIL".to_owned() } else { format!("\"{tag}\"") };
    Answer::ok("Still at work").code(format!("INPROGRESS ({tag} {state})"))
}
