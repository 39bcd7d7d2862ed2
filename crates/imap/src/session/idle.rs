//! IDLE (RFC 2177): changes are told as they come.

use mailstore::crdt::clock::Millis;

use super::answer::Answer;
use super::config::SessionConfig;
use super::{Action, Running, Session, Telling};
use crate::command::Tag;

/// An IDLE that waits for DONE.
pub(super) struct Idling {
    tag: Tag,
    next_notice: Millis,
}

impl Idling {
    /// When the client shall hear that the connection lives.
    pub(super) fn next_notice(&self) -> Millis {
        self.next_notice
    }

    /// Tells the client that the connection lives; a dead one is noticed thereby.
    pub(super) fn notify(&mut self, now: Millis, config: &SessionConfig, out: &mut Vec<u8>) {
        Answer::ok("Still here").write_untagged(out);
        self.next_notice = now.after(config.idle_notice);
    }
}

impl Session {
    pub(super) fn idle(&mut self, now: Millis, tag: Tag, out: &mut Vec<u8>) -> Action {
        out.extend_from_slice(b"+ idling\r\n");
        self.running = Running::Idle(Idling { tag, next_notice: now.after(self.config.idle_notice) });
        self.view_changed(out)
    }

    pub(super) fn idle_line(&mut self, idling: &Idling, line: &[u8], out: &mut Vec<u8>) -> Action {
        if line.trim_ascii().eq_ignore_ascii_case(b"DONE") {
            self.finish(&idling.tag, Telling::Everything, Answer::ok("Completed"), out)
        } else {
            self.fail(&idling.tag, Answer::bad("IDLE is ended by DONE alone"), out)
        }
    }
}
