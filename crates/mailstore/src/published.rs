//! What sessions and links read without asking the committer: everything in it is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crdt::account::dirty::Dirty;
use crdt::account::{Account, AccountHead};
use crdt::clock::Timestamp;
use crdt::fold::access::Grantee;
use crdt::fold::cluster::ClusterState;
use crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use crdt::modseq::ForeignValues;
use crdt::notice::Heard;
use crdt::operation::Member;
use crdt::placement::looks::LookedAt;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::Vector;
use crdt::view::MailboxView;
use tokio::sync::watch;

use crate::account::{AccountView, MailboxEntry};
use crate::activity::Activity;
use crate::sharing::Sharing;

/// The committed state that others may see.
pub(crate) struct Published {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    /// Counts changes of who shares with whom.
    sharing: watch::Sender<u64>,
    cluster: watch::Sender<Arc<ClusterState>>,
    members: watch::Sender<Arc<Vec<Member>>>,
    moved: watch::Sender<Option<NodeSlot>>,
}

struct State {
    heads: BTreeMap<AccountId, Arc<AccountHead>>,
    /// Which accounts give rights to whom; follows from the heads.
    sharing: Sharing,
    accounts: BTreeMap<AccountId, watch::Sender<Arc<AccountView>>>,
    mailboxes: BTreeMap<(AccountId, MailboxId), watch::Sender<Arc<MailboxView>>>,
    /// Of accounts that are watched as a whole.
    activities: BTreeMap<AccountId, watch::Sender<Activity>>,
    /// What MODSEQ values of other nodes mean in mailboxes that are watched: newer than their views, which are not published
    /// again for it.
    foreign: BTreeMap<(AccountId, MailboxId), ForeignValues>,
    vector: Vector,
    heard: Heard,
    looks: Arc<LookedAt>,
    incarnation: Incarnation,
    /// Values of this node's slot between these two were issued by a life that this disk does not know, or by nobody.
    began: Timestamp,
    unknown_values: (Timestamp, Timestamp),
    meetings: BTreeMap<NodeSlot, Meeting>,
    /// Of the present life.
    verdicts: BTreeMap<NodeSlot, Verdict>,
}

