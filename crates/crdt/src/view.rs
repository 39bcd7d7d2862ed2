//! What a node shows of a mailbox: an immutable picture that sessions share and compare.
//!
//! Rows sit in chunks behind `Arc`s: a copy of a mailbox of 100,000 messages costs a few hundred pointers, and two
//! pictures are compared chunk by chunk, equal chunks by their address alone. Because whatever becomes visible has a UID
//! at or above every announced UIDNEXT (invariant U2), rows are only ever added at the end.

pub mod vanished;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, Stamp, Timestamp};
use crate::flag::FlagSet;
use crate::identity::{AccountId, BodyHash, EmailId, EntryId, MailboxId, Uid, Validity};
use crate::modseq::ForeignValues;
use vanished::Vanished;

/// The internal date of a message: a moment, and the zone that it was given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReceivedAt {
    /// Unix time in seconds.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i16,
}

/// What never changes of an entry (RFC 9051 section 2.3: dates, size and texts of a UID are constant).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    /// When and by whom it was accepted.
    pub added: Stamp,
    /// The entry itself.
    pub entry: EntryId,
    /// Its octets.
    pub body: BodyHash,
    /// Their number.
    pub size: u64,
    /// INTERNALDATE.
    pub received: ReceivedAt,
    /// EMAILID.
    pub email: EmailId,
}

/// One visible message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its UID in the epoch of the view.
    pub uid: Uid,
    /// When its last visible change became visible here.
    pub modseq: Timestamp,
    /// The flags it carries.
    pub flags: Arc<FlagSet>,
    /// When it came into this mailbox, by the clock of the node that put it there. Where two nodes that were apart moved it here,
    /// the later of both, once it is known.
    pub saved: Millis,
    /// What never changes.
    pub facts: Arc<Facts>,
}

/// When a row changed last decides nothing that a replica does, unless a client asks, nor does when it was saved: states that differ
/// in these alone have one hash.
impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.uid, &self.flags, &self.facts).hash(state);
    }
}

const CHUNK: usize = 256;

/// Rows in ascending order of UID.
#[derive(Clone, Debug, Default, Hash)]
pub struct Rows {
    chunks: Vec<Arc<Vec<Row>>>,
    count: usize,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All rows in ascending order of UID.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Row> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The rows at and above a UID.
    pub fn from(&self, uid: Uid) -> impl Iterator<Item = &Row> + '_ {
        let chunk = self.chunk_of(uid);
        let rows = self.chunks.iter().skip(chunk).flat_map(|chunk| chunk.iter());
        rows.skip_while(move |row| row.uid < uid)
    }

    /// The row of this UID.
    pub fn find(&self, uid: Uid) -> Option<&Row> {
        let chunk = self.chunks.get(self.chunk_of(uid))?;
        let place = chunk.binary_search_by_key(&uid, |row| row.uid).ok()?;
        chunk.get(place)
    }

    /// The row at this place, counted from 0: the sequence number of RFC 9051 section 2.3.1.2 less one.
    pub fn at(&self, mut place: usize) -> Option<&Row> {
        for chunk in &self.chunks {
            if place < chunk.len() {
                return chunk.get(place);
            }
            place -= chunk.len();
        }
        None
    }

    /// How many rows have a lower UID.
    pub fn rank(&self, uid: Uid) -> usize {
        let chunk = self.chunk_of(uid);
        let before: usize = self.chunks.iter().take(chunk).map(|chunk| chunk.len()).sum();
        before + self.chunks.get(chunk).map_or(0, |rows| rows.partition_point(|row| row.uid < uid))
    }

    /// The row of the highest UID.
    pub fn last(&self) -> Option<&Row> {
        self.chunks.last().and_then(|chunk| chunk.last())
    }

    /// The first chunk whose last UID is at or above this one.
    fn chunk_of(&self, uid: Uid) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|row| row.uid < uid))
    }

    /// Adds a row above all others.
    pub(crate) fn push(&mut self, row: Row) {
        assert!(
            self.last().is_none_or(|last| last.uid < row.uid),
            "U2: UID {} would become visible below one that is visible already",
            row.uid
        );
        self.count += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(row),
            _ => self.chunks.push(Arc::new(vec![row])),
        }
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, uid: Uid) -> Option<Row> {
        let place = self.chunk_of(uid);
        let chunk = self.chunks.get_mut(place)?;
        let index = chunk.binary_search_by_key(&uid, |row| row.uid).ok()?;
        let row = Arc::make_mut(chunk).remove(index);
        if chunk.is_empty() {
            self.chunks.remove(place);
        }
        self.count -= 1;
        Some(row)
    }

    /// Changes a row in its place; its UID has to stay.
    pub(crate) fn update(&mut self, uid: Uid, change: impl FnOnce(&mut Row)) -> bool {
        let place = self.chunk_of(uid);
        let Some(chunk) = self.chunks.get_mut(place) else {
            return false;
        };
        let Ok(index) = chunk.binary_search_by_key(&uid, |row| row.uid) else {
            return false;
        };
        if let Some(row) = Arc::make_mut(chunk).get_mut(index) {
            change(row);
            assert_eq!(row.uid, uid, "U3: a row keeps its UID");
        }
        true
    }
}

