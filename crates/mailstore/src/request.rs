//! What sessions ask of the store and what it answers. Every request goes through the committer, every answer is durable.

use std::sync::Arc;

use crdt::account::Usage;
use crdt::clock::{Millis, Timestamp};
use crdt::flag::{Flag, FlagChange};
use crdt::fold::access::Identifier;
use crdt::fold::app_password::AppPassword;
use crdt::identity::{AccountId, AppPasswordId, EntryId, MailboxId, Uid, Validity};
use crdt::operation::Quota;
use crdt::rights::Rights;
use crdt::view::{MailboxView, ReceivedAt};
use message::Structure;
use storage::StagedBody;
use tokio::sync::watch;

use crate::account::AccountView;
use crate::activity::Activity;

/// The longest name of a mailbox, in octets of UTF-8.
pub const LONGEST_MAILBOX_NAME: usize = 1000;
/// The deepest hierarchy of mailboxes.
pub const DEEPEST_HIERARCHY: usize = 32;
/// The most annotations of one account and its mailboxes together.
pub const MOST_ANNOTATIONS: usize = 1_000;
/// The most octets of their names and values together.
pub const MOST_ANNOTATION_OCTETS: usize = 256 * 1024;
/// The most names that ever were given to annotations of one account: those that were taken away are remembered.
pub const MOST_ANNOTATION_NAMES: usize = 10_000;
/// The most app passwords of one account that hold at the same time.
pub const MOST_APP_PASSWORDS: usize = 100;
/// The most app passwords that one account ever has: those that were removed are remembered.
pub const MOST_APP_PASSWORDS_EVER: usize = 2_000;
/// The longest label of an app password, in octets.
pub const LONGEST_LABEL: usize = 100;
/// The most entries of access control lists of one account, those without any rights included: they are remembered.
pub const MOST_GRANTS: usize = 2_000;
/// The most mailboxes of one account.
pub const MOST_MAILBOXES: usize = 10_000;
/// The most messages that one APPEND or delivery carries.
pub const MOST_MESSAGES_A_REQUEST: usize = 10_000;

/// A message on its way into a mailbox, its octets already with the body store.
#[derive(Debug)]
pub struct NewMessage {
    /// Its octets.
    pub body: StagedBody,
    /// Its structure, as scanned while the octets came in.
    pub structure: Arc<Structure>,
    /// The flags it starts with.
    pub flags: Vec<Flag>,
    /// INTERNALDATE; the time of acceptance where none was given.
    pub received: Option<ReceivedAt>,
}

