//! One account on one node: the state folded from its operations, and what this node shows of it.

pub mod access;
pub mod annotations;
mod app_passwords;
mod departures;
pub mod dirty;
pub mod events;
mod folding;
pub(crate) mod mailboxes;
mod messages;
mod pending;
mod refold;
mod settle;
mod usage;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, Stamp, Timestamp};
use crate::fold::access::Life;
use crate::fold::app_password::AppPasswords;
use crate::fold::entry::EntryState;
use crate::fold::mailbox::{Epoch, MailboxState, Resolution, Unit};
use crate::fold::register::Latest;
use crate::identity::{
    AccountId, DeliveryKey, EntryId, Incarnation, MailboxId, NodeSlot, SegmentId, Uid, Validity,
};
use crate::modseq::OwnValues;
use crate::operation::Quota;
use crate::placement::announcement::Announcement;
use crate::placement::limit::Merge;
use crate::placement::reach::Reach;
use crate::vector::{Sequence, Vector};
use crate::view::MailboxView;

use access::AccessLists;
use annotations::Annotations;
use departures::Departures;
use dirty::Dirty;
use events::Event;
pub(crate) use messages::{MessageCopies, MessageCopy};
pub use messages::{NewEntry, Relocated, Stored};
pub(crate) use pending::Pending;
pub use usage::Usage;

/// For how long after a delivery the same octets for the same mailbox are the same delivery, in milliseconds: longer than
/// MTAs retry (RFC 5321 section 4.5.4.1: four to five days).
pub const REDELIVERY_MILLISECONDS: u64 = 7 * 24 * 60 * 60 * 1000;

/// What is folded of the account itself: it is little, and every account's is kept at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountHead {
    name: Option<Latest<String>>,
    created: Option<Stamp>,
    removed: Option<Stamp>,
    password: Option<Latest<String>>,
    subscriptions: BTreeMap<String, Latest<bool>>,
    /// The greatest UIDVALIDITY that a mailbox of this name ever had (a max-register for each name).
    validity_of_name: BTreeMap<String, Validity>,
    /// The greatest UIDVALIDITY of all mailboxes: two of one account never share a value.
    greatest_validity: Option<Validity>,
    // What was added since the first format of the table stands behind it ([`AccountHead::decode`]).
    quota: Option<Latest<Quota>>,
    annotations: Annotations,
    app_passwords: AppPasswords,
    rights: AccessLists,
}

impl AccountHead {
    /// The name as written.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("", |name| &name.value)
    }

    /// Whether it was created and not removed since.
    pub fn exists(&self) -> bool {
        self.created.is_some() && self.created > self.removed
    }

    /// Which of the accounts that ever bore the name it is.
    pub fn life(&self) -> Life {
        Life(self.removed)
    }

    /// What is kept of the password: hash and keys as text, which the store above reads.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.value.as_str())
    }

    /// The subscribed names; those of an account that was removed are not those of one that is added under its name.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        let counts = |register: &Latest<bool>| register.value && Some(register.stamp) > self.removed;
        self.subscriptions.iter().filter(move |(_, register)| counts(register)).map(|(name, _)| name.as_str())
    }

    /// How much it may hold; that of an account that was removed is not that of one that is added under its name.
    pub fn quota(&self) -> Quota {
        let register = self.quota.as_ref().filter(|register| Some(register.stamp) > self.removed);
        register.map_or_else(Quota::default, |register| register.value)
    }

    /// Annotations of its mailboxes and its own (RFC 5464).
    pub fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// Who may do what with its mailboxes (RFC 4314).
    pub fn rights(&self) -> &AccessLists {
        &self.rights
    }

    /// The head as it lies in the table `accounts`. A row of the first format ends before what was added since.
    pub fn decode(row: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(row).or_else(|error| match postcard::take_from_bytes::<FirstHead>(row) {
            Ok((first, [])) => Ok(first.into()),
            _ => Err(error),
        })
    }
}

/// [`AccountHead`] in the first format of the table `accounts`.
#[derive(Deserialize)]
struct FirstHead {
    name: Option<Latest<String>>,
    created: Option<Stamp>,
    removed: Option<Stamp>,
    password: Option<Latest<String>>,
    subscriptions: BTreeMap<String, Latest<bool>>,
    validity_of_name: BTreeMap<String, Validity>,
    greatest_validity: Option<Validity>,
}

