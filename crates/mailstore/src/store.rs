//! The handle that sessions, deliveries and replication hold. Cheap to clone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crdt::account::AccountHead;
use crdt::clock::Timestamp;
use crdt::fold::access::{Grantee, Life};
use crdt::fold::cluster::ClusterState;
use crdt::identity::{AccountId, BodyHash, Incarnation, MailboxId, NodeSlot};
use crdt::notice::{Heard, Telling};
use crdt::operation::Member;
use crdt::placement::looks::LookedAt;
use crdt::placement::surroundings::Policy;
use crdt::record::Record;
use crdt::replica::{Applied, ArchiveError, Confirmation, DeltaError, Meeting, Verdict};
use crdt::vector::Vector;
use crdt::view::MailboxView;
use message::Structure;
use storage::{Body, BodyWriter, ReadError, Reader, StagedBody, Storage, Table};
use tokio::sync::{oneshot, watch};

use crate::account::AccountView;
use crate::identity::NodeIdentity;
use crate::job::{Granted, Job, Queue};
use crate::notices::{self, HearError};
use crate::password::{self, Credential, PasswordCost, ScramKeys};
use crate::published::Published;
use crate::request::{Authenticated, Reply, Request, RequestError};
use crate::sharing::MOST_SHARING;
use crate::{rows, structures};

/// The most password checks at one time; each takes a processor and its memory for a while.
const MOST_CHECKS: usize = 2;
/// The most logins that wait for a check.
const MOST_WAITING_CHECKS: usize = 200;

/// Runs a password check off the async threads. The shell hands it in.
pub type Offload = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// The one door to the mail on a node.
#[derive(Clone)]
pub struct Mailstore {
    storage: Arc<Storage>,
    identity: Arc<NodeIdentity>,
    published: Arc<Published>,
    queue: Queue,
    checks: Arc<Checks>,
}

struct Checks {
    offload: Offload,
    running: tokio::sync::Semaphore,
    waiting: tokio::sync::Semaphore,
    /// Checked in place of an account that does not exist, so that both take as long.
    decoy: String,
}

impl Mailstore {
    pub(crate) fn new(
        storage: Arc<Storage>,
        identity: NodeIdentity,
        published: Arc<Published>,
        queue: Queue,
        offload: Offload,
        decoy: String,
    ) -> Self {
        let checks = Checks {
            offload,
            running: tokio::sync::Semaphore::new(MOST_CHECKS),
            waiting: tokio::sync::Semaphore::new(MOST_WAITING_CHECKS),
            decoy,
        };
        Mailstore { storage, identity: Arc::new(identity), published, queue, checks: Arc::new(checks) }
    }

    /// What this node is.
    pub fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// What a MODSEQ that a client brings means in a mailbox here: a bound such that everything not above it was visible to the
    /// client (RFC 7162).
    ///
    /// What this node issued stands for itself, unless a life that is lost may have issued it as well, and so does the mailbox's
    /// HIGHESTMODSEQ of another node: equal values are equal states. Any other value of another node means what that node told of
    /// it. What nothing is known of counts as 0: the client hears some things twice and misses nothing.
    pub fn modseq_from_client(&self, view: &MailboxView, value: u64) -> u64 {
        let Some(brought) = Timestamp::from_bits(value) else { return 0 };
        let is_own = brought.slot() == self.identity.slot;
        let (last_before, certain) = self.published.unknown_values();
        if is_own && last_before < brought && brought < certain {
            return 0;
        }
        if is_own || brought == view.highest_modseq {
            return value;
        }
        self.published.translate(view, brought).bits()
    }

    /// The same for a condition (UNCHANGEDSINCE). What the present life may have issued counts as issued by it: a client to which
    /// such a value were unknown would be told the same one again, and could not change anything until all members have
    /// confirmed this life.
    pub fn condition_from_client(&self, view: &MailboxView, value: u64) -> u64 {
        let is_own = |brought: &Timestamp| brought.slot() == self.identity.slot;
        let own = Timestamp::from_bits(value).filter(is_own);
        match own.filter(|brought| *brought >= self.published.began()) {
            Some(_) => value,
            None => self.modseq_from_client(view, value),
        }
    }

    /// The tables and bodies beneath: for `verify`, `status` and `explain`, which read alone.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    // --- requests ---

    /// Leaves a request with the committer. `answer` is called, on its thread, once the outcome is durable.
    pub fn submit(
        &self,
        request: Request,
        answer: impl FnOnce(Result<Reply, RequestError>) + Send + 'static,
    ) {
        self.queue.push(Job::Request(request, Box::new(answer)));
    }

    /// The same for those who can wait.
    pub async fn ask(&self, request: Request) -> Result<Reply, RequestError> {
        self.wait(|answer| Job::Request(request, answer)).await
    }