/// What a node shows of one mailbox at one moment.
#[derive(Clone, Debug, Hash)]
pub struct MailboxView {
    /// The account that the mailbox belongs to.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// What clients are shown as MAILBOXID: another object once the mailbox has another UIDVALIDITY than its first (RFC 8474
    /// section 4).
    pub object: MailboxId,
    /// UIDVALIDITY; `None` until somebody looks for the first time.
    pub validity: Option<Validity>,
    /// UIDNEXT: 1 + the highest UID ever shown in this epoch.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: Timestamp,
    /// The highest UID that is known to be placed in this epoch, whether it is shown here or not.
    pub highest_placed: Uid,
    /// UIDs of this epoch that name nothing any more.
    pub vanished: Arc<Vanished>,
    /// Whether the mailbox was deleted.
    pub deleted: bool,
    /// The visible messages.
    pub rows: Rows,
    /// What MODSEQ values of other nodes mean here.
    pub foreign: ForeignValues,
}

impl MailboxView {
    /// The view of a mailbox that nobody has looked at.
    pub fn unseen(account: AccountId, mailbox: MailboxId) -> Self {
        MailboxView {
            account,
            mailbox,
            object: mailbox,
            validity: None,
            uid_next: Uid::FIRST,
            highest_modseq: Timestamp::ZERO,
            highest_placed: Uid(0),
            vanished: Arc::default(),
            deleted: false,
            rows: Rows::default(),
            foreign: ForeignValues::default(),
        }
    }

    /// This view with the messages that `newer`, a later view of the same mailbox and epoch, has above them: what a client sees
    /// that is told of new messages, and not yet of those that are gone. HIGHESTMODSEQ is as it was here.
    pub fn with_added(&self, newer: &MailboxView) -> MailboxView {
        let mut view = self.clone();
        let first = self.rows.last().map_or(Uid::FIRST, |last| last.uid.next());
        newer.rows.from(first).for_each(|row| view.rows.push(row.clone()));
        view.uid_next = newer.uid_next;
        view
    }

    /// What changed since `before`, a view of the same mailbox and epoch.
    pub fn changes_since(&self, before: &MailboxView) -> ViewChanges {
        let mut changes = ViewChanges::default();
        let mut old = before.rows.chunks.iter().peekable();
        let mut new = self.rows.chunks.iter().peekable();
        let (mut old_rows, mut new_rows) = (Vec::new(), Vec::new());
        // Equal chunks at the same height are skipped by address; the rest is merged row by row.
        loop {
            match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {
                    old.next();
                    new.next();
                }
                (None, None) => break,
                (a, b) => {
                    let first = |chunk: Option<&&Arc<Vec<Row>>>| {
                        chunk.and_then(|c| c.first()).map_or(u32::MAX, |r| r.uid.0)
                    };
                    if first(a.as_ref().copied()) <= first(b.as_ref().copied()) && a.is_some() {
                        old_rows.extend(old.next().into_iter().flat_map(|chunk| chunk.iter()));
                    } else {
                        new_rows.extend(new.next().into_iter().flat_map(|chunk| chunk.iter()));
                    }
                }
            }
        }
        compare(&old_rows, &new_rows, &mut changes);
        changes
    }
}

/// Merges two sorted runs of rows.
fn compare(old: &[&Row], new: &[&Row], changes: &mut ViewChanges) {
    let (mut i, mut j) = (0, 0);
    while let Some(row) = old.get(i) {
        match new.get(j) {
            Some(now) if now.uid == row.uid => {
                if now.flags != row.flags {
                    changes.flagged.push(now.uid);
                } else if now.modseq != row.modseq {
                    changes.stamped.push(now.uid);
                }
                i += 1;
                j += 1;
            }
            Some(now) if now.uid < row.uid => {
                changes.added.push(now.uid);
                j += 1;
            }
            _ => {
                changes.expunged.push(row.uid);
                i += 1;
            }
        }
    }
    changes.added.extend(new.iter().skip(j).map(|row| row.uid));
}

/// The difference of two views of one epoch; every list ascends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewChanges {
    /// No longer visible.
    pub expunged: Vec<Uid>,
    /// Visible now, and above everything that was.
    pub added: Vec<Uid>,
    /// Visible before and now, with other flags.
    pub flagged: Vec<Uid>,
    /// Visible before and now with the same flags, and another MODSEQ.
    pub stamped: Vec<Uid>,
}

impl ViewChanges {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty()
            && self.added.is_empty()
            && self.flagged.is_empty()
            && self.stamped.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::Flag;

    fn view(uids: &[u32], flags: &[Flag]) -> MailboxView {
        let mut view = MailboxView::unseen(AccountId([1; 16]), MailboxId([2; 16]));
        for uid in uids {
            let row = vanished::tests::row(*uid);
            view.rows.push(Row { flags: Arc::new(flags.iter().cloned().collect()), ..row });
            view.uid_next = Uid(uid + 1);
        }
        view
    }

    /// What a client sees that is told of new messages and not of those that are gone; later it is told of the latter alone.
    #[test]
    fn what_is_new_comes_without_what_is_gone() {
        let before = view(&[1, 2, 3], &[]);
        let newer = view(&[2, 3, 4, 5], &[Flag::Seen]);
        let told = before.with_added(&newer);
        let uids: Vec<u32> = told.rows.iter().map(|row| row.uid.0).collect();
        assert_eq!((uids, told.rows.len(), told.uid_next), (vec![1, 2, 3, 4, 5], 5, Uid(6)));
        let changes = newer.changes_since(&told);
        assert_eq!((changes.expunged, changes.added), (vec![Uid(1)], vec![]));
        assert_eq!(changes.flagged, [Uid(2), Uid(3)], "flags are as they were");
        assert_eq!(view(&[], &[]).with_added(&newer).rows.len(), 4);
    }
}
