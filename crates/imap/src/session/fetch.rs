//! FETCH and UID FETCH (RFC 9051 section 6.4.5, RFC 7162 section 3.1.4): produced in pieces, from the rows of a view alone
//! where flags, dates and sizes are asked for, from structures and ranges of bodies where more is.

mod binary;
mod item;
mod open;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use mailstore::ReadError;
use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::Uid;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::{MailboxView, Row};
use mailstore::request::{Reply, Request, RequestError, modseq};

use super::answer::Answer;
use super::bodies::Bodies;
use super::numbers::{Places, part, places, rows};
use super::resync::{Since, earlier, write_vanished_earlier};
use super::selected::{Items, Selected, current};
use super::{Action, PIECE_OCTETS, Running, Session, Telling};
use crate::command::{FetchItem, Messages, PartialRange, Tag};
use open::{LeftOut, OpenMessage};

pub(super) use item::{Octets, octets};
pub(super) use open::{first_piece, put_octets};

/// How many rows are looked at before others get a turn; one that takes a look into the message counts more.
const ROWS_A_PIECE: usize = 4096;
/// What a row counts of which more than the row is needed.
const COST_OF_A_MESSAGE: usize = 16;
/// How many octets are decoded before others get a turn.
const DECODED_A_PIECE: u64 = 1024 * 1024;
/// How many rows are taken out of the view at a time.
const ROWS_A_BATCH: usize = 256;

/// What a client wants to know.
pub(super) struct Wish {
    pub(super) items: Vec<FetchItem>,
    /// Only of messages that changed since.
    pub(super) changed_since: Option<Since>,
    /// Which of the UIDs vanished since, too.
    pub(super) vanished: bool,
    /// Which part of the messages.
    pub(super) partial: Option<PartialRange>,
}

/// A FETCH of which something may be told already.
pub(super) struct Fetching {
    /// The command; `None` where nobody asked (RFC 5465 section 5.2).
    tag: Option<Tag>,
    uid: bool,
    /// Whether UIDFETCH is the response, which has the UID whether it was asked for or not (RFC 9586 section 3.3).
    uid_only: bool,
    items: Vec<FetchItem>,
    changed_since: Option<u64>,
    condstore: bool,
    told: Arc<MailboxView>,
    flags: Arc<MailboxView>,
    /// What a row counts of [`ROWS_A_PIECE`].
    cost: usize,
    /// What is still to be looked at.
    places: VecDeque<std::ops::Range<usize>>,
    /// Rows taken out already.
    batch: VecDeque<(usize, Row)>,
    /// Messages that became \Seen by this FETCH, whose flags come with it.
    seen: BTreeSet<Uid>,
    open: Option<OpenMessage>,
    failure: Option<Answer>,
    /// Whether a message was left out because of its transfer encoding.
    unknown_encoding: bool,
    /// How the command is answered, where it is a SELECT.
    answer: Option<Answer>,
}

impl Session {
    pub(super) fn fetch(&mut self, tag: Tag, messages: &Messages, wish: Wish, out: &mut Vec<u8>) -> Action {
        let Wish { items, changed_since, vanished, partial } = wish;
        if vanished && !self.qresync {
            return self.fail(&tag, Answer::bad("QRESYNC has to be enabled first").code("CLIENTBUG"), out);
        }
        if changed_since.is_some() || items.contains(&FetchItem::Modseq) {
            self.enable_condstore(out);
        }
        let (condstore, departing) = (self.condstore, self.departing());
        let Some(selected) = &mut self.selected else { return self.waiting() };
        if let (true, Messages::Uids(uids), Some(since)) = (vanished, messages, changed_since) {
            // What was announced and is gone is told as such, what the client knows from before as EARLIER.
            selected.tell_messages(departing, out);
            let view = selected.told();
            let known = uids.resolve(Some(view.highest_known()));
            write_vanished_earlier(&earlier(view, since, known, Uid(0)), out);
        }
        let places = match places(messages, selected) {
            Ok(places) => match partial {
                // RFC 9394 section 3.4: CHANGEDSINCE tells some of the part; the part is not one of what changed.
                Some(partial) => part(&places, &partial),
                None => places,
            },
            Err(answer) => return self.fail(&tag, answer, out),
        };
        // So that flags are as new as can be; they count as told, and who does not ask for them hears of them thereby.
        selected.tell_flags(condstore, out);
        let uid = messages.by_uid();
        let changed_since = changed_since.map(|since| since.modseq);
        let fetching =
            Box::new(Fetching::new(Some(tag), uid, items, changed_since, condstore, places, selected));
        match self.seen_request(&fetching) {
            Some(request) => {
                self.running = Running::Fetch(fetching);
                Action::Ask(request)
            }
            None => self.produce_fetch(fetching, out),
        }
    }

