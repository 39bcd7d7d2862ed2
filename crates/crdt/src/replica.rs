//! One node as a pure state machine: accounts, the cluster, the log's end, and what the last batch changed.
//!
//! Use: call commands (`deliver`, `append`, …) and [`Replica::apply`] within a batch, then [`Replica::commit`], make its
//! [`Commit`] durable, and only then answer clients and tell peers. Time enters with [`Replica::begin`].

mod answers;
mod app_passwords;
mod apply;
mod commands;
mod commit;
mod meeting;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use crate::account::Account;
use crate::clock::{HybridClock, Millis, Timestamp};
use crate::document::Chain;
use crate::fold::cluster::ClusterState;
use crate::identity::{AccountId, EntryId, Incarnation, MailboxId, NodeSlot};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DocumentId, LogHash, Member, Operation, Seal};
use crate::placement::admission::Eagerness;
use crate::placement::announcement::Announcement;
use crate::placement::looks::{LookedAt, Looks};
use crate::placement::surroundings::{Policy, Surroundings};
use crate::vector::{Sequence, Vector};
use crate::writer::{Author, Writer};

pub use answers::{Placed, Wanted};
pub use apply::{Applied, DeltaError};
pub use commands::CommandError;
pub use commit::{AccountCommit, Commit, FirmEnd};
use meeting::Meetings;
pub use meeting::{MEETING_MILLISECONDS, Meeting};
use standing::Standing;

pub use standing::{CONFIRMATION_MILLISECONDS, Confirmation, Verdict};

/// Where a replica finds what it has forgotten: its disk, or nothing.
pub trait Archive {
    /// An account as the node in slot `here` committed it last, if it is known at all.
    fn account(
        &self,
        account: AccountId,
        here: NodeSlot,
        now: Millis,
    ) -> Result<Option<Account>, ArchiveError>;
    /// The end of an author's chain in a document, as it was committed last.
    fn chain(&self, document: &DocumentId, author: &Incarnation) -> Result<Option<Chain>, ArchiveError>;
}

/// The disk could not be read, or what it holds is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading the store failed: {0}")]
pub struct ArchiveError(pub String);

/// An archive that holds nothing: for replicas that live in memory alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArchive;

impl Archive for NoArchive {
    fn account(&self, _: AccountId, _: NodeSlot, _: Millis) -> Result<Option<Account>, ArchiveError> {
        Ok(None)
    }

    fn chain(&self, _: &DocumentId, _: &Incarnation) -> Result<Option<Chain>, ArchiveError> {
        Ok(None)
    }
}

/// What a node knows when its new life begins.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// What it has of every life's records.
    pub vector: Vector,
    /// The cluster as it was committed last.
    pub cluster: ClusterState,
    /// The greatest moment it ever issued or observed.
    pub last: Timestamp,
    /// The life that ended on this disk.
    pub predecessor: Option<Incarnation>,
    /// The chained hash of every life's records.
    pub hashes: BTreeMap<Incarnation, LogHash>,
    /// How the last life that stood on firm ground ended, where a later one did not: [`Commit::firm`].
    pub firm: Option<FirmEnd>,
    /// Whether the life before ended in this very process, on firm ground: then nobody has to confirm this one.
    pub continues: bool,
}

/// One node as a pure state machine.
#[derive(Clone, Debug)]
pub struct Replica<A> {
    archive: A,
    writer: Writer,
    vector: Vector,
    cluster: ClusterState,
    accounts: BTreeMap<AccountId, Account>,
    chains: BTreeMap<(DocumentId, Incarnation), Chain>,
    hashes: BTreeMap<Incarnation, LogHash>,
    looks: Looks,
    standing: Standing,
    meetings: Meetings,
    policy: Policy,
    /// How the last life that stood on firm ground before this one ended.
    firm_end: FirmEnd,
    /// What the disk says of it, none while this life stands on firm ground itself.
    stored_firm: Option<FirmEnd>,
    /// Distinguishes the mailboxes that this life creates.
    created_mailboxes: u64,

    // The present batch.
    foreign: Vec<crate::record::Record>,
    announcements: Vec<Announcement>,
    changed_chains: BTreeSet<(DocumentId, Incarnation)>,
    cluster_changed: bool,
    /// Lives that another one has sealed.
    ended: BTreeSet<Incarnation>,
}

/// What decides what it does next, as far as its memory does. What its disk holds and its records are is left out, and so are the
/// hashes and the ends of chains that follow from them.
impl<A> Hash for Replica<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Replica { archive: _, chains: _, hashes: _, changed_chains: _, .. } = self;
        let Replica { writer, vector, cluster, accounts, looks, standing, meetings, policy, .. } = self;
        (writer, vector, cluster, accounts, looks, standing, meetings, policy).hash(state);
        let Replica {
            firm_end, stored_firm, created_mailboxes, foreign, announcements, cluster_changed, ..
        } = self;
        (firm_end, stored_firm, created_mailboxes, foreign, announcements, cluster_changed).hash(state);
    }
}

