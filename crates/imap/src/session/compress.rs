//! COMPRESS (RFC 4978).

use super::answer::Answer;
use super::{Action, Session, Telling};
use crate::command::Tag;

impl Session {
    pub(super) fn compress(&mut self, tag: &Tag, mechanism: &str, out: &mut Vec<u8>) -> Action {
        if self.compressed {
            let text = "The connection is compressed already";
            return self.fail(tag, Answer::no("COMPRESSIONACTIVE", text), out);
        }
        if !mechanism.eq_ignore_ascii_case("DEFLATE") {
            return self.fail(tag, Answer::no("CANNOT", "Only the mechanism DEFLATE is offered"), out);
        }
        match self.finish(tag, Telling::Nothing, Answer::ok("Compressing from here on"), out) {
            Action::WaitForInput => {
                self.compressed = true;
                Action::Compress
            }
            ended => ended,
        }
    }
}