    /// The request that sets \Seen where the items ask for it, before anything is told: the flags come with the FETCH.
    fn seen_request(&self, fetching: &Fetching) -> Option<Request> {
        let selected = self.selected.as_ref()?;
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        if selected.usable(Rights::SEEN).is_empty() || !fetching.items.iter().any(FetchItem::sets_seen) {
            return None;
        }
        let places: Places = fetching.places.iter().cloned().collect();
        let unseen = |row: &&Row| fetching.is_wanted(row) && !row.flags.contains(&Flag::Seen);
        let entries: Vec<_> = rows(&places, &fetching.told)
            .map(|(_, row)| current(&fetching.flags, &fetching.told, row))
            .filter(unseen)
            .map(|row| row.facts.entry)
            .collect();
        let store = |entries| Request::Store {
            account,
            mailbox,
            entries,
            change: FlagChange::Add,
            flags: vec![Flag::Seen],
            unchanged_since: None,
        };
        (!entries.is_empty()).then(|| self.permitted((account, mailbox), Rights::SEEN, store(entries)))
    }

    pub(super) fn fetch_answered(
        &mut self,
        mut fetching: Box<Fetching>,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::Stored { view, .. }) => {
                let Some(selected) = &mut self.selected else { return self.waiting() };
                selected.offer(&view);
                let mut changes = selected.take_flag_changes(self.condstore);
                // What this FETCH shows comes with it; what else changed meanwhile is told here.
                for (uid, _) in std::mem::take(&mut changes) {
                    if fetching.covers(uid) {
                        fetching.seen.insert(uid);
                    } else {
                        changes.insert(uid, super::selected::Change::Flags);
                    }
                }
                selected.tell(&changes, Items { uid: self.condstore, modseq: self.condstore }, out);
                fetching.flags = selected.flags_told().clone();
            }
            // Reading goes on where nothing can be written.
            Ok(_) => tracing::error!("the store answered a STORE with something else"),
            Err(error) => tracing::warn!(%error, "messages that are being read could not be marked as seen"),
        }
        self.produce_fetch(fetching, out)
    }

    pub(super) fn produce_fetch(&mut self, mut fetching: Box<Fetching>, out: &mut Vec<u8>) -> Action {
        match fetching.produce(&mut Bodies::new(&self.store), out) {
            Progress::More => {
                self.running = Running::Fetch(fetching);
                Action::Continue
            }
            Progress::Broken => Action::Close,
            Progress::Done => {
                let Some(tag) = fetching.tag.take() else { return self.notice(out) };
                let (telling, answer) = match (fetching.failure.take(), fetching.answer.take()) {
                    (_, Some(answer)) => (Telling::Nothing, answer),
                    (Some(failure), None) => (Telling::for_numbers(fetching.uid), failure),
                    (None, None) => (Telling::for_numbers(fetching.uid), fetching.outcome()),
                };
                self.finish(&tag, telling, answer, out)
            }
        }
    }
}

/// How far a FETCH came.
enum Progress {
    More,
    Done,
    /// A body could not be read after some of it was sent: the connection cannot be kept.
    Broken,
}