impl<A: Archive> Replica<A> {
    /// A new life begins: its first record says who it is and whose life ended on this disk.
    pub fn start(archive: A, author: Author, beginning: Beginning, now: Millis) -> Self {
        let seals = beginning.predecessor.map(|incarnation| Seal {
            incarnation,
            sequence: beginning.vector.last(&incarnation),
            hash: beginning.hashes.get(&incarnation).copied().unwrap_or_default(),
        });
        let last = if leaves_out(LeftOut::ClockIsKept) { Timestamp::ZERO } else { beginning.last };
        let firm = beginning.firm.clone().filter(|_| !leaves_out(LeftOut::OnlyFirmIsKnown));
        let mut writer = Writer::new(author, HybridClock::new(author.slot, last));
        writer.set_now(now);
        let start = writer.tick();
        let mut replica = Replica {
            archive,
            writer,
            firm_end: firm
                .unwrap_or_else(|| FirmEnd { vector: beginning.vector.clone(), last: beginning.last }),
            stored_firm: beginning.firm,
            vector: beginning.vector,
            cluster: beginning.cluster,
            accounts: BTreeMap::new(),
            chains: BTreeMap::new(),
            hashes: beginning.hashes,
            looks: Looks::default(),
            standing: Standing::new(start, now, beginning.last, beginning.continues),
            meetings: Meetings::default(),
            policy: Policy::default(),
            created_mailboxes: 0,
            foreign: Vec::new(),
            announcements: Vec::new(),
            changed_chains: BTreeSet::new(),
            cluster_changed: false,
            ended: BTreeSet::new(),
        };
        replica.write_cluster(Operation::Start { slot: author.slot, seals });
        replica.keep_standing();
        replica
    }

    /// What the operator decided about UIDs.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// A batch begins, or time has passed.
    pub fn begin(&mut self, now: Millis) {
        self.writer.set_now(now);
        self.looks.end_lingering(now);
    }

    /// The wall time of the present batch.
    pub fn now(&self) -> Millis {
        self.writer.now()
    }

    /// Looks outlive the replica that a node gives up after a failed commit.
    pub fn restore_looks(&mut self, looks: Looks) {
        self.looks = looks;
    }

    /// Who this is.
    pub fn author(&self) -> Author {
        self.writer.author()
    }

    /// What this node has, the present batch's own operations left out.
    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    /// The members of the cluster.
    pub fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// Own looks and those of peers.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// An account, if this node knows it.
    pub fn account(&mut self, account: AccountId) -> Result<Option<&Account>, ArchiveError> {
        self.load(account)?;
        Ok(self.accounts.get(&account))
    }

