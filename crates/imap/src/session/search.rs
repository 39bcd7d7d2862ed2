//! SEARCH, SORT and THREAD with their UID forms (RFC 9051 section 6.4.4, RFC 4731, RFC 5256, RFC 7162 section 3.1.5): a
//! bounded number of messages and octets at a time, so that a long search holds nobody up.

mod candidate;
mod found;
mod gather;
mod multi;
mod sort;
pub(super) mod test;
mod thread;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mailstore::crdt::identity::Uid;
use mailstore::crdt::left_out::{LeftOut, leaves_out};
use mailstore::crdt::view::{MailboxView, Row};
use mailstore::request::modseq;
use message::Charset;

use super::answer::Answer;
use super::bodies::Bodies;
use super::progress::Progress;
use super::selected::{Selected, current};
use super::{Action, Running, Session, Telling};
use crate::command::{Search, SearchCharset, SearchKey, SearchReturn, Sort, Tag, Thread};
use candidate::{Candidate, ReadSoFar, Unsettled};
use found::{Found, Report};
use gather::{Gather, Gathered};
pub(super) use multi::MultiSearching;
use sort::Sorting;
use test::{Asked, Test};
use thread::Threading;

/// How many messages are looked at before others get a turn.
const MESSAGES_A_PIECE: usize = 4096;
/// How many of them may need their structure.
const STRUCTURES_A_PIECE: usize = 256;
/// How many octets of bodies are read before others get a turn.
const OCTETS_A_PIECE: u64 = 1024 * 1024;

/// The most octets of texts and identifiers that one SORT or THREAD keeps: some 500,000 messages of usual headers.
const MOST_OCTETS: usize = 64 * 1024 * 1024;

/// A SEARCH, SORT or THREAD that is not through yet.
pub(super) struct Searching {
    tag: Tag,
    /// Whether sequence numbers are among the keys; no EXPUNGE may be told then (RFC 7162 section 3.2.10.2).
    by_number: bool,
    report: Report,
    test: Test,
    told: Arc<MailboxView>,
    flags: Arc<MailboxView>,
    next: usize,
    /// What is known of the next message already.
    read: ReadSoFar,
    gather: Gather,
    progress: Progress,
    failure: Option<Answer>,
}

/// The views that a search goes by.
struct Pictures {
    /// Which messages there are.
    told: Arc<MailboxView>,
    /// Which flags they have.
    flags: Arc<MailboxView>,
    /// What `$` stands for.
    saved: Vec<RangeInclusive<Uid>>,
}

impl Pictures {
    fn of(selected: &Selected) -> Self {
        Pictures {
            told: selected.told().clone(),
            flags: selected.flags_told().clone(),
            saved: selected.saved().to_vec(),
        }
    }
}

/// More than [`MOST_OCTETS`] would have to be kept.
struct TooMuch;

impl Session {
    pub(super) fn search(&mut self, tag: Tag, mut search: Search, out: &mut Vec<u8>) -> Action {
        self.default_return(&mut search);
        if search.charset != SearchCharset::Unstated
            && let Some(refusal) = self.charset_refusal()
        {
            return self.fail(&tag, refusal, out);
        }
        self.look_for(tag, search, Gather::Places(Vec::new()), out)
    }

    pub(super) fn sort(&mut self, tag: Tag, sort: Sort, out: &mut Vec<u8>) -> Action {
        self.look_for(tag, sort.search, Gather::Sorted(Sorting::new(sort.criteria)), out)
    }

    pub(super) fn thread(&mut self, tag: Tag, thread: Thread, out: &mut Vec<u8>) -> Action {
        self.look_for(tag, thread.search, Gather::Threads(Box::new(Threading::new(thread.algorithm))), out)
    }

    fn look_for(&mut self, tag: Tag, search: Search, gather: Gather, out: &mut Vec<u8>) -> Action {
        if let SearchCharset::Unsupported(name) = &search.charset {
            self.save(search.returned, &[]);
            return self.fail(&tag, bad_charset(name), out);
        }
        let asks_modseq = test::asks_modseq(&search.key);
        if asks_modseq {
            self.enable_condstore(out);
        }
        let condstore = self.condstore;
        let Some(selected) = &mut self.selected else { return self.waiting() };
        selected.tell_flags(condstore, out);
        let pictures = Pictures::of(selected);
        let report = Report { uid: search.uid, returned: search.returned, asks_modseq, correlator: None };
        let searching = self.searching(tag, search.key, report, pictures, gather);
        self.produce_search(searching, out)
    }