impl From<FirstHead> for AccountHead {
    fn from(first: FirstHead) -> Self {
        AccountHead {
            name: first.name,
            created: first.created,
            removed: first.removed,
            password: first.password,
            subscriptions: first.subscriptions,
            validity_of_name: first.validity_of_name,
            greatest_validity: first.greatest_validity,
            ..AccountHead::default()
        }
    }
}

/// One account on one node.
#[derive(Clone, Debug, Hash)]
pub struct Account {
    id: AccountId,
    head: AccountHead,
    mailboxes: BTreeMap<MailboxId, MailboxState>,
    segments: BTreeMap<SegmentId, Vec<EntryState>>,
    /// The segment that this life is filling.
    open_segment: Option<u32>,

    // Derived from the above.
    resolution: Resolution,
    live: BTreeMap<MailboxId, usize>,
    live_in: BTreeMap<EntryId, MailboxId>,
    /// The sizes of those that count.
    counted: BTreeMap<EntryId, u64>,
    usage: Usage,
    twins: BTreeMap<DeliveryKey, Vec<EntryId>>,

    // This node's own: primary data, and the bodies that it lacks.
    pub(crate) views: BTreeMap<MailboxId, MailboxView>,
    shown_at: BTreeMap<EntryId, (MailboxId, Uid)>,
    absent: BTreeSet<EntryId>,
    pub(crate) pending: BTreeMap<MailboxId, BTreeMap<EntryId, Pending>>,
    /// The mailbox under which an entry is pending: at most one.
    pending_in: BTreeMap<EntryId, MailboxId>,
    pub(crate) deadlines: BTreeMap<MailboxId, Millis>,
    /// How far UIDs may reach that nobody here knows of.
    pub(crate) reaches: BTreeMap<MailboxId, Reach>,
    /// Until when the placer alone places (rule 7).
    pub(crate) ordered: BTreeMap<MailboxId, Millis>,
    /// What the last merge made this node reissue.
    pub(crate) merges: BTreeMap<MailboxId, Merge>,
    /// What peers announced, the newest of each.
    pub(crate) heard: BTreeMap<MailboxId, BTreeMap<NodeSlot, Announcement>>,
    /// The most that a life of each told which was lost since, until it is adopted: its successors tell less. Known until the next start.
    pub(crate) fallen: BTreeMap<MailboxId, BTreeMap<NodeSlot, Announcement>>,
    /// What peers had shown when this node last issued a HIGHESTMODSEQ above theirs.
    pub(crate) raised_above: BTreeMap<(MailboxId, NodeSlot), Vector>,
    /// What this node told peers last: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ.
    pub(crate) told: BTreeMap<MailboxId, (Validity, Uid, Timestamp)>,
    /// Those of which something waited then.
    pub(crate) told_waiting: BTreeSet<MailboxId>,
    /// The lives that told the same before, where one did.
    pub(crate) adopted: BTreeMap<MailboxId, Incarnation>,
    /// Mailboxes of which peers are still to be told.
    pub(crate) unannounced: BTreeSet<MailboxId>,
    /// The last record of every life that wrote to this account, as far as it is here.
    pub(crate) touched_by: Vector,
    /// Slots of which values mean nothing.
    pub(crate) forked: BTreeSet<NodeSlot>,
    /// What was visible at which MODSEQ.
    pub(crate) own_values: BTreeMap<MailboxId, OwnValues>,

    // What the present batch has changed.
    touched: BTreeSet<EntryId>,
    /// Of these the ones whose flags were written, whatever they are now.
    rewritten: BTreeSet<EntryId>,
    /// The first records, by author, of the delta that is being taken in.
    pub(crate) arriving: Vec<(Incarnation, Sequence)>,
    mailboxes_changed: bool,
    departures: Departures,
    pub(crate) dirty: Dirty,
    pub(crate) events: Vec<Event>,
}