    /// The accounts that are in memory.
    pub fn loaded(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Forgets accounts that nobody looks at, the present batch being committed; they are loaded again when needed.
    pub fn forget(&mut self, account: AccountId) -> bool {
        let busy = self.looks.own_of(account).next().is_some();
        let told = |account: &Account| account.dirty.is_empty() && account.unannounced.is_empty();
        let clean = self.accounts.get(&account).is_some_and(told);
        let forget = clean && !busy;
        if forget {
            self.accounts.remove(&account);
        }
        forget
    }

    fn load(&mut self, id: AccountId) -> Result<(), ArchiveError> {
        if !self.accounts.contains_key(&id)
            && let Some(mut account) = self.archive.account(id, self.author().slot, self.writer.now())?
        {
            if self.firm_end.vector.covers(account.touched_by()) {
                account.mark_known_at_start();
            }
            account.set_forked(&self.cluster.forked());
            // Nobody was told of it in this state.
            account.dirty.foreign.clear();
            self.accounts.insert(id, account);
        }
        Ok(())
    }

    /// The account, to be changed; made when it is new.
    fn account_mut(&mut self, id: AccountId) -> Result<&mut Account, ArchiveError> {
        self.load(id)?;
        let forked = || self.cluster.forked();
        Ok(self.accounts.entry(id).or_insert_with(|| {
            let mut account = Account::new(id);
            account.set_forked(&forked());
            account
        }))
    }

    fn write_cluster(&mut self, operation: Operation) {
        let stamp = self.writer.write(DocumentId::Cluster, operation.clone());
        self.cluster.fold(stamp, &operation);
        self.cluster_changed = true;
    }

    // --- cluster ---

    /// Takes a node in, or changes what is known of it.
    pub fn admit_member(&mut self, member: Member) {
        if self.cluster.member(member.slot) != Some(&member) {
            self.write_cluster(Operation::Admit(member));
        }
    }

    /// Grants a slot and a part of the reserve to a node that will be invited; none when no slot is left.
    ///
    /// None either while not every member has confirmed this life: a slot must not be granted twice.
    pub fn grant(&mut self) -> Option<(NodeSlot, u128)> {
        let anyway = leaves_out(LeftOut::ConfirmedGrants) || leaves_out(LeftOut::WitnessGrants);
        if !self.is_confirmed() && !anyway {
            return None;
        }
        let inviter = self.author().slot;
        let (slot, reserve) = self.cluster.next_grant(inviter)?;
        self.write_cluster(Operation::Grant { inviter, slot, reserve });
        Some((slot, reserve))
    }

    // --- looks and time ---

    /// A session looks at a mailbox until [`Replica::look_away`].
    pub fn look(&mut self, account: AccountId, mailbox: MailboxId) -> Result<(), ArchiveError> {
        self.looks.begin(account, mailbox);
        self.glance(account, mailbox)
    }

    /// A client sees a mailbox at this moment.
    pub fn glance(&mut self, account: AccountId, mailbox: MailboxId) -> Result<(), ArchiveError> {
        self.load(account)?;
        self.admit(account, mailbox, Eagerness::InTurn);
        Ok(())
    }

    /// A session looks no more.
    pub fn look_away(&mut self, account: AccountId, mailbox: MailboxId) {
        self.looks.end(account, mailbox);
    }

    /// Whether own looks began or ended since this was asked last: peers are to be told.
    pub fn take_looks_changed(&mut self) -> bool {
        self.looks.take_changed()
    }

    /// What a peer looks at; `None` when it cannot be reached.
    pub fn set_peer_looks(&mut self, slot: NodeSlot, looked_at: Option<LookedAt>) {
        self.looks.set_peer(slot, looked_at);
        self.admit_where_looked_at();
    }

    /// When this node has something to do that nobody asks for.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let deadline = |(account, mailbox): &(AccountId, MailboxId)| {
            self.accounts.get(account)?.deadlines.get(mailbox).copied()
        };
        self.looks.own().iter().filter_map(deadline).chain(self.looks.lingering_until()).min()
    }

    /// Does what waited for this moment.
    pub fn handle_timeout(&mut self) {
        self.admit_where_looked_at();
    }

    /// Shows and places what is this node's turn, in every mailbox that is looked at here and has something waiting.
    fn admit_where_looked_at(&mut self) {
        for (account, mailbox) in self.looks.own() {
            let Some(state) = self.accounts.get_mut(&account) else { continue };
            if state.needs_admission(mailbox) {
                self.admit(account, mailbox, Eagerness::InTurn);
            } else {
                // What it was for is gone, expunged or moved: a deadline left behind would be due for ever.
                state.deadlines.remove(&mailbox);
            }
        }
    }

    fn admit(&mut self, account: AccountId, mailbox: MailboxId, eagerness: Eagerness<'_>) {
        self.with_surroundings(account, |account, writer, surroundings| {
            account.settle(writer);
            account.admit(writer, surroundings, mailbox, eagerness);
        });
    }

    /// Does something to an account that depends on more than the account.
    fn with_surroundings(
        &mut self,
        account: AccountId,
        run: impl FnOnce(&mut Account, &mut Writer, &Surroundings<'_>),
    ) {
        let members = self.members();
        let ground = self.ground();
        let Some(account) = self.accounts.get_mut(&account) else { return };
        let surroundings = Surroundings {
            looks: &self.looks,
            members: &members,
            known: &self.vector,
            ground,
            meeting_until: self.meetings.until(self.writer.now()),
            met: self.meetings.met,
            policy: self.policy,
        };
        run(account, &mut self.writer, &surroundings);
    }

    /// Brings views up to date after operations on an account, and admits what can be seen now.
    fn settle(&mut self, account: AccountId) {
        let Some(state) = self.accounts.get_mut(&account) else { return };
        state.settle(&mut self.writer);
        for mailbox in self.looks.own_of(account).collect::<Vec<_>>() {
            if self.accounts.get(&account).is_some_and(|state| state.needs_admission(mailbox)) {
                self.admit(account, mailbox, Eagerness::InTurn);
            }
        }
    }

    /// The slots of the members that may place, ascending.
    fn members(&self) -> Vec<NodeSlot> {
        self.cluster.living().map(|member| member.slot).collect()
    }

    // --- bodies ---

    /// A body has come in from a peer: entries that name it can be shown.
    pub fn body_arrived(&mut self, account: AccountId, entries: &[EntryId]) -> Result<(), ArchiveError> {
        self.load(account)?;
        if let Some(state) = self.accounts.get_mut(&account) {
            entries.iter().for_each(|entry| state.body_arrived(*entry));
        }
        self.settle(account);
        Ok(())
    }

    /// The last record of this life that was committed.
    pub fn sequence(&self) -> Sequence {
        self.vector.last(&self.author().incarnation)
    }
}