    /// A search of the mailbox of these pictures.
    fn searching(
        &self,
        tag: Tag,
        key: SearchKey,
        report: Report,
        pictures: Pictures,
        gather: Gather,
    ) -> Searching {
        let Pictures { told, flags, saved } = pictures;
        let known = |since| match leaves_out(LeftOut::SearchIsTranslated) {
            true => since,
            false => self.store.modseq_from_client(&told, since),
        };
        let by_number = test::asks_sequence(&key);
        let key = test::with_modseqs(key, &known);
        Searching {
            tag,
            by_number,
            report,
            test: Test::new(key, Asked { told: &told, saved: &saved, now: self.last_heard }),
            flags,
            told,
            next: 0,
            read: ReadSoFar::default(),
            gather,
            progress: Progress::new(self.last_heard),
            failure: None,
        }
    }

    pub(super) fn produce_search(&mut self, mut searching: Searching, out: &mut Vec<u8>) -> Action {
        match searching.look(&mut Bodies::new(&self.store)) {
            Ok(true) => {}
            Ok(false) => {
                let (done, total) = (searching.next, searching.told.rows.len());
                searching.progress.tell(self.last_heard, &searching.tag, done, total, out);
                self.running = Running::Search(searching);
                return Action::Continue;
            }
            Err(TooMuch) => {
                self.save(searching.report.returned, &[]);
                let text = "There are too many messages with long headers to be ordered at once; name fewer";
                return self.fail(&searching.tag, Answer::no("LIMIT", text), out);
            }
        }
        let Searching { tag, by_number, report, gather, failure, .. } = searching;
        match gather.finish() {
            Gathered::Listed(name, found) => {
                report.write(name, &tag, &found, out);
                self.save(report.returned, if failure.is_none() { &found } else { &[] });
            }
            Gathered::Threads(forest) => forest.write(report.uid, out),
        }
        let answer = failure.unwrap_or_else(|| Answer::ok("Completed"));
        self.finish(&tag, Telling::for_numbers(report.uid && !by_number), answer, out)
    }
}

/// The answer to texts in a charset that is not known here.
fn bad_charset(name: &str) -> Answer {
    let code = format!("BADCHARSET ({})", Charset::NAMES.join(" "));
    Answer::no(code, format!("The charset {name} is not known here"))
}

impl Session {
    /// Keeps what was found for `$`, if SAVE was among the result options. A search that is answered NO keeps nothing
    /// (RFC 5182 section 2.1).
    fn save(&mut self, returned: Option<SearchReturn>, found: &[Found]) {
        let (Some(returned), Some(selected)) = (returned, &mut self.selected) else { return };
        if returned.save {
            selected.save(found::meant(returned, found).map(|message| message.uid).collect());
        }
    }
}

impl Searching {
    /// Looks at some more messages; whether all were looked at.
    fn look(&mut self, bodies: &mut Bodies<'_>) -> Result<bool, TooMuch> {
        let mut rows: VecDeque<Row> =
            self.told.rows.iter().skip(self.next).take(MESSAGES_A_PIECE).cloned().collect();
        let (mut structures, mut octets) = (0, OCTETS_A_PIECE);
        while let Some(row) = rows.pop_front() {
            let now = current(&self.flags, &self.told, &row).clone();
            let mut candidate =
                Candidate::new((self.next, now), std::mem::take(&mut self.read), octets, bodies);
            match self.try_message(&mut candidate) {
                Ok(()) => {}
                Err(Unsettled::Later) => {
                    self.read = candidate.read;
                    break;
                }
                Err(Unsettled::Unreadable(error)) => {
                    tracing::error!(%error, "a message could not be searched");
                    self.failure.get_or_insert_with(|| Answer::unreadable(&error));
                }
            }
            self.next += 1;
            structures += usize::from(candidate.structure.is_some());
            octets = candidate.octets;
            if structures >= STRUCTURES_A_PIECE || octets == 0 {
                break;
            }
        }
        if self.gather.octets() > MOST_OCTETS { Err(TooMuch) } else { Ok(self.next >= self.told.rows.len()) }
    }

    /// Takes the message, if it passes.
    fn try_message(&mut self, candidate: &mut Candidate<'_, '_>) -> Result<(), Unsettled> {
        let (place, row) = (candidate.place, &candidate.row);
        let found = Found { place, uid: row.uid, modseq: modseq(row.modseq) };
        match self.test.holds(candidate)? {
            true => Ok(self.gather.take(found, candidate)?),
            false => Ok(()),
        }
    }
}