impl Fetching {
    /// What changed of the messages at these places, as a part of SELECT, which is answered afterwards.
    pub(super) fn resync(tag: Tag, since: u64, places: Places, selected: &Selected, answer: Answer) -> Self {
        let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::Modseq];
        let fetching = Fetching::new(Some(tag), true, items, Some(since), true, places, selected);
        Fetching { answer: Some(answer), ..fetching }
    }

    /// What a client wants to hear of new messages at these places.
    pub(super) fn unasked(
        mut items: Vec<FetchItem>,
        condstore: bool,
        places: Places,
        selected: &Selected,
    ) -> Self {
        // RFC 7162 section 3.2.4
        if condstore && items.contains(&FetchItem::Flags) && !items.contains(&FetchItem::Modseq) {
            items.push(FetchItem::Modseq);
        }
        Fetching::new(None, false, items, None, condstore, places, selected)
    }

    fn new(
        tag: Option<Tag>,
        uid: bool,
        mut items: Vec<FetchItem>,
        changed_since: Option<u64>,
        condstore: bool,
        places: Places,
        selected: &Selected,
    ) -> Self {
        let has = |items: &[FetchItem], item: &FetchItem| items.contains(item);
        if uid && !selected.uid_only && !has(&items, &FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        // RFC 7162 section 3.1.4.1: CHANGEDSINCE asks for MODSEQ, too.
        if changed_since.is_some() && !has(&items, &FetchItem::Modseq) {
            items.push(FetchItem::Modseq);
        }
        let message = items.iter().any(|item| item::needs_body(item) || item::needs_structure(item));
        Fetching {
            tag,
            uid,
            uid_only: selected.uid_only,
            cost: if message { COST_OF_A_MESSAGE } else { 1 },
            items,
            changed_since,
            condstore,
            told: selected.told().clone(),
            flags: selected.flags_told().clone(),
            places: places.into(),
            batch: VecDeque::new(),
            seen: BTreeSet::new(),
            open: None,
            failure: None,
            unknown_encoding: false,
            answer: None,
        }
    }

    /// Whether a message is told in part, so that nothing but the rest of it may follow.
    pub(super) fn is_within_message(&self) -> bool {
        self.open.is_some()
    }

    fn is_wanted(&self, row: &Row) -> bool {
        self.changed_since.is_none_or(|since| modseq(row.modseq) > since)
    }

    /// Whether the FETCH is about the message of this UID.
    fn covers(&self, uid: Uid) -> bool {
        let place = self.told.rows.rank(uid);
        let range = self.places.get(self.places.partition_point(|range| range.end <= place));
        self.told.rows.find(uid).is_some() && range.is_some_and(|range| range.contains(&place))
    }

    fn produce(&mut self, bodies: &mut Bodies<'_>, out: &mut Vec<u8>) -> Progress {
        let full = out.len().saturating_add(PIECE_OCTETS);
        let (mut looked, mut budget) = (0, DECODED_A_PIECE);
        loop {
            if let Some(mut open) = self.open.take() {
                match open.write(&self.items, full, &mut budget, out) {
                    Ok(true) => {
                        if let Some(error) = open.take_failure() {
                            self.note_failure(&error);
                        }
                    }
                    Ok(false) => {
                        self.open = Some(open);
                        return Progress::More;
                    }
                    Err(error) => {
                        tracing::error!(%error, "a body could not be read while it was being sent");
                        return Progress::Broken;
                    }
                }
            }
            if out.len() >= full || looked >= ROWS_A_PIECE {
                return Progress::More;
            }
            let Some((place, row)) = self.next_row(&mut looked) else { return Progress::Done };
            if self.is_wanted(&row) {
                self.begin(place, row, bodies, out);
            }
        }
    }

    /// Begins the response for a message; one that cannot be read is left out.
    fn begin(&mut self, place: usize, row: Row, bodies: &mut Bodies<'_>, out: &mut Vec<u8>) {
        let became_seen = self.seen.contains(&row.uid);
        let extra = Items {
            uid: became_seen && self.condstore && !self.uid_only && !self.items.contains(&FetchItem::Uid),
            modseq: became_seen && self.condstore && !self.items.contains(&FetchItem::Modseq),
        };
        let flags = became_seen && !self.items.contains(&FetchItem::Flags);
        let kept = became_seen.then(|| row.clone());
        match OpenMessage::new(place, row, &self.items, bodies) {
            Ok(mut open) => {
                open.start(self.uid_only, flags, extra, out);
                self.open = Some(open);
            }
            Err(left_out) => {
                match left_out {
                    LeftOut::Unreadable(error) => self.note_failure(&error),
                    LeftOut::UnknownEncoding => self.unknown_encoding = true,
                }
                if let Some(row) = kept {
                    // The client has to hear of that nevertheless.
                    let mut open = OpenMessage::bare(place, row);
                    open.start(
                        self.uid_only,
                        true,
                        Items { uid: !self.uid_only && (self.condstore || self.uid), modseq: self.condstore },
                        out,
                    );
                    out.extend_from_slice(b")\r\n");
                }
            }
        }
    }

    /// How the command is answered when everything could be read.
    fn outcome(&self) -> Answer {
        match self.unknown_encoding {
            // RFC 3516 section 4.3
            true => Answer::no("UNKNOWN-CTE", "Some of it is in a transfer encoding that is not known here"),
            false => Answer::ok("Completed"),
        }
    }

    fn note_failure(&mut self, error: &ReadError) {
        tracing::error!(%error, "a message could not be read");
        self.failure.get_or_insert_with(|| Answer::unreadable(error));
    }

    fn next_row(&mut self, looked: &mut usize) -> Option<(usize, Row)> {
        while self.batch.is_empty() {
            let range = self.places.pop_front()?;
            let end = range.end.min(range.start.saturating_add(ROWS_A_BATCH));
            if end < range.end {
                self.places.push_front(end..range.end);
            }
            let batch: Places = std::iter::once(range.start..end).collect();
            for (place, row) in rows(&batch, &self.told) {
                self.batch.push_back((place, current(&self.flags, &self.told, row).clone()));
            }
        }
        *looked += self.cost;
        self.batch.pop_front()
    }
}