/// What a node keeps of an account on its disk, to be loaded again.
#[derive(Debug, Default)]
pub struct AccountImage {
    /// The account itself.
    pub head: AccountHead,
    /// Its mailboxes.
    pub mailboxes: BTreeMap<MailboxId, MailboxState>,
    /// Its entries.
    pub segments: BTreeMap<SegmentId, Vec<EntryState>>,
    /// Entries whose bodies are not here.
    pub absent: BTreeSet<EntryId>,
    /// What was shown and announced; rows without flags and facts, which the entries have.
    pub shown: Vec<crate::placement::shown::ShownImage>,
    /// What peers, and this node itself, announced.
    pub announcements: Vec<Announcement>,
    /// The last record of every life that wrote to this account.
    pub touched_by: Vector,
}

impl Account {
    /// An account of which nothing is known yet.
    pub fn new(id: AccountId) -> Self {
        Account {
            id,
            head: AccountHead::default(),
            mailboxes: BTreeMap::new(),
            segments: BTreeMap::new(),
            open_segment: None,
            resolution: Resolution::default(),
            live: BTreeMap::new(),
            live_in: BTreeMap::new(),
            counted: BTreeMap::new(),
            usage: Usage::default(),
            twins: BTreeMap::new(),
            views: BTreeMap::new(),
            shown_at: BTreeMap::new(),
            absent: BTreeSet::new(),
            pending: BTreeMap::new(),
            pending_in: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            reaches: BTreeMap::new(),
            ordered: BTreeMap::new(),
            merges: BTreeMap::new(),
            heard: BTreeMap::new(),
            fallen: BTreeMap::new(),
            raised_above: BTreeMap::new(),
            told: BTreeMap::new(),
            told_waiting: BTreeSet::new(),
            adopted: BTreeMap::new(),
            unannounced: BTreeSet::new(),
            touched_by: Vector::new(),
            forked: BTreeSet::new(),
            own_values: BTreeMap::new(),
            touched: BTreeSet::new(),
            rewritten: BTreeSet::new(),
            arriving: Vec::new(),
            mailboxes_changed: false,
            departures: Departures::default(),
            dirty: Dirty::default(),
            events: Vec::new(),
        }
    }

    /// The account as it stands on the disk of the node in slot `here`. `now` is when its pending entries begin to wait.
    pub fn load(id: AccountId, here: NodeSlot, image: AccountImage, now: Millis) -> Self {
        let mut account = Account::new(id);
        account.head = image.head;
        account.mailboxes = image.mailboxes;
        account.segments = image.segments;
        account.absent = image.absent;
        for entry in account.all_entries() {
            account.index_twin(entry);
        }
        account.restore_views(image.shown);
        account.reindex(now);
        account.end_former_views();
        account.touched_by = image.touched_by;
        account.begin_values(here, image.announcements);
        account.dirty = Dirty::default();
        account.events.clear();
        account
    }

    /// Its identity.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// Name, password and subscriptions.
    pub fn head(&self) -> &AccountHead {
        &self.head
    }

    /// The mailboxes as clients know them.
    pub fn units(&self) -> &[Unit] {
        self.resolution.units()
    }

    /// The mailbox that an identity belongs to.
    pub fn unit(&self, mailbox: MailboxId) -> Option<&Unit> {
        self.resolution.of(mailbox)
    }

    /// The mailbox of this name.
    pub fn unit_by_name(&self, name: &str) -> Option<&Unit> {
        self.resolution.by_name(name)
    }

    /// What is folded of one mailbox.
    pub fn mailbox_state(&self, mailbox: &MailboxId) -> Option<&MailboxState> {
        self.mailboxes.get(mailbox)
    }

    /// The folded states of a segment's entries, by index.
    pub fn segment(&self, segment: &SegmentId) -> &[EntryState] {
        self.segments.get(segment).map_or(&[], Vec::as_slice)
    }

    /// All segments.
    pub fn segments(&self) -> impl Iterator<Item = (&SegmentId, &[EntryState])> {
        self.segments.iter().map(|(id, entries)| (id, entries.as_slice()))
    }

    /// All mailbox states, under whichever identity.
    pub fn mailbox_states(&self) -> impl Iterator<Item = (&MailboxId, &MailboxState)> {
        self.mailboxes.iter()
    }

    /// What this node shows of a mailbox, by its public identity.
    pub fn view(&self, mailbox: MailboxId) -> MailboxView {
        self.views.get(&mailbox).cloned().unwrap_or_else(|| MailboxView::unseen(self.id, mailbox))
    }

