//! The selected mailbox: what the client was told of it, and telling it what changed (RFC 9051 section 7.5.1).
//!
//! Two views are kept apart. `told` decides which messages there are, under which sequence numbers and UIDs; it moves on
//! only where EXPUNGE is allowed. `flags_told` decides which flags the client knows of them; it may run ahead, because flag
//! changes may be told at any time that a command runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use mailstore::crdt::clock::Timestamp;
use mailstore::crdt::flag::{Flag, FlagSet, Keyword};
use mailstore::crdt::identity::{EntryId, MailboxId, Uid};
use mailstore::crdt::left_out::{LeftOut, leaves_out};
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::{MailboxView, Row};
use mailstore::request::{Look, modseq};

use super::access::{Access, no_permission};
use super::answer::Answer;
use super::numbers::{Places, sequence};
use super::put::{self, put};
use super::waiting::{or_never, renewed};

/// The most keywords that a FLAGS response lists; messages may carry others nevertheless.
const MOST_KEYWORDS_LISTED: usize = 500;

/// What a line of FETCH about changed flags carries beside FLAGS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Items {
    /// UID, as a UID command has to.
    pub(super) uid: bool,
    /// MODSEQ, as everybody who enabled CONDSTORE has to be told (RFC 7162 section 3.2.4).
    pub(super) modseq: bool,
}

/// How messages that are gone are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departing {
    /// By EXPUNGE and sequence number.
    Expunge,
    /// By VANISHED and UID, once QRESYNC or UIDONLY is enabled (RFC 7162 section 3.2.10, RFC 9586 section 3.3).
    Vanished,
}

/// What there is to tell of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its flags.
    Flags,
    /// Its MODSEQ alone: the client knows the flags.
    Stamp,
}

/// What the client hears of the mailbox (RFC 5465 section 3.1). What it does not hear of comes over it nevertheless: flags that it
/// fetches are those of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hears {
    /// Of messages that come and go.
    pub(super) messages: bool,
    /// Of flags that others change.
    pub(super) flags: bool,
    /// Of the latter with the UID.
    pub(super) uids: bool,
}

impl Hears {
    /// As it is without NOTIFY.
    pub(super) const EVERYTHING: Hears = Hears { messages: true, flags: true, uids: false };
}

/// The selected mailbox of a session.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) mailbox: MailboxId,
    /// What the session may do with it.
    pub(super) access: Access,
    /// Whether it was selected by EXAMINE.
    examined: bool,
    /// Whether the client is told UIDs in the place of sequence numbers (RFC 9586).
    pub(super) uid_only: bool,
    /// Whether every FETCH line carries the UID.
    uids: bool,
    pub(super) hears: Hears,
    look: Look,
    told_read_only: bool,
    newest: Arc<MailboxView>,
    told: Arc<MailboxView>,
    flags_told: Arc<MailboxView>,
    /// The view that was newest when everything was told that may be told at any time.
    offered: Arc<MailboxView>,
    /// Where the messages begin of which EXISTS was told, and nothing else.
    added: Option<Uid>,
    /// Those of them that the client added itself.
    own: BTreeSet<Uid>,
    /// HIGHESTMODSEQ as the client was told it last.
    highest_told: Timestamp,
    keywords: BTreeSet<Keyword>,
    /// What `$` stands for (RFC 5182), in ascending ranges that neither touch nor overlap. A message that is gone is in no
    /// view, and its UID never comes back.
    saved: Vec<RangeInclusive<Uid>>,
}

impl Selected {
    /// The mailbox as a look at it begins.
    pub(super) fn new(mut look: Look, access: Access, examined: bool, uid_only: bool) -> Self {
        let view = look.view.borrow_and_update().clone();
        let read_only = examined || !access.rights().intersect(Rights::WRITING);
        Selected {
            mailbox: view.mailbox,
            access,
            examined,
            uid_only,
            uids: false,
            hears: Hears::EVERYTHING,
            look,
            told_read_only: read_only,
            newest: view.clone(),
            told: view.clone(),
            flags_told: view.clone(),
            offered: view.clone(),
            added: None,
            own: BTreeSet::new(),
            highest_told: view.highest_modseq,
            keywords: keywords_of(&view),
            saved: Vec::new(),
        }
    }