    async fn wait<T: Send + 'static>(
        &self,
        job: impl FnOnce(crate::job::Answer<T, RequestError>) -> Job,
    ) -> Result<T, RequestError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.push(job(Box::new(move |result| {
            // Whoever asked may have gone away meanwhile.
            let _ = sender.send(result);
        })));
        receiver.await.unwrap_or(Err(RequestError::ShuttingDown))
    }

    // --- accounts ---

    /// Checks a password, off the async threads and bounded. A name without account takes as long as a wrong password.
    pub async fn authenticate(&self, name: &str, password: &str) -> Result<Authenticated, RequestError> {
        if let Some(account) = self.account_of_app_password(name, password) {
            return self.log_in(account).await;
        }
        let _waiting = self.checks.waiting.try_acquire().map_err(|_| RequestError::TooManyLogins)?;
        let _running = self.checks.running.acquire().await.map_err(|_| RequestError::ShuttingDown)?;
        let account = AccountId::of_name(name);
        let head = self.published.head(&account).filter(|head| head.exists());
        let encoded = head.as_ref().and_then(|head| head.password()).unwrap_or(&self.checks.decoy).to_owned();
        let (sender, receiver) = oneshot::channel();
        let password = password.to_owned();
        (self.checks.offload)(Box::new(move || {
            let _ = sender.send(password::verify(&password, &encoded));
        }));
        let right = receiver.await.map_err(|_| RequestError::ShuttingDown)?;
        if !right || head.is_none() {
            return Err(RequestError::WrongPassword);
        }
        self.log_in(account).await
    }

    /// The account of this name, where this is an app password of it. That takes no time worth a thread.
    fn account_of_app_password(&self, name: &str, password: &str) -> Option<AccountId> {
        let digest = password::app::digest(password)?;
        let account = AccountId::of_name(name);
        let head = self.published.head(&account).filter(|head| head.exists())?;
        head.app_passwords().any(|(_, known)| known.digest == digest).then_some(account)
    }

    /// Lets somebody in who has proven by other means whose account it is.
    pub async fn log_in(&self, account: AccountId) -> Result<Authenticated, RequestError> {
        if !self.published.head(&account).is_some_and(|head| head.exists()) {
            return Err(RequestError::WrongPassword);
        }
        let view = self.opened_account(account).await?;
        Ok(Authenticated { account, view })
    }

    /// The keys of SCRAM-SHA-256 of the account of this name. Where there is no such account, or it has none, they are keys that
    /// nobody's password has, always the same for one name on all nodes.
    pub fn scram_keys(&self, name: &str) -> ScramKeys {
        let head = self.published.head(&AccountId::of_name(name)).filter(|head| head.exists());
        let keys = head.and_then(|head| head.password().and_then(|text| Credential::parse(text).scram()));
        keys.unwrap_or_else(|| {
            let iterations = PasswordCost::STANDARD.scram_iterations;
            ScramKeys::decoy(&self.identity.cluster, name, iterations)
        })
    }

    /// The mailboxes of an account, loaded if they are not at hand.
    pub async fn opened_account(
        &self,
        account: AccountId,
    ) -> Result<watch::Receiver<Arc<AccountView>>, RequestError> {
        if let Some(view) = self.published.account_view(&account) {
            return Ok(view);
        }
        self.wait(|answer| Job::Open(account, answer)).await
    }

    /// The account of this name, if there is one.
    pub fn account(&self, name: &str) -> Option<AccountId> {
        let account = AccountId::of_name(name);
        self.published.head(&account).filter(|head| head.exists()).map(|_| account)
    }

    /// The accounts that share mailboxes with this one, as far as their access control lists tell; at most [`MOST_SHARING`].
    pub fn sharing_with(&self, account: &AccountId) -> Vec<AccountId> {
        self.published.sharing_with(account, MOST_SHARING)
    }

    /// Tells when [`Mailstore::sharing_with`] may have become another for somebody.
    pub fn sharing_changes(&self) -> watch::Receiver<u64> {
        self.published.sharing_changes()
    }

    /// What rights are given to the account of this name under; none where there is no such account.
    pub fn grantee(&self, name: &str) -> Option<Grantee> {
        let account = self.account(name)?;
        self.published.head(&account).map(|head| Grantee::Account(account, head.life()))
    }

    /// The name of an account that can have rights: none where it was removed since it was given any.
    pub fn grantee_name(&self, account: &AccountId, life: &Life) -> Option<String> {
        let head = self.published.head(account).filter(|head| head.exists() && head.life() == *life);
        head.map(|head| head.name().to_owned())
    }

    /// The mailboxes of an account that has been opened.
    pub fn account_view(&self, account: &AccountId) -> Option<watch::Receiver<Arc<AccountView>>> {
        self.published.account_view(account)
    }

    /// All accounts that exist, by name.
    pub fn accounts(&self) -> Vec<(AccountId, Arc<AccountHead>)> {
        let mut accounts: Vec<_> =
            self.published.heads().into_iter().filter(|(_, head)| head.exists()).collect();
        accounts.sort_by(|(_, a), (_, b)| a.name().cmp(b.name()));
        accounts
    }

    // --- reading ---

    /// The structure of a body, as it was scanned when the body came in.
    pub fn structure(&self, hash: &BodyHash) -> Result<Arc<Structure>, ReadError> {
        let reader = self.storage.reader()?;
        if let Some(structure) = structures::read(&reader, hash)? {
            return Ok(Arc::new(structure));
        }
        structures::scan_body(&self.body(hash)?).map(Arc::new)
    }

    /// Many structures, from one state of the tables.
    pub fn structures(&self) -> Result<Structures<'_>, ReadError> {
        Ok(Structures { store: self, reader: self.storage.reader()? })
    }

    /// The octets of a body.
    pub fn body(&self, hash: &BodyHash) -> Result<Body, ReadError> {
        let body = self.storage.body(&structures::stored(hash))?;
        body.ok_or_else(|| ReadError::Damaged(format!("the body {hash} is not here")))
    }

    /// The octets of a body, if it is here.
    pub fn find_body(&self, hash: &BodyHash) -> Result<Option<Body>, ReadError> {
        self.storage.body(&structures::stored(hash))
    }

    /// Takes a new body in; the request that names it keeps it.
    pub fn body_writer(&self) -> BodyWriter {
        self.storage.body_writer()
    }

    // --- replication ---

    /// What this node has, all of it durable.
    pub fn vector(&self) -> Vector {
        self.published.vector()
    }

    /// Changes after every commit that added records, and whenever looks change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.published.changes()
    }

    /// Records that `vector` lacks, each life's in order and after those of the life that it seals; more may follow where
    /// `limit_bytes` was reached.
    pub fn delta_since(&self, vector: &Vector, limit_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let reader = self.storage.reader()?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let own = self.vector();
        let lacking = own.iter().filter(|(life, last)| vector.last(life) < *last);
        let lacking: BTreeSet<Incarnation> = lacking.map(|(life, _)| life).collect();
        // Bound before the log is read: a commit waits for whoever borrows.
        let lives = self.published.cluster().borrow().in_order(&lacking);
        for incarnation in lives {
            let (known, last) = (vector.last(&incarnation), own.last(&incarnation));
            let (first, end) = (rows::log_key(&incarnation, known.next()), rows::log_key(&incarnation, last));
            for row in reader.range(Table::Log, Bound::Included(&first), Bound::Included(&end))? {
                let (key, value) = row?;
                bytes += value.len();
                records.push(rows::record(&key, value).map_err(|error| ReadError::Damaged(error.0))?);
                if bytes >= limit_bytes {
                    return Ok(records);
                }
            }
        }
        Ok(records)
    }

    /// Applies a delta of a peer: all of it or, where something in it is wrong, nothing.
    pub fn apply_delta(
        &self,
        records: Vec<Record>,
        answer: impl FnOnce(Result<Applied, DeltaError>) + Send + 'static,
    ) {
        self.queue.push(Job::Apply(records, Box::new(answer)));
    }

    /// Bodies that entries name and this node lacks, with their sizes.
    pub fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, ReadError> {
        let reader = self.storage.reader()?;
        rows::missing_bodies(&reader, limit).map_err(|error| ReadError::Damaged(error.0))
    }

    /// Keeps a body that a peer has sent; entries that wait for it are shown. It is scanned here, on the caller's thread.
    pub fn add_body(
        &self,
        staged: StagedBody,
        answer: impl FnOnce(Result<(), RequestError>) + Send + 'static,
    ) {
        match structures::scan(staged.len(), |range| staged.read(range)) {
            Ok(structure) => {
                let hash = structures::hash(&staged);
                self.queue.push(Job::Body(staged, hash, Box::new(structure), Box::new(answer)));
            }
            Err(error) => answer(Err(RequestError::Storage(error.to_string()))),
        }
    }

    /// Mailboxes that are looked at on this node.
    pub fn looks(&self) -> Arc<LookedAt> {
        self.published.looks()
    }

    /// What a peer looks at; `None` when it cannot be reached.
    pub fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<(AccountId, MailboxId)>>) {
        self.queue.push(Job::PeerLooks(slot, looks));
    }

    /// Up to when this node has heard what each tells of itself, durably.
    pub fn heard(&self) -> Heard {
        self.published.heard()
    }

    /// What nodes told of themselves and `heard` lacks; more may follow where `limit_bytes` was reached.
    pub fn notices_since(&self, heard: &Heard, limit_bytes: usize) -> Result<Vec<Telling>, ReadError> {
        let reader = self.storage.reader()?;
        notices::since(&reader, heard, limit_bytes).map_err(|error| ReadError::Damaged(error.0))
    }

    /// Keeps what nodes told of themselves, as a peer passed it on: all of it or, where something in it is wrong, nothing.
    pub fn hear(&self, tellings: Vec<Telling>, answer: impl FnOnce(Result<(), HearError>) + Send + 'static) {
        self.queue.push(Job::Hear(tellings, Box::new(answer)));
    }

    /// A link to a peer has come up, and what the peer had then; `None` when it has gone.
    pub fn met(&self, slot: NodeSlot, meeting: Option<Meeting>) {
        self.queue.push(Job::Met(slot, meeting));
    }

    /// The peers to whom there are links, and what each had when its link came up.
    pub fn meetings(&self) -> BTreeMap<NodeSlot, Meeting> {
        self.published.meetings()
    }

    /// Asks what this node has to say of a life of another; nothing while it does not have the first record of it.
    pub fn judge(
        &self,
        life: Incarnation,
        answer: impl FnOnce(Result<Option<Verdict>, RequestError>) + Send + 'static,
    ) {
        self.queue.push(Job::Judge(life, Box::new(answer)));
    }

    /// A peer says this of a life of this node.
    pub fn take_verdict(&self, slot: NodeSlot, life: Incarnation, verdict: Verdict) {
        self.queue.push(Job::Verdict(slot, life, verdict));
    }

    /// What peers have said of the present life of this node.
    pub fn verdicts(&self) -> BTreeMap<NodeSlot, Verdict> {
        self.published.verdicts()
    }

    /// Keeps what merges did for this many days instead of [`crate::history::RETENTION_DAYS`].
    pub fn retain_history(&self, days: u64) {
        self.queue.push(Job::RetainHistory(days.saturating_mul(24 * 60 * 60 * 1000)));
    }

    /// The cluster: members, keys, lives.
    pub fn cluster(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.published.cluster()
    }

    /// The members of the cluster, by slot.
    pub fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.published.members()
    }

    /// Set once another member gave this node another slot (rule 8): it has to be opened again, and lives there then.
    pub fn moved(&self) -> watch::Receiver<Option<NodeSlot>> {
        self.published.moved()
    }

    /// The present life of this node.
    pub fn incarnation(&self) -> Incarnation {
        self.published.incarnation()
    }

    /// Grants a slot and a part of this node's reserve to a node that will be invited; none when no slot is left.
    pub async fn grant(&self) -> Result<Option<Granted>, RequestError> {
        self.wait(Job::Grant).await
    }

    /// Takes a node into the cluster, or changes what is known of it.
    pub async fn admit(&self, member: Member) -> Result<(), RequestError> {
        self.wait(|answer| Job::Admit(member, answer)).await
    }

    // --- operators ---

    /// Declares a member dead: it never comes back under its slot, and every node leaps over what it may have placed.
    pub async fn bury(&self, slot: NodeSlot) -> Result<(), RequestError> {
        self.wait(|answer| Job::Bury(slot, answer)).await
    }

    /// How the present life stands with the other members.
    pub async fn confirmation(&self) -> Result<Confirmation, RequestError> {
        self.wait(Job::Confirmation).await
    }

    /// What the operator decides about UIDs, from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.queue.push(Job::Policy(policy));
    }

    /// The merges of an account on all nodes, the oldest first.
    pub fn history(
        &self,
        account: AccountId,
        mailbox: Option<&str>,
    ) -> Result<Vec<crate::history::NodeMerge>, ArchiveError> {
        let reader = self.storage.reader().map_err(|error| ArchiveError(error.to_string()))?;
        crate::history::read(&reader, account, mailbox)
    }
}

/// Structures read from one state of the tables: cheaper for many messages.
pub struct Structures<'a> {
    store: &'a Mailstore,
    reader: Reader,
}

impl Structures<'_> {
    /// The structure of a body.
    pub fn structure(&self, hash: &BodyHash) -> Result<Structure, ReadError> {
        match structures::read(&self.reader, hash)? {
            Some(structure) => Ok(structure),
            None => structures::scan_body(&self.store.body(hash)?),
        }
    }

    /// The octets of a body.
    pub fn body(&self, hash: &BodyHash) -> Result<Body, ReadError> {
        let body = self.store.storage.body_as_of(&self.reader, &structures::stored(hash))?;
        match body {
            Some(body) => Ok(body),
            None => self.store.body(hash),
        }
    }
}