    /// UIDNEXT of a mailbox, as this node announced it.
    pub(crate) fn uid_next(&self, mailbox: MailboxId) -> Uid {
        self.views.get(&mailbox).map_or(Uid::FIRST, |view| view.uid_next)
    }

    /// UIDVALIDITY under which this node shows a mailbox.
    pub(crate) fn shown_validity(&self, mailbox: MailboxId) -> Option<Validity> {
        self.views.get(&mailbox)?.validity
    }

    /// Where this node shows an entry.
    pub fn shown_at(&self, entry: &EntryId) -> Option<(MailboxId, Uid)> {
        self.shown_at.get(entry).copied()
    }

    /// The last record of every life that wrote to this account, as far as it is here.
    pub fn touched_by(&self) -> &Vector {
        &self.touched_by
    }

    /// How far UIDs of a mailbox may reach that nobody here knows of.
    pub fn reach(&self, mailbox: MailboxId) -> Reach {
        self.reaches.get(&mailbox).copied().unwrap_or_default()
    }

    /// Takes note of a record that concerns this account.
    pub(crate) fn touched(&mut self, incarnation: Incarnation, sequence: Sequence) {
        self.touched_by.raise(incarnation, sequence);
        self.dirty.touched_by = true;
    }

    /// Entries whose bodies are not here.
    pub fn absent(&self) -> &BTreeSet<EntryId> {
        &self.absent
    }

    /// The greatest UIDVALIDITY that a mailbox of this name ever had.
    pub(crate) fn validity_of_name(&self, name: &str) -> Option<Validity> {
        self.head.validity_of_name.get(name).copied()
    }

    /// The greatest UIDVALIDITY of all mailboxes.
    pub(crate) fn greatest_validity(&self) -> Option<Validity> {
        self.head.greatest_validity
    }

    /// How many messages a mailbox has, shown or not.
    pub(crate) fn count_live(&self, mailbox: MailboxId) -> usize {
        let identities = self.unit(mailbox).into_iter().flat_map(|unit| &unit.identities);
        identities.filter_map(|identity| self.live.get(identity)).sum()
    }

    /// How many entries wait to be shown, over all mailboxes.
    pub fn pending(&self) -> usize {
        self.pending.values().map(BTreeMap::len).sum()
    }

    /// Whether something waits to be shown in a mailbox.
    pub fn has_pending(&self, mailbox: MailboxId) -> bool {
        self.pending.contains_key(&mailbox)
    }

    pub(crate) fn state(&self, entry: &EntryId) -> Option<&EntryState> {
        self.segments.get(&entry.segment)?.get(usize::from(entry.index))
    }

    fn all_entries(&self) -> Vec<EntryId> {
        let ids = |(segment, entries): (&SegmentId, &Vec<EntryState>)| {
            let segment = *segment;
            (0..entries.len()).map(move |index| EntryId { segment, index: index as u16 })
        };
        self.segments.iter().flat_map(ids).collect()
    }

    /// The entries that were accepted as one delivery with this one, itself included, the first accepted first.
    ///
    /// An MTA retries for some days; the same octets that come later are another delivery. An account that was added
    /// again after its removal knows nothing of what was delivered before.
    fn twins_of(&self, entry: &EntryId) -> &[EntryId] {
        let key = self.state(entry).and_then(EntryState::delivery);
        let mut rest = key.and_then(|key| self.twins.get(&key)).map_or(&[][..], Vec::as_slice);
        while let Some(first) = rest.first().and_then(|first| self.added(first)) {
            let removed = self.head.removed.filter(|removed| first <= *removed);
            let last = first.timestamp.millis().after(REDELIVERY_MILLISECONDS);
            let one = rest.partition_point(|twin| {
                self.added(twin).is_some_and(|added| match removed {
                    Some(removed) => added <= removed,
                    None => added.timestamp.millis() <= last,
                })
            });
            let (twins, later) = rest.split_at(one.max(1));
            if removed.is_none() && twins.contains(entry) {
                return twins;
            }
            rest = later;
        }
        &[]
    }

    /// When and by whom an entry was accepted.
    pub(crate) fn added(&self, entry: &EntryId) -> Option<Stamp> {
        self.state(entry)?.facts().map(|facts| facts.added)
    }