    /// Every FETCH line carries the UID from now on (RFC 9051 section 7.5.2).
    pub(super) fn tell_uids(&mut self) {
        self.uids = true;
    }

    /// Whether nothing can be changed: it was selected by EXAMINE, or the rights allow no more (RFC 4314 section 5.2).
    pub(super) fn is_read_only(&self) -> bool {
        self.examined || !self.access.rights().intersect(Rights::WRITING)
    }

    /// Those of these rights that the session may make use of in the mailbox.
    pub(super) fn usable(&self, rights: Rights) -> Rights {
        if self.examined { Rights::NONE } else { self.access.rights() & rights }
    }

    /// Checks that something may be changed that takes all of these rights.
    pub(super) fn check(&self, rights: Rights) -> Result<(), Answer> {
        if self.examined {
            return Err(Answer::no("READ-ONLY", "The mailbox is selected read-only"));
        }
        match rights - self.access.rights() {
            Rights::NONE => Ok(()),
            missing => Err(no_permission(missing)),
        }
    }

    /// Tells of rights that were given or taken since the mailbox was selected, as far as clients are told of such things
    /// (RFC 9051 section 7.1: PERMANENTFLAGS, READ-ONLY, READ-WRITE).
    pub(super) fn tell_rights(&mut self, out: &mut Vec<u8>) {
        self.refresh();
        if self.ended().is_some() {
            return;
        }
        let was_read_only = self.told_read_only;
        self.told_read_only = self.is_read_only();
        if was_read_only != self.told_read_only {
            let code = if self.told_read_only { "READ-ONLY" } else { "READ-WRITE" };
            Answer::ok("You have other rights to the mailbox now").code(code).write_untagged(out);
        }
        if self.access.take_changes().intersect(Rights::FLAGS) && !self.examined {
            self.write_flags(out);
        }
    }

    /// The view in which the client's numbers mean something.
    pub(super) fn told(&self) -> &Arc<MailboxView> {
        if leaves_out(LeftOut::OwnMap) { &self.newest } else { &self.told }
    }

    /// The view that the flags and MODSEQs are taken of. Its messages may differ from those told.
    pub(super) fn flags_told(&self) -> &Arc<MailboxView> {
        &self.flags_told
    }

    /// A told row with the flags that the client was told last. One that was expunged meanwhile keeps what it had
    /// (RFC 2180 section 4.1.2).
    pub(super) fn current<'a>(&'a self, row: &'a Row) -> &'a Row {
        current(&self.flags_told, &self.told, row)
    }

    /// A told row as the newest view has it, where it is still there.
    pub(super) fn current_newest<'a>(&'a self, row: &'a Row) -> &'a Row {
        current(&self.newest, &self.told, row)
    }

    /// The UIDs that `$` stands for.
    pub(super) fn saved(&self) -> &[RangeInclusive<Uid>] {
        &self.saved
    }

    /// From now on `$` stands for these messages.
    pub(super) fn save(&mut self, mut uids: Vec<Uid>) {
        uids.sort_unstable();
        self.saved.clear();
        for uid in uids {
            match self.saved.last_mut() {
                Some(last) if uid <= last.end().next() => *last = *last.start()..=uid,
                _ => self.saved.push(uid..=uid),
            }
        }
    }

    /// Takes note of a view that a request was answered with.
    pub(super) fn offer(&mut self, view: &Arc<MailboxView>) {
        if view.mailbox == self.mailbox && age(view) >= age(&self.newest) {
            self.newest = view.clone();
        }
    }

    /// Takes note of the newest view.
    pub(super) fn refresh(&mut self) {
        let view = self.look.view.borrow_and_update().clone();
        if view.mailbox != self.mailbox || age(&view) >= age(&self.newest) {
            self.newest = view;
        }
        self.access.refresh();
    }

