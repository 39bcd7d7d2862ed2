//! SEARCH and UID SEARCH (RFC 9051 section 6.4.4, RFC 4731, RFC 7162 section 3.1.5): a bounded number of messages and octets
//! at a time, so that a long search holds nobody up.

mod test;

use std::collections::VecDeque;
use std::sync::Arc;

use mailstore::crdt::left_out::{LeftOut, leaves_out};
use mailstore::crdt::view::{MailboxView, Row};
use mailstore::request::modseq;

use super::answer::Answer;
use super::bodies::Bodies;
use super::numbers::sequence;
use super::put::{self, put};
use super::selected::current;
use super::{Action, Running, Session, Telling};
use crate::command::{Search, SearchCharset, SearchReturn, Tag};
use test::{Candidate, Test};

/// How many messages are looked at before others get a turn.
const MESSAGES_A_PIECE: usize = 4096;
/// How many of them may need their structure.
const STRUCTURES_A_PIECE: usize = 256;
/// How many octets of bodies are read before others get a turn; a message that was begun is finished.
const OCTETS_A_PIECE: u64 = 1024 * 1024;

/// A SEARCH that is not through yet.
pub(super) struct Searching {
    tag: Tag,
    uid: bool,
    /// Whether sequence numbers are among the keys; no EXPUNGE may be told then (RFC 7162 section 3.2.10.2).
    by_number: bool,
    returned: Option<SearchReturn>,
    test: Test,
    told: Arc<MailboxView>,
    flags: Arc<MailboxView>,
    next: usize,
    found: Vec<u32>,
    /// The highest MODSEQ of what was found, where the client asked by MODSEQ.
    highest: Option<u64>,
    failure: Option<String>,
}

impl Session {
    pub(super) fn search(&mut self, tag: Tag, search: Search, out: &mut Vec<u8>) -> Action {
        if let SearchCharset::Unsupported(name) = &search.charset {
            let text = format!("The charset {name} is not known here");
            return self.fail(&tag, Answer::no("BADCHARSET (US-ASCII UTF-8)", text), out);
        }
        let asks_modseq = test::asks_modseq(&search.key);
        if asks_modseq {
            self.enable_condstore(out);
        }
        let condstore = self.condstore;
        let by_number = test::asks_sequence(&search.key);
        let Some(selected) = &mut self.selected else { return self.waiting() };
        selected.tell_flags(condstore, out);
        let told = selected.told().clone();
        let store = &self.store;
        let known = |since| match leaves_out(LeftOut::SearchIsTranslated) {
            true => since,
            false => store.modseq_from_client(&told, since),
        };
        let key = test::with_modseqs(search.key, &known);
        let searching = Searching {
            tag,
            uid: search.uid,
            by_number,
            returned: search.returned,
            test: Test::new(key, &told, self.last_heard),
            flags: selected.flags_told().clone(),
            told,
            next: 0,
            found: Vec::new(),
            highest: asks_modseq.then_some(0),
            failure: None,
        };
        self.produce_search(searching, out)
    }

    pub(super) fn produce_search(&mut self, mut searching: Searching, out: &mut Vec<u8>) -> Action {
        if !searching.look(&mut Bodies::new(&self.store)) {
            self.running = Running::Search(searching);
            return Action::Continue;
        }
        searching.write(out);
        let answer = match &searching.failure {
            Some(failure) => Answer::no("SERVERBUG", format!("Some messages could not be read: {failure}")),
            None => Answer::ok("Completed"),
        };
        self.finish(&searching.tag, Telling::for_numbers(searching.uid && !searching.by_number), answer, out)
    }
}

impl Searching {
    /// Looks at some more messages; whether all were looked at.
    fn look(&mut self, bodies: &mut Bodies<'_>) -> bool {
        let mut rows: VecDeque<Row> =
            self.told.rows.iter().skip(self.next).take(MESSAGES_A_PIECE).cloned().collect();
        let (mut structures, mut octets) = (0, 0);
        while let Some(row) = rows.pop_front() {
            let now = current(&self.flags, &self.told, &row).clone();
            let mut candidate = Candidate::new(self.next, now, bodies);
            match self.test.holds(&mut candidate) {
                Ok(true) => self.note(self.next, &candidate.row),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "a message could not be searched");
                    self.failure.get_or_insert(error.to_string());
                }
            }
            self.next += 1;
            structures += usize::from(candidate.structure.is_some());
            octets += candidate.octets_read;
            if structures >= STRUCTURES_A_PIECE || octets >= OCTETS_A_PIECE {
                break;
            }
        }
        self.next >= self.told.rows.len()
    }

    fn note(&mut self, place: usize, row: &Row) {
        self.found.push(if self.uid { row.uid.0 } else { sequence(place) });
        if let Some(highest) = &mut self.highest {
            *highest = modseq(row.modseq).max(*highest);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.returned {
            None => {
                out.extend_from_slice(b"* SEARCH");
                for number in &self.found {
                    out.push(b' ');
                    put::number((*number).into(), out);
                }
                if let Some(highest) = self.highest.filter(|_| !self.found.is_empty()) {
                    put!(out, " (MODSEQ {highest})");
                }
            }
            Some(returned) => self.write_extended(returned, out),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// `* ESEARCH` (RFC 4731 section 3.1); of no message neither MIN nor MAX nor ALL is told.
    fn write_extended(&self, returned: SearchReturn, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* ESEARCH (TAG ");
        crate::encode::string(self.tag.as_str().as_bytes(), out);
        out.push(b')');
        if self.uid {
            out.extend_from_slice(b" UID");
        }
        if let (Some(first), Some(last)) = (self.found.first(), self.found.last()) {
            if returned.min {
                put!(out, " MIN {first}");
            }
            if returned.max {
                put!(out, " MAX {last}");
            }
            if returned.all {
                out.extend_from_slice(b" ALL ");
                put::set(self.found.iter().copied(), out);
            }
        }
        if returned.count {
            put!(out, " COUNT {}", self.found.len());
        }
        if let Some(highest) = self.highest.filter(|_| !self.found.is_empty()) {
            put!(out, " MODSEQ {highest}");
        }
    }
}
