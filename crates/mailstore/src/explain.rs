//! `peerpost explain ACCOUNT MAILBOX UID`: the life of one message, from the operations that named it.
//!
//! The log is read twice from end to end: once for the message that had the UID, once for what happened to it.

mod display;
mod life;

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::{Account, AccountImage};
use crdt::clock::{Millis, Stamp};
use crdt::document;
use crdt::fold::cluster::ClusterState;
use crdt::fold::mailbox::Unit;
use crdt::identity::{AccountId, EntryId, MailboxId, NodeSlot, Uid, Validity};
use crdt::operation::{DocumentId, Operation};
use crdt::placement::shown::ShownImage;
use crdt::replica::ArchiveError;
use serde::Serialize;
use storage::{Reader, Storage, Table};

use crate::account::canonical_name;
use crate::rows::{self, failed};

/// The most events of one life that are told; the rest is counted.
pub const MOST_EVENTS: usize = 10_000;

/// Why there is nothing to tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// This node knows no account of that name.
    #[error("there is no account {0:?} on this node; `peerpost user list` lists them")]
    NoSuchAccount(String),
    /// The account has no mailbox of that name.
    #[error("the account {account:?} has no mailbox {mailbox:?}; it has {known}")]
    NoSuchMailbox {
        /// The account.
        account: String,
        /// What was asked for.
        mailbox: String,
        /// The names that there are.
        known: String,
    },
    /// No message ever had the UID, as far as this node knows.
    #[error("no message in {mailbox:?} of {account:?} ever had the UID {uid}, as far as this node knows")]
    NoSuchUid {
        /// The account.
        account: String,
        /// The mailbox.
        mailbox: String,
        /// What was asked for.
        uid: u32,
    },
    /// The store could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The life of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The account.
    pub account: String,
    /// The mailbox that was asked for.
    pub mailbox: String,
    /// The UID that was asked for.
    pub uid: u32,
    /// The epoch in which the message had it: the current one where it had it there.
    pub uid_validity: u32,
    /// Other epochs of the mailbox in which the UID named another message.
    pub other_epochs: Vec<u32>,
    /// The message in its mailbox.
    pub entry: String,
    /// Its content as accepted; copies share it.
    pub email_id: String,
    /// The BLAKE3 hash of its octets.
    pub body: String,
    /// Their number.
    pub octets: u64,
    /// What happened to it, the oldest first.
    pub events: Vec<LifeEvent>,
    /// How many events were left out.
    pub events_left_out: usize,
    /// What it is now, on this node.
    pub now: Now,
}

/// One thing that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LifeEvent {
    /// When, by the clock of the node that wrote it: RFC 3339, UTC.
    pub at: String,
    /// The name of that node.
    pub node: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// How a message was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// An MTA delivered it.
    Delivery,
    /// A client appended it.
    Append,
    /// A client copied it from another message, or moved it within its mailbox.
    Copy,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are what their names say; UIDs go with their UIDVALIDITY")]
pub enum What {
    /// It was accepted.
    Accepted { by: Acceptance, mailbox: String, flags: Vec<String> },
    /// The same delivery was accepted once more, by a node that had not heard of the first; the two are one message.
    AcceptedAgain { mailbox: String, entry: String },
    /// It was given a UID.
    Placed { mailbox: String, uid_validity: u32, uid: u32 },
    /// It was given a UID by the record that founds an epoch.
    Numbered { mailbox: String, uid_validity: u32, uid: u32 },
    /// The node could not show it at this UID, because its clients had been told a higher UIDNEXT.
    Held { mailbox: String, uid_validity: u32, uid: u32 },
    /// Its flags were changed.
    FlagsChanged { set: Vec<String>, cleared: Vec<String> },
    /// It went to another mailbox.
    Moved { to: String },
    /// A client expunged it; whether that held says [`Explanation::now`].
    Expunged { because_deleted: bool },
}

/// What a message is now, on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are what their names say; UIDs go with their UIDVALIDITY")]
pub enum Now {
    /// Visible under the UID that was asked for.
    Visible { flags: Vec<String> },
    /// Visible in the same mailbox under another UID.
    Reissued { uid_validity: u32, uid: u32, flags: Vec<String> },
    /// Visible in another mailbox.
    Moved { mailbox: String, uid_validity: u32, uid: u32, flags: Vec<String> },
    /// It is no more.
    Expunged,
    /// It went with its account.
    AccountRemoved,
    /// Another entry of the same delivery is shown in its place.
    ShownAs { entry: String, mailbox: String, uid_validity: u32, uid: u32 },
    /// It is there, and not visible here yet.
    Waiting { mailbox: String, why: String },
}