    /// Comes back when there is something newer of the owner's account, which may have taken the right to read, or, where messages
    /// are of interest, of them. Never, where the store is gone.
    pub(super) async fn changed(&mut self, messages: bool) {
        let Selected { look, access, .. } = self;
        let messages = or_never(messages.then(|| renewed(&mut look.view)));
        tokio::select! {
            biased;
            () = access.changed() => {}
            () = messages => {}
        }
    }

    /// Why the session cannot go on with this mailbox, if so (RFC 2180 section 3, RFC 9051 section 2.3.1.1).
    pub(super) fn ended(&self) -> Option<&'static str> {
        if self.newest.deleted {
            Some("The selected mailbox was deleted")
        } else if !self.access.rights().contain(Rights::READ) {
            Some("You may not read the selected mailbox any more")
        } else if leaves_out(LeftOut::Bye) {
            None
        } else if self.newest.validity != self.told.validity || self.newest.mailbox != self.told.mailbox {
            Some(
                "The messages of the selected mailbox were numbered anew (UIDVALIDITY); please connect again",
            )
        } else {
            None
        }
    }

    /// Tells everything that changed and that the client hears of: EXPUNGE or VANISHED, EXISTS, FETCH. Only where EXPUNGE is
    /// allowed.
    pub(super) fn tell_everything(&mut self, modseq: bool, departing: Departing, out: &mut Vec<u8>) {
        if self.hears.messages {
            self.tell_messages(departing, out);
        }
        self.tell_flags(modseq, out);
        self.offered = self.newest.clone();
    }

    /// Tells everything that changed, EXPUNGE and VANISHED excepted.
    pub(super) fn tell_additions(&mut self, modseq: bool, out: &mut Vec<u8>) {
        self.refresh();
        if self.hears.messages && self.ended().is_none() {
            let changes = self.newest.changes_since(&self.told);
            if let Some(first) = changes.added.first() {
                let told = self.told.with_added(&self.newest);
                put!(out, "* {} EXISTS\r\n", told.rows.len());
                self.added.get_or_insert(*first);
                self.told = Arc::new(told);
            }
        }
        self.tell_flags(modseq, out);
        self.offered = self.newest.clone();
    }

    /// Whether there may be something to tell since everything was told that may be told at any time.
    pub(super) fn has_news(&mut self) -> bool {
        self.refresh();
        !Arc::ptr_eq(&self.newest, &self.offered)
    }

    /// Whether [`Self::take_added`] may give something.
    pub(super) fn has_added(&self) -> bool {
        self.added.is_some()
    }

    /// The client adds these messages itself.
    pub(super) fn add_own(&mut self, uids: impl Iterator<Item = Uid>) {
        self.own.extend(uids);
    }

    /// The places of the messages of which EXISTS was told since this was asked last; without those that the client added itself
    /// (RFC 5465 section 5.2).
    pub(super) fn take_added(&mut self) -> Places {
        let Some(first) = self.added.take() else { return Places::new() };
        let own = std::mem::take(&mut self.own);
        let mut places = Places::new();
        let rows = self.told.rows.from(first).zip(self.told.rows.rank(first)..);
        for (_, place) in rows.filter(|(row, _)| !own.contains(&row.uid)) {
            match places.last_mut() {
                Some(last) if last.end == place => last.end = place + 1,
                _ => places.push(place..place + 1),
            }
        }
        places
    }

    /// Tells which messages are gone and which are new. Only where EXPUNGE is allowed.
    pub(super) fn tell_messages(&mut self, departing: Departing, out: &mut Vec<u8>) {
        self.refresh();
        if Arc::ptr_eq(&self.newest, &self.told) || self.ended().is_some() {
            return;
        }
        let changes = self.newest.changes_since(&self.told);
        self.tell_gone(&changes.expunged, departing, out);
        if let Some(first) = changes.added.first() {
            put!(out, "* {} EXISTS\r\n", self.newest.rows.len());
            self.added.get_or_insert(*first);
        }
        self.told = self.newest.clone();
    }

    /// The same the other way round: a message was replaced, and there is no moment without either of them.
    pub(super) fn tell_arrivals_first(&mut self, departing: Departing, out: &mut Vec<u8>) {
        self.refresh();
        if self.ended().is_some() {
            return;
        }
        let changes = self.newest.changes_since(&self.told);
        if let Some(first) = changes.added.first() {
            put!(out, "* {} EXISTS\r\n", self.told.rows.len() + changes.added.len());
            self.added.get_or_insert(*first);
        }
        self.tell_gone(&changes.expunged, departing, out);
        self.told = self.newest.clone();
    }

    fn tell_gone(&self, gone: &[Uid], departing: Departing, out: &mut Vec<u8>) {
        match departing {
            Departing::Expunge => {
                for uid in gone.iter().rev() {
                    put!(out, "* {} EXPUNGE\r\n", sequence(self.told.rows.rank(*uid)));
                }
            }
            Departing::Vanished if !gone.is_empty() => {
                out.extend_from_slice(b"* VANISHED ");
                put::set(gone.iter().map(|uid| uid.0), out);
                out.extend_from_slice(b"\r\n");
            }
            Departing::Vanished => {}
        }
    }

    /// HIGHESTMODSEQ up to which everything was told, where the client has to hear it: it takes another for it, or would
    /// take the MODSEQ of a FETCH for it although an EXPUNGE or EXISTS with a lower one is held back (RFC 7162 sections
    /// 3.2 and 6). The first matters only to those who resynchronize by it.
    pub(super) fn highest_due(&mut self, qresync: bool) -> Option<u64> {
        let mut held_back = !Arc::ptr_eq(&self.told, &self.flags_told);
        if held_back {
            let changes = self.flags_told.changes_since(&self.told);
            if changes.expunged.is_empty() && changes.added.is_empty() {
                self.told = self.flags_told.clone();
                held_back = false;
            }
        }
        if !self.hears.flags {
            // It would stand for flags that the client was not told, either.
            return None;
        }
        let highest = self.told.highest_modseq;
        let due = held_back || (qresync && highest != self.highest_told);
        self.highest_told = highest;
        due.then(|| modseq(highest))
    }

    /// Tells of changed flags alone. Where a command runs that allows no EXPUNGE.
    pub(super) fn tell_flags(&mut self, modseq: bool, out: &mut Vec<u8>) {
        let changes = self.take_flag_changes(modseq);
        if !self.hears.flags {
            return;
        }
        self.tell(&changes, Items { uid: modseq, modseq }, out);
    }

    /// What changed of the flags of told messages since they were told; it counts as told from now on.
    pub(super) fn take_flag_changes(&mut self, stamps: bool) -> BTreeMap<Uid, Change> {
        self.refresh();
        if self.ended().is_some() || Arc::ptr_eq(&self.newest, &self.flags_told) {
            return BTreeMap::new();
        }
        let changes = self.newest.changes_since(&self.flags_told);
        self.flags_told = self.newest.clone();
        let stamped = changes.stamped.into_iter().filter(|_| stamps).map(|uid| (uid, Change::Stamp));
        let flagged = changes.flagged.into_iter().map(|uid| (uid, Change::Flags));
        stamped.chain(flagged).collect()
    }

    /// Appends a FETCH line for each of these messages; those that are not in both views are passed over.
    pub(super) fn tell(&mut self, changes: &BTreeMap<Uid, Change>, items: Items, out: &mut Vec<u8>) {
        let items = Items { uid: (items.uid || self.uids || self.hears.uids) && !self.uid_only, ..items };
        let rows: Vec<(Change, Row)> = changes
            .iter()
            .filter_map(|(uid, change)| Some((*change, self.flags_told.rows.find(*uid)?.clone())))
            .collect();
        self.tell_keywords(rows.iter().map(|(_, row)| row.flags.as_ref()), out);
        for (change, row) in rows {
            if self.told.rows.find(row.uid).is_some() {
                let place = (!self.uid_only).then(|| self.told.rows.rank(row.uid));
                fetch_line(place, &row, change, items, out);
            }
        }
    }

    /// Appends FLAGS and PERMANENTFLAGS as the answer to SELECT has them (RFC 9051 sections 7.3.5 and 7.1).
    pub(super) fn write_flags(&self, out: &mut Vec<u8>) {
        let known: FlagSet = SYSTEM_FLAGS
            .into_iter()
            .chain(self.keywords.iter().take(MOST_KEYWORDS_LISTED).cloned().map(Flag::Keyword))
            .collect();
        out.extend_from_slice(b"* FLAGS ");
        put::flags(&known, out);
        out.extend_from_slice(b"\r\n* OK [PERMANENTFLAGS ");
        if self.is_read_only() {
            out.extend_from_slice(b"()] The mailbox is read-only\r\n");
            return;
        }
        let rights = self.access.rights();
        let permanent: FlagSet = known.iter().filter(|flag| rights.contain(flag.right())).cloned().collect();
        put::flags(&permanent, out);
        if !rights.contain(Rights::WRITE) {
            out.extend_from_slice(b"] Flags that you may change are kept\r\n");
            return;
        }
        out.pop();
        out.extend_from_slice(b" \\*)] Flags are kept, and new keywords may be made\r\n");
    }

    /// Announces keywords that no FLAGS response named yet, before they are used.
    pub(super) fn tell_keywords<'a>(&mut self, sets: impl Iterator<Item = &'a FlagSet>, out: &mut Vec<u8>) {
        let before = self.keywords.len();
        add_keywords(sets, &mut self.keywords);
        if self.keywords.len() > before && before < MOST_KEYWORDS_LISTED {
            self.write_flags(out);
        }
    }
}

