//! What the client is told of its mailbox with the answer to a command (RFC 9051 section 7, RFC 7162 section 3.2).

use super::answer::Answer;
use super::selected::Departing;
use super::{Action, Running, Session};
use crate::command::Tag;

/// What of the selected mailbox is told before a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// EXPUNGE, EXISTS and flags.
    Everything,
    /// Flags: during FETCH, STORE and SEARCH no EXPUNGE is allowed (RFC 9051 section 7.5.1).
    Flags,
    /// EXISTS and flags, while no command runs and SELECTED-DELAYED holds (RFC 5465 section 6.1).
    Additions,
    /// What a command did that takes messages away, and everything.
    Departures,
    /// Nothing.
    Nothing,
}

impl Telling {
    /// What a command that takes UIDs or sequence numbers allows.
    pub(super) fn for_numbers(uid: bool) -> Self {
        if uid { Telling::Everything } else { Telling::Flags }
    }
}

impl Session {
    /// Answers a command that nothing more is to be said of.
    pub(super) fn done(&mut self, tag: &Tag, text: &str, out: &mut Vec<u8>) -> Action {
        self.finish(tag, Telling::Everything, Answer::ok(text), out)
    }

    /// Answers a command that was not carried out.
    pub(super) fn fail(&mut self, tag: &Tag, answer: Answer, out: &mut Vec<u8>) -> Action {
        self.finish(tag, Telling::Nothing, answer, out)
    }

    /// Tells what changed, answers the command, and says BYE where the session cannot go on.
    pub(super) fn finish(
        &mut self,
        tag: &Tag,
        telling: Telling,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Action {
        self.running = Running::Nothing;
        self.tell(telling, out);
        match self.highest_due() {
            // RFC 7162 section 3.2.7 wants it in the tagged OK of EXPUNGE.
            Some(highest) if answer.is_plain_ok() => answer.with_code_of(highest).write(tag, out),
            Some(highest) => {
                highest.write_untagged(out);
                answer.write(tag, out);
            }
            None => answer.write(tag, out),
        }
        self.find_ending();
        match self.ending {
            Some(reason) => self.bye(reason, out),
            None => Action::WaitForInput,
        }
    }

    pub(super) fn tell(&mut self, telling: Telling, out: &mut Vec<u8>) {
        if matches!(telling, Telling::Everything | Telling::Departures) {
            self.tell_annotated(out);
        }
        let departing = self.departing();
        let Some(selected) = &mut self.selected else { return };
        if telling != Telling::Nothing {
            selected.tell_rights(out);
        }
        match telling {
            Telling::Everything => selected.tell_everything(self.condstore, departing, out),
            Telling::Departures => {
                selected.tell_messages(departing, out);
                selected.tell_everything(self.condstore, departing, out);
            }
            Telling::Additions => selected.tell_additions(self.condstore, out),
            Telling::Flags => selected.tell_flags(self.condstore, out),
            Telling::Nothing => {}
        }
    }

    /// HIGHESTMODSEQ with its code, where the client takes another value for it than everything it was told
    /// (RFC 7162 sections 3.2 and 6).
    pub(super) fn highest_due(&mut self) -> Option<Answer> {
        let selected = self.selected.as_mut().filter(|_| self.condstore)?;
        selected.highest_due(self.qresync).map(Answer::highest_modseq)
    }

    /// How messages that are gone are told.
    pub(super) fn departing(&self) -> Departing {
        if self.qresync || self.uid_only { Departing::Vanished } else { Departing::Expunge }
    }
}