/// Tells the life of the message that has, or had, a UID.
///
/// # Errors
///
/// See [`ExplainError`].
pub fn explain(
    storage: &Storage,
    account: &str,
    mailbox: &str,
    uid: Uid,
) -> Result<Explanation, ExplainError> {
    let reader = storage.reader().map_err(failed)?;
    let id = AccountId::of_name(account);
    let image = rows::read_account(&reader, id)?;
    let image = image.ok_or_else(|| ExplainError::NoSuchAccount(account.to_owned()))?;
    let subject = Subject::new(&reader, id, image)?;
    let mailbox = canonical_name(mailbox).into_owned();
    let unit = subject.account.unit_by_name(&mailbox).cloned();
    let unit = unit.ok_or_else(|| ExplainError::NoSuchMailbox {
        account: account.to_owned(),
        mailbox: mailbox.clone(),
        known: subject.account.units().iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    let bearers = subject.bearers(&reader, &unit, uid)?;
    let current = subject.account.mailbox_state(&unit.public).and_then(|state| state.epoch());
    let current = current.map(|epoch| epoch.validity).filter(|validity| bearers.contains_key(validity));
    let validity = current.or(bearers.keys().next_back().copied());
    let found = validity.and_then(|validity| Some((validity, *bearers.get(&validity)?)));
    let (validity, entry) = found.ok_or_else(|| ExplainError::NoSuchUid {
        account: account.to_owned(),
        mailbox: mailbox.clone(),
        uid: uid.0,
    })?;
    let others =
        bearers.iter().filter(|(_, other)| **other != entry).map(|(validity, _)| validity.0).collect();
    let asked = Asked { unit, validity, uid, entry };
    Ok(life::tell(&reader, &subject, &asked, others)?)
}

/// The message that was asked for.
struct Asked {
    unit: Unit,
    validity: Validity,
    uid: Uid,
    entry: EntryId,
}

/// What is known of the account.
struct Subject {
    account: Account,
    shown: Vec<ShownImage>,
    cluster: ClusterState,
}

impl Subject {
    fn new(reader: &Reader, id: AccountId, mut image: AccountImage) -> Result<Self, ArchiveError> {
        // What is shown is read as it lies there: an account is loaded with it by a node that serves alone.
        let shown = std::mem::take(&mut image.shown);
        let account = Account::load(id, NodeSlot::FIRST, image, Millis(0));
        Ok(Subject { account, shown, cluster: rows::read_beginning(reader)?.cluster })
    }

    /// The entries that ever had the UID in the mailbox, by epoch.
    fn bearers(
        &self,
        reader: &Reader,
        unit: &Unit,
        uid: Uid,
    ) -> Result<BTreeMap<Validity, EntryId>, ArchiveError> {
        let mut bearers = BTreeMap::new();
        let identities: BTreeSet<MailboxId> = unit.identities.iter().copied().collect();
        self.each_operation(reader, |document, _, operation| match (document, operation) {
            (DocumentId::Mailbox(_, mailbox), Operation::Found { validity, numbering, .. })
                if identities.contains(mailbox) =>
            {
                let mut entries = numbering.iter().flat_map(life::entries_of_run);
                let entry = uid.0.checked_sub(1).and_then(|place| entries.nth(place as usize));
                if let Some(entry) = entry {
                    bearers.insert(*validity, entry);
                }
            }
            (DocumentId::Segment(_, segment), Operation::Place { mailbox, validity, runs })
                if identities.contains(mailbox) =>
            {
                for (index, placed) in runs.iter().flat_map(|run| run.iter()) {
                    if placed == uid {
                        bearers.insert(*validity, EntryId { segment: *segment, index });
                    }
                }
            }
            _ => {}
        })?;
        Ok(bearers)
    }

    /// Every operation of the account in the log, in no useful order.
    fn each_operation(
        &self,
        reader: &Reader,
        mut each: impl FnMut(&DocumentId, Stamp, &Operation),
    ) -> Result<(), ArchiveError> {
        for row in reader.prefixed(Table::Log, &[]).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let record = rows::record(&key, value)?;
            let Some((document, change)) = record.parts() else { continue };
            if document.account() != Some(self.account.id()) {
                continue;
            }
            let operations = document::read(record.incarnation, change).map_err(|error| {
                let (sequence, life) = (record.sequence.0, record.incarnation);
                ArchiveError(format!(
                    "record {sequence} of life {life} cannot be read ({error}): run `peerpost verify`"
                ))
            })?;
            for (stamp, operation) in &operations {
                each(&document, *stamp, operation);
            }
        }
        Ok(())
    }

    /// Where this node shows an entry.
    fn shown_at(&self, entry: &EntryId) -> Option<(MailboxId, Validity, Uid)> {
        self.shown.iter().find_map(|image| {
            let row = image.rows.iter().find(|row| row.entry == *entry)?;
            Some((image.mailbox, image.head.validity?, row.uid))
        })
    }

    /// The present name of a mailbox, for people.
    fn mailbox_name(&self, mailbox: MailboxId) -> String {
        let unit = self.account.unit(mailbox);
        unit.map_or_else(|| format!("a mailbox that is no more ({mailbox})"), |unit| unit.name.clone())
    }

    /// The node that wrote under a stamp.
    fn node(&self, stamp: &Stamp) -> String {
        let slot = stamp.timestamp.slot();
        let member = self.cluster.member(slot);
        member.map_or_else(|| format!("node in slot {slot}"), |member| member.name.clone())
    }
}