    /// The entry's state, united with that of others of the same delivery.
    pub(crate) fn effective(&self, entry: &EntryId) -> Option<Cow<'_, EntryState>> {
        let state = self.state(entry)?;
        let twins = self.twins_of(entry);
        if twins.len() < 2 {
            return Some(Cow::Borrowed(state));
        }
        let mut united = state.clone();
        for twin in twins.iter().filter(|twin| *twin != entry) {
            if let Some(other) = self.state(twin) {
                united.unite(other);
            }
        }
        Some(Cow::Owned(united))
    }

    /// Whether the flags of an entry, or of another of the same delivery, were written in this batch.
    pub(crate) fn is_rewritten(&self, entry: &EntryId) -> bool {
        !self.rewritten.is_empty()
            && (self.rewritten.contains(entry)
                || self.twins_of(entry).iter().any(|twin| self.rewritten.contains(twin)))
    }

    /// Of several entries of one delivery only the first accepted is shown.
    fn is_superseded_twin(&self, entry: &EntryId) -> bool {
        self.twins_of(entry).first().is_some_and(|first| first != entry)
    }

    /// The mailbox, by its public identity, in which the entry is to be seen; none where it is not.
    pub(crate) fn target(&self, entry: &EntryId) -> Option<MailboxId> {
        let state = self.effective(entry)?;
        if !state.is_live() || self.is_superseded_twin(entry) || self.is_removed(&state) {
            return None;
        }
        self.unit(state.mailbox()?.value).map(|unit| unit.public)
    }

    /// Whether the entry went with the account, before that was added again.
    fn is_removed(&self, state: &EntryState) -> bool {
        state.facts().is_some_and(|facts| Some(facts.added) <= self.head.removed)
    }

    /// The current epoch of a mailbox, by its public identity.
    pub(crate) fn epoch(&self, mailbox: MailboxId) -> Option<&Epoch> {
        self.mailboxes.get(&mailbox)?.epoch()
    }

    /// The entry's UID in the current epoch of a mailbox; none where it is unplaced.
    pub(crate) fn current_uid(&self, entry: &EntryId, mailbox: MailboxId) -> Option<Uid> {
        self.state(entry)?.placement(mailbox, self.epoch(mailbox)?.validity)
    }

    /// Whether some node could not show the entry at its current UID.
    pub(crate) fn is_held(&self, entry: &EntryId, mailbox: MailboxId) -> bool {
        let Some(epoch) = self.epoch(mailbox) else { return false };
        let held = self.state(entry).and_then(|state| state.held(mailbox, epoch.validity));
        held.is_some() && held == self.current_uid(entry, mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that were written before there were quotas and annotations: all of it is there, and nothing of it is made up.
    #[test]
    fn a_head_of_the_first_format_is_read() {
        let stamp = |counter| Stamp {
            timestamp: Timestamp::from_parts(Millis(5), counter, NodeSlot::FIRST),
            incarnation: Incarnation([7; 16]),
        };
        let register = |text: &str| Some(Latest { stamp: stamp(1), value: text.to_owned() });
        let subscriptions = BTreeMap::from([("INBOX".to_owned(), Latest { stamp: stamp(2), value: true })]);
        let validity_of_name = BTreeMap::from([("INBOX".to_owned(), Validity(9))]);
        let (name, password) = (register("alice"), register("hash"));
        let row = (&name, Some(stamp(1)), None::<Stamp>, &password, &subscriptions, &validity_of_name);
        let row = postcard::to_stdvec(&(row, Some(Validity(9)))).expect("plain data");
        let first = AccountHead::decode(&row).expect("a row of the first format");
        let expected = AccountHead {
            name,
            created: Some(stamp(1)),
            password,
            subscriptions,
            validity_of_name,
            greatest_validity: Some(Validity(9)),
            ..AccountHead::default()
        };
        assert_eq!(first, expected);
        let now = postcard::to_stdvec(&expected).expect("plain data");
        assert_eq!(AccountHead::decode(&now).expect("a row of this format"), expected);
        for end in (0..now.len()).filter(|end| *end != row.len()) {
            assert!(AccountHead::decode(&now[..end]).is_err(), "a row that is cut at {end} is damaged");
        }
    }
}