const SYSTEM_FLAGS: [Flag; 5] = [Flag::Seen, Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Draft];

/// A row of `told` as `flags` has it, where it is still there.
pub(super) fn current<'a>(flags: &'a Arc<MailboxView>, told: &Arc<MailboxView>, row: &'a Row) -> &'a Row {
    if Arc::ptr_eq(flags, told) { row } else { flags.rows.find(row.uid).unwrap_or(row) }
}

/// The order in which views of one mailbox follow each other.
fn age(view: &MailboxView) -> (bool, Option<u32>, u64) {
    (view.deleted, view.validity.map(|validity| validity.0), view.highest_modseq.bits())
}

fn keywords_of(view: &MailboxView) -> BTreeSet<Keyword> {
    let mut keywords = BTreeSet::new();
    add_keywords(view.rows.iter().map(|row| row.flags.as_ref()), &mut keywords);
    keywords
}

fn add_keywords<'a>(sets: impl Iterator<Item = &'a FlagSet>, keywords: &mut BTreeSet<Keyword>) {
    // Keywords sort last, so that most messages are done with after one look.
    for flag in sets.flat_map(|flags| flags.iter().rev().take_while(|flag| matches!(flag, Flag::Keyword(_))))
    {
        if let Flag::Keyword(keyword) = flag
            && keywords.len() <= MOST_KEYWORDS_LISTED
            && !keywords.contains(keyword)
        {
            keywords.insert(keyword.clone());
        }
    }
}

/// Appends one untagged FETCH about flags, or a UIDFETCH where there is no place to tell.
fn fetch_line(place: Option<usize>, row: &Row, change: Change, items: Items, out: &mut Vec<u8>) {
    put::fetch(place.map(sequence), row.uid, out);
    if items.uid && place.is_some() {
        out.extend_from_slice(b"UID ");
        put::number(row.uid.0.into(), out);
        out.push(b' ');
    }
    if change == Change::Flags {
        out.extend_from_slice(b"FLAGS ");
        put::flags(&row.flags, out);
        out.push(b' ');
    }
    if items.modseq {
        put!(out, "MODSEQ ({}) ", modseq(row.modseq));
    }
    out.pop();
    out.extend_from_slice(b")\r\n");
}

/// The entries of rows.
pub(super) fn entries<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<EntryId> {
    rows.map(|row| row.facts.entry).collect()
}