/// One thing asked of the store.
#[derive(Debug)]
pub enum Request {
    /// IMAP APPEND: all messages or none. Answered by [`Reply::Appended`].
    Append {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The messages, in order.
        messages: Vec<NewMessage>,
    },
    /// IMAP REPLACE (RFC 8508): a message takes the place of another one. A crash leaves either of them, and nobody sees both or
    /// neither. Answered by [`Reply::Replaced`].
    Replace {
        /// The account.
        account: AccountId,
        /// Where the old message is.
        from: MailboxId,
        /// The old message. If it is gone already, the new one is stored nevertheless.
        replaced: EntryId,
        /// Where the new message shall be.
        to: MailboxId,
        /// The new message.
        message: Box<NewMessage>,
    },
    /// A delivery by an MTA. The same octets from the same sender for the same mailbox, offered to any node within a
    /// week, are stored once. Answered by [`Reply::Delivered`].
    Deliver {
        /// The account.
        account: AccountId,
        /// The name of the mailbox; INBOX where it does not exist.
        mailbox: String,
        /// The reverse path of the envelope.
        sender: String,
        /// The message.
        message: NewMessage,
    },
    /// IMAP STORE. Answered by [`Reply::Stored`].
    Store {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The messages, as the session resolved them in the view that its client was told.
        entries: Vec<EntryId>,
        /// How.
        change: FlagChange,
        /// What.
        flags: Vec<Flag>,
        /// UNCHANGEDSINCE of RFC 7162 section 3.1.3.
        unchanged_since: Option<u64>,
    },
    /// Expunges those of the entries that carry \Deleted. Answered by [`Reply::View`].
    Expunge {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The candidates.
        entries: Vec<EntryId>,
    },
    /// Answered by [`Reply::Copied`].
    Copy {
        /// The account.
        account: AccountId,
        /// Where the messages are.
        from: MailboxId,
        /// Which.
        entries: Vec<EntryId>,
        /// Where copies of them shall be.
        to: MailboxId,
    },
    /// Answered by [`Reply::Copied`]; the source's view in it lacks the messages.
    Move {
        /// The account.
        account: AccountId,
        /// Where the messages are.
        from: MailboxId,
        /// Which.
        entries: Vec<EntryId>,
        /// Where they shall be.
        to: MailboxId,
    },
    /// A client looks: everything that can be shown is placed and shown. Answered by [`Reply::Looked`].
    Look {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// `true` for SELECT and EXAMINE: the mailbox counts as looked at until the [`Look`] is dropped. `false` for
        /// STATUS.
        lasting: bool,
    },
    /// Watches all mailboxes of an account, none of which counts as looked at for it. Answered by [`Reply::Watched`].
    Watch {
        /// The account.
        account: AccountId,
    },
    /// Answered by [`Reply::Created`].
    CreateMailbox {
        /// The account.
        account: AccountId,
        /// The full name.
        name: String,
        /// The special use of RFC 6154, such as `\Archive`.
        special_use: Option<String>,
    },
    /// Answered by [`Reply::Done`].
    DeleteMailbox {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// Renames a mailbox and its inferiors; INBOX gives its messages to the new name and stays
    /// (RFC 9051 section 6.3.6). Answered by [`Reply::Done`].
    RenameMailbox {
        /// The account.
        account: AccountId,
        /// The name now.
        from: String,
        /// The name to be.
        to: String,
    },
    /// Answered by [`Reply::Done`].
    Subscribe {
        /// The account.
        account: AccountId,
        /// The name; no such mailbox need exist (RFC 9051 section 6.3.7).
        name: String,
        /// Whether to subscribe or to unsubscribe.
        subscribed: bool,
    },
    /// Changes annotations (RFC 5464): all of them or none. Answered by [`Reply::Done`].
    Annotate {
        /// The account.
        account: AccountId,
        /// The mailbox; none for the account itself.
        mailbox: Option<MailboxId>,
        /// Names in lower case and values; none takes an annotation away.
        changes: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Gives and takes rights to a mailbox (RFC 4314); what is in neither set stays as it is. Answered by [`Reply::Done`].
    ChangeRights {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// Whose rights.
        identifier: Identifier,
        /// What is given.
        given: Rights,
        /// What is taken.
        taken: Rights,
    },
    /// Copies messages into a mailbox of another account; also of the same one, where their flags shall not all be copied.
    /// Answered by [`Reply::Copied`].
    CopyAcross {
        /// Whose messages.
        account: AccountId,
        /// Where they are.
        from: MailboxId,
        /// Which.
        entries: Vec<EntryId>,
        /// Whose the copies shall be.
        target: AccountId,
        /// Where they shall be.
        to: MailboxId,
        /// The flags that are copied are those that take one of these rights.
        flags: Rights,
        /// Whether the originals shall be gone: then [`Request::Remove`] follows, once this was answered.
        moving: bool,
    },
    /// Expunges messages whatever flags they carry. Answered by [`Reply::View`].
    Remove {
        /// The account.
        account: AccountId,
        /// The mailbox.
        mailbox: MailboxId,
        /// Which.
        entries: Vec<EntryId>,
    },
    /// Loads the mailboxes of an account: [`crate::Mailstore::account_view`] has them afterwards. Answered by [`Reply::Done`].
    OpenAccount {
        /// The account.
        account: AccountId,
    },
    /// Something that somebody asks of a mailbox that may be another's: done if he has the rights at this very moment, and
    /// refused with [`RequestError::NotPermitted`] if not.
    Permitted {
        /// Who asks.
        actor: AccountId,
        /// Whose mailbox it is.
        account: AccountId,
        /// Which.
        mailbox: MailboxId,
        /// The rights that it takes, all of them.
        rights: Rights,
        /// What.
        request: Box<Request>,
    },
    /// Adds an account with its default mailboxes. Answered by [`Reply::Done`].
    AddAccount {
        /// The name.
        name: String,
        /// What is kept of its password, made by [`crate::password::hash`].
        password: String,
    },
    /// Answered by [`Reply::Done`].
    SetPassword {
        /// The account.
        account: AccountId,
        /// What is kept of it, made by [`crate::password::hash`].
        password: String,
    },
    /// Adds a password for one program or device. Answered by [`Reply::Done`].
    AddAppPassword {
        /// The account.
        account: AccountId,
        /// Its label and hash.
        password: AppPassword,
    },
    /// Removes such a password, on every node and for ever. Answered by [`Reply::Done`].
    RemoveAppPassword {
        /// The account.
        account: AccountId,
        /// Which.
        id: AppPasswordId,
    },
    /// Gives a mailbox a new UIDVALIDITY: every client downloads it again. Answered by [`Reply::Bumped`].
    Bump {
        /// The account.
        account: AccountId,
        /// The name of the mailbox.
        mailbox: String,
    },
    /// Bounds what an account may hold. Answered by [`Reply::Done`].
    SetQuota {
        /// The account.
        account: AccountId,
        /// How much.
        quota: Quota,
    },
    /// Asks what an account holds. Answered by [`Reply::Usage`].
    Usage {
        /// The account.
        account: AccountId,
    },
    /// Removes an account; its mail stays on disk until it is collected. Answered by [`Reply::Done`].
    RemoveAccount {
        /// The account.
        account: AccountId,
    },
}

/// What became of a request.
#[derive(Debug)]
pub enum Reply {
    /// Done and durable.
    Done,
    /// The mailbox is there.
    Created(MailboxId),
    /// The mailbox has this UIDVALIDITY now.
    Bumped(Validity),
    /// The messages are visible in `view` under these UIDs.
    Appended {
        /// UIDVALIDITY.
        validity: Validity,
        /// UIDs in the order of the messages; none at all where somebody took one of them out again before it had a UID.
        uids: Vec<Uid>,
        /// The mailbox afterwards.
        view: Arc<MailboxView>,
    },
    /// The new message is visible, and the old one is not any more.
    Replaced {
        /// UIDVALIDITY of the mailbox that the new message is in.
        validity: Validity,
        /// Its UID there.
        uid: Option<Uid>,
        /// The mailbox of the old message afterwards.
        source: Arc<MailboxView>,
    },
    /// The message is durable.
    Delivered {
        /// Whether it had been accepted before, here or at another node.
        duplicate: bool,
    },
    /// The flags are changed.
    Stored {
        /// Entries left alone because of UNCHANGEDSINCE.
        modified: Vec<EntryId>,
        /// Entries that are no longer in the mailbox.
        gone: Vec<EntryId>,
        /// The mailbox afterwards.
        view: Arc<MailboxView>,
    },
    /// The mailbox afterwards.
    View(Arc<MailboxView>),
    /// The messages are visible in the target under new UIDs.
    Copied {
        /// UIDVALIDITY of the target.
        validity: Validity,
        /// Which entry became which UID in the target, ascending by that UID.
        pairs: Vec<(EntryId, Uid)>,
        /// Entries that were no longer in the source.
        gone: Vec<EntryId>,
        /// The source afterwards.
        source: Arc<MailboxView>,
    },
    /// The mailbox as this node shows it now.
    Looked(Look),
    /// What an account holds and may hold.
    Usage {
        /// What it holds.
        usage: Usage,
        /// What it may hold.
        quota: Quota,
    },
    /// What happens in the mailboxes of the account, from now on.
    Watched(watch::Receiver<Activity>),
}

/// A look at a mailbox; a lasting one ends when it is dropped.
#[derive(Debug)]
pub struct Look {
    /// The view now, and every later one. `borrow_and_update` gives the newest.
    pub view: watch::Receiver<Arc<MailboxView>>,
    /// Whether something is there that could not be shown yet: it is the turn of another node, or its body is missing.
    pub waits: bool,
    /// Held while the look lasts.
    pub(crate) _guard: Option<LookGuard>,
}

/// Tells the committer that a lasting look has ended.
pub(crate) struct LookGuard {
    pub(crate) end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl std::fmt::Debug for LookGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookGuard")
    }
}

impl Drop for LookGuard {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

/// A session's identity after authentication.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The account.
    pub account: AccountId,
    /// Its mailboxes and subscriptions, now and whenever they change.
    pub view: watch::Receiver<Arc<AccountView>>,
}

/// Why a request was not carried out. Nothing of it is left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No such account.
    #[error("there is no account {0:?}")]
    NoSuchAccount(String),
    /// Name or password is wrong; which of them is not said.
    #[error("the name or the password is wrong")]
    WrongPassword,
    /// Too many password checks are waiting.
    #[error("too many logins are being checked; try again in a moment")]
    TooManyLogins,
    /// No such mailbox.
    #[error("there is no mailbox {0:?}")]
    NoSuchMailbox(String),
    /// The name is taken.
    #[error("{0:?} exists already")]
    AlreadyExists(String),
    /// The name cannot be used.
    #[error("{name:?} cannot be the name of {what}: {why}")]
    BadName {
        /// The name.
        name: String,
        /// A mailbox or an account.
        what: &'static str,
        /// The reason.
        why: &'static str,
    },
    /// The operation is not possible on this mailbox.
    #[error("{0}")]
    NotPossible(String),
    /// A limit is reached.
    #[error("{what} would exceed the limit of {limit}")]
    OverLimit {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Whoever asked lacks a right (RFC 4314).
    #[error("that takes a right to the mailbox that you do not have")]
    NotPermitted,
    /// The account may hold no more.
    #[error(
        "the account may hold no more: its quota is used up; expunge something, or have the quota raised"
    )]
    OverQuota,
    /// The disk is full.
    #[error("the disk is full: nothing was stored; make room and try again")]
    DiskFull,
    /// The disk failed, or stored data is damaged.
    #[error("the store failed: {0}")]
    Storage(String),
    /// The node is going down.
    #[error("the node is shutting down; try again, or use another node")]
    ShuttingDown,
}

/// A moment of wall time with the fields that requests without a date need.
pub(crate) fn received_now(now: Millis) -> ReceivedAt {
    ReceivedAt { seconds: i64::try_from(now.seconds()).unwrap_or(i64::MAX), offset_minutes: 0 }
}

/// A MODSEQ as IMAP writes it.
pub fn modseq(timestamp: Timestamp) -> u64 {
    timestamp.bits().max(1)
}