impl Published {
    pub(crate) fn new(
        incarnation: Incarnation,
        heads: BTreeMap<AccountId, AccountHead>,
        vector: Vector,
        cluster: ClusterState,
    ) -> Self {
        let mut sharing = Sharing::default();
        for (id, head) in &heads {
            sharing.set(*id, head);
        }
        let state = State {
            sharing,
            heads: heads.into_iter().map(|(id, head)| (id, Arc::new(head))).collect(),
            accounts: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            activities: BTreeMap::new(),
            foreign: BTreeMap::new(),
            vector,
            heard: Heard::new(),
            looks: Arc::default(),
            incarnation,
            began: Timestamp::ZERO,
            unknown_values: Default::default(),
            meetings: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        };
        let members = Arc::new(cluster.linked().cloned().collect());
        Published {
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            sharing: watch::Sender::new(0),
            cluster: watch::Sender::new(Arc::new(cluster)),
            members: watch::Sender::new(members),
            moved: watch::Sender::new(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves every map whole: each is changed by single insertions.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn head(&self, account: &AccountId) -> Option<Arc<AccountHead>> {
        self.state().heads.get(account).cloned()
    }

    /// The accounts that give rights to this one, or to anyone, itself left out.
    pub(crate) fn sharing_with(&self, account: &AccountId, most: usize) -> Vec<AccountId> {
        let state = self.state();
        let exists = |owner: &AccountId| state.heads.get(owner).is_some_and(|head| head.exists());
        let life = state.heads.get(account).map(|head| head.life()).unwrap_or_default();
        let owners = state.sharing.with(Grantee::Account(*account, life));
        owners.into_iter().filter(|owner| owner != account && exists(owner)).take(most).collect()
    }

    /// Tells when [`Published::sharing_with`] may have become another for somebody.
    pub(crate) fn sharing_changes(&self) -> watch::Receiver<u64> {
        self.sharing.subscribe()
    }

    pub(crate) fn heads(&self) -> Vec<(AccountId, Arc<AccountHead>)> {
        self.state().heads.iter().map(|(id, head)| (*id, Arc::clone(head))).collect()
    }

    pub(crate) fn vector(&self) -> Vector {
        self.state().vector.clone()
    }

    pub(crate) fn looks(&self) -> Arc<LookedAt> {
        Arc::clone(&self.state().looks)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn cluster(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.cluster.subscribe()
    }

    /// Tells links that there is something new: records, or looks.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn set_vector(&self, vector: Vector) {
        self.state().vector = vector;
    }

    pub(crate) fn heard(&self) -> Heard {
        self.state().heard.clone()
    }

    pub(crate) fn set_heard(&self, heard: Heard) {
        self.state().heard = heard;
    }

    pub(crate) fn meetings(&self) -> BTreeMap<NodeSlot, Meeting> {
        self.state().meetings.clone()
    }

    pub(crate) fn set_meetings(&self, meetings: BTreeMap<NodeSlot, Meeting>) {
        self.state().meetings = meetings;
    }

    pub(crate) fn verdicts(&self) -> BTreeMap<NodeSlot, Verdict> {
        self.state().verdicts.clone()
    }

    pub(crate) fn set_verdict(&self, slot: NodeSlot, verdict: Verdict) {
        self.state().verdicts.insert(slot, verdict);
    }

    pub(crate) fn set_looks(&self, looks: LookedAt) {
        self.state().looks = Arc::new(looks);
    }

    pub(crate) fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.members.subscribe()
    }

    pub(crate) fn moved(&self) -> watch::Receiver<Option<NodeSlot>> {
        self.moved.subscribe()
    }

    pub(crate) fn set_moved(&self, slot: NodeSlot) {
        self.moved.send_replace(Some(slot));
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.state().incarnation
    }

    pub(crate) fn unknown_values(&self) -> (Timestamp, Timestamp) {
        self.state().unknown_values
    }

    /// The first moment of the present life.
    pub(crate) fn began(&self) -> Timestamp {
        self.state().began
    }

    /// A life begins.
    pub(crate) fn set_life(
        &self,
        (incarnation, began): (Incarnation, Timestamp),
        unknown_values: (Timestamp, Timestamp),
    ) {
        let mut state = self.state();
        state.incarnation = incarnation;
        state.began = began;
        state.unknown_values = unknown_values;
        state.verdicts.clear();
    }

    /// What the members say of this life has changed what is known of its values.
    pub(crate) fn set_unknown_values(&self, unknown_values: (Timestamp, Timestamp)) {
        self.state().unknown_values = unknown_values;
    }

    pub(crate) fn set_cluster(&self, cluster: ClusterState) {
        let members: Vec<Member> = cluster.linked().cloned().collect();
        self.members.send_if_modified(|known| {
            let changed = **known != members;
            if changed {
                *known = Arc::new(members);
            }
            changed
        });
        self.cluster.send_replace(Arc::new(cluster));
    }

    pub(crate) fn account_view(&self, account: &AccountId) -> Option<watch::Receiver<Arc<AccountView>>> {
        self.state().accounts.get(account).map(watch::Sender::subscribe)
    }

    pub(crate) fn set_account(&self, account: &Account, head_changed: bool) {
        let view = Arc::new(account_view(account));
        let mut state = self.state();
        if head_changed || !state.heads.contains_key(&account.id()) {
            let shares_with_others = state.sharing.set(account.id(), account.head());
            let before = state.heads.insert(account.id(), Arc::new(account.head().clone()));
            let existed = before.is_some_and(|head| head.exists());
            if shares_with_others || existed != account.head().exists() {
                // Whoever looks because of it waits until the view is there as well.
                self.sharing.send_modify(|count| *count += 1);
            }
        }
        match state.accounts.get(&account.id()) {
            Some(sender) => {
                sender.send_replace(view);
            }
            None => {
                state.accounts.insert(account.id(), watch::Sender::new(view));
            }
        }
    }

    /// Takes note of what values of other nodes mean in a mailbox that is watched.
    pub(crate) fn set_foreign(&self, view: MailboxView) {
        let key = (view.account, view.mailbox);
        let mut state = self.state();
        if state.mailboxes.contains_key(&key) {
            state.foreign.insert(key, view.foreign);
        }
    }

    /// What a value of another node means in a mailbox, as it was shown in this view.
    pub(crate) fn translate(&self, view: &MailboxView, value: Timestamp) -> Timestamp {
        let state = self.state();
        let foreign = state.foreign.get(&(view.account, view.mailbox));
        foreign.unwrap_or(&view.foreign).translate(value)
    }

    /// Gives a new view to the sessions that watch the mailbox.
    pub(crate) fn set_view(&self, view: MailboxView) {
        let key = (view.account, view.mailbox);
        let mut state = self.state();
        let Some(sender) = state.mailboxes.get(&key) else { return };
        if sender.receiver_count() == 0 {
            state.mailboxes.remove(&key);
            state.foreign.remove(&key);
        } else {
            sender.send_replace(Arc::new(view));
        }
    }

    /// Tells those who watch the account in which mailboxes something changed, or waits to be shown.
    pub(crate) fn tell_activity(&self, account: &Account, dirty: &Dirty) {
        if dirty.shown.is_empty() && dirty.waiting.is_empty() && !dirty.listing {
            return;
        }
        let mut state = self.state();
        let Some(sender) = state.activities.get(&account.id()) else { return };
        if sender.receiver_count() == 0 {
            state.activities.remove(&account.id());
            return;
        }
        let active: BTreeSet<&MailboxId> = dirty.shown.keys().chain(&dirty.waiting).collect();
        let exists = |mailbox: &MailboxId| account.unit(*mailbox).is_some_and(|unit| unit.public == *mailbox);
        let views: Vec<MailboxView> = active
            .into_iter()
            .filter(|mailbox| exists(mailbox))
            .map(|mailbox| account.view(*mailbox))
            .collect();
        sender.send_if_modified(|activity| {
            if dirty.listing {
                activity.keep(exists);
            }
            if !views.is_empty() {
                activity.tell(views.iter().map(|view| (view, dirty.shown.contains_key(&view.mailbox))));
            }
            !views.is_empty()
        });
    }

    /// The channel of an account for a session that begins to watch all of it.
    pub(crate) fn watch_activity(&self, account: &Account) -> watch::Receiver<Activity> {
        let mut state = self.state();
        let sender = state.activities.entry(account.id()).or_default();
        if sender.receiver_count() == 0 {
            let views: Vec<MailboxView> =
                account.units().iter().map(|unit| account.view(unit.public)).collect();
            sender.send_replace(Activity::beginning(views.iter()));
        }
        sender.subscribe()
    }

    /// The channel of a mailbox for a session that begins to watch it.
    pub(crate) fn watch(&self, view: MailboxView) -> watch::Receiver<Arc<MailboxView>> {
        let mut state = self.state();
        let sender = state
            .mailboxes
            .entry((view.account, view.mailbox))
            .or_insert_with_key(|_| watch::Sender::new(Arc::new(view.clone())));
        if sender.receiver_count() == 0 {
            sender.send_replace(Arc::new(view));
        }
        sender.subscribe()
    }
}

fn account_view(account: &Account) -> AccountView {
    let entry = |unit: &crdt::fold::mailbox::Unit| MailboxEntry {
        mailbox: unit.public,
        special_use: unit.special_use.clone(),
        access: account.access(unit),
        annotations: account.head().annotations().of(Some(&unit.identities)),
    };
    AccountView {
        account: account.id(),
        grantee: account.grantee(),
        name: account.head().name().to_owned(),
        removed: !account.head().exists(),
        mailboxes: account.units().iter().map(|unit| (unit.name.clone(), entry(unit))).collect(),
        subscriptions: account.head().subscriptions().map(str::to_owned).collect::<BTreeSet<_>>(),
        annotations: account.head().annotations().of(None),
    }
}
