//! How an account lies in the tables: the keys and values of everything that [`crdt`] keeps, and the way back.

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::dirty::{Dirty, ENTRY_CHUNK};
use crdt::account::{Account, AccountHead, AccountImage};
use crdt::clock::{Millis, Timestamp};
use crdt::document::Chain;
use crdt::fold::cluster::ClusterState;
use crdt::fold::entry::EntryState;
use crdt::fold::mailbox::MailboxState;
use crdt::identity::{AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot, SegmentId, Uid};
use crdt::operation::{DocumentId, LogHash};
use crdt::placement::shown::{RowImage, ShownHead, ShownImage, row_images};
use crdt::record::Record;
use crdt::replica::{Archive, ArchiveError, Commit};
use crdt::vector::{Sequence, Vector};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Bound;
use std::sync::Arc;
use storage::{Batch, Reader, Storage, Table};

/// The key in [`Table::Meta`] of what a node is.
pub const IDENTITY: &[u8] = b"identity";
const CLOCK: &[u8] = b"clock";
const INCARNATION: &[u8] = b"incarnation";
const FIRM: &[u8] = b"firm";
/// Before the incarnation, in [`Table::Meta`]: its last record here.
pub(crate) const VECTOR: &[u8] = b"vector:";
pub(crate) const CLUSTER: &[u8] = b"state";

/// Any value of ours as octets.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("rows are plain data, which postcard always encodes")
}

/// The way back; what cannot be read is damage, never a default.
pub fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, ArchiveError> {
    postcard::from_bytes(bytes).map_err(|error| damaged(table, &error))
}

/// The way back of the head of an account, which may have been written in an older format.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<AccountHead, ArchiveError> {
    AccountHead::decode(bytes).map_err(|error| damaged(Table::Accounts, &error))
}

fn damaged(table: Table, error: &postcard::Error) -> ArchiveError {
    ArchiveError(format!("a row of the table {} is damaged: {error}", table.name()))
}

pub(crate) fn failed(error: storage::ReadError) -> ArchiveError {
    ArchiveError(error.to_string())
}

pub(crate) fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn segment_key(account: &AccountId, segment: &SegmentId, chunk: u16) -> Vec<u8> {
    key(&[&account.0, &segment.incarnation.0, &segment.number.to_be_bytes(), &chunk.to_be_bytes()])
}

pub(crate) fn shown_key(account: &AccountId, mailbox: &MailboxId, chunk: u32) -> Vec<u8> {
    key(&[&account.0, &mailbox.0, &chunk.to_be_bytes()])
}

pub(crate) fn vanished_key(account: &AccountId, mailbox: &MailboxId, last: Timestamp) -> Vec<u8> {
    key(&[&account.0, &mailbox.0, &last.bits().to_be_bytes()])
}

pub(crate) fn chain_key(document: &DocumentId, author: &Incarnation) -> Vec<u8> {
    key(&[&encode(document), &author.0])
}

/// The key of a record in [`Table::Log`].
pub fn log_key(incarnation: &Incarnation, sequence: Sequence) -> Vec<u8> {
    key(&[&incarnation.0, &sequence.0.to_be_bytes()])
}

/// A record as it lies in [`Table::Log`].
pub fn record(key: &[u8], value: Vec<u8>) -> Result<Record, ArchiveError> {
    let parts = key.split_at_checked(Incarnation::LENGTH);
    let parsed = parts.and_then(|(incarnation, sequence)| {
        let sequence = u64::from_be_bytes(sequence.try_into().ok()?);
        Some((Incarnation::from_slice(incarnation)?, Sequence(sequence)))
    });
    let (incarnation, sequence) =
        parsed.ok_or_else(|| ArchiveError("a key of the table log is damaged".into()))?;
    Ok(Record { incarnation, sequence, bytes: value })
}

pub(crate) fn missing_key(hash: &BodyHash, account: &AccountId, entry: &EntryId) -> Vec<u8> {
    key(&[&hash.0, &account.0, &entry_octets(entry)])
}

pub(crate) fn absent_key(account: &AccountId, entry: &EntryId) -> Vec<u8> {
    key(&[&account.0, &entry_octets(entry)])
}

fn entry_octets(entry: &EntryId) -> Vec<u8> {
    key(&[&entry.segment.incarnation.0, &entry.segment.number.to_be_bytes(), &entry.index.to_be_bytes()])
}

pub(crate) fn parse_entry(octets: &[u8]) -> Option<EntryId> {
    let (incarnation, rest) = octets.split_at_checked(16)?;
    let (number, index) = rest.split_at_checked(4)?;
    let segment = SegmentId {
        incarnation: Incarnation::from_slice(incarnation)?,
        number: u32::from_be_bytes(number.try_into().ok()?),
    };
    Some(EntryId { segment, index: u16::from_be_bytes(index.try_into().ok()?) })
}

/// Puts everything that a batch changed into one storage batch.
pub fn write_commit(
    batch: &mut Batch,
    commit: &Commit,
    accounts: &BTreeMap<AccountId, &Account>,
    cluster: &ClusterState,
) {
    let mut lasts: BTreeMap<Incarnation, Sequence> = BTreeMap::new();
    for record in &commit.records {
        batch.put(Table::Log, log_key(&record.incarnation, record.sequence), record.bytes.clone());
        let last = lasts.entry(record.incarnation).or_default();
        *last = record.sequence.max(*last);
    }
    let hashes: BTreeMap<Incarnation, LogHash> = commit.hashes.iter().copied().collect();
    for (incarnation, last) in lasts {
        let hash = hashes.get(&incarnation).copied().unwrap_or_default();
        batch.put(
            Table::Meta,
            key(&[VECTOR, &incarnation.0]),
            key(&[&last.0.to_be_bytes(), hash.as_slice()]),
        );
    }
    for (document, author, chain) in &commit.chains {
        batch.put(Table::Chains, chain_key(document, author), encode(chain));
    }
    for changed in &commit.accounts {
        if let Some(account) = accounts.get(&changed.account) {
            write_account(batch, account, &changed.dirty);
        }
    }
    if commit.cluster_changed {
        batch.put(Table::Cluster, CLUSTER, encode(cluster));
    }
    match &commit.firm {
        Some(Some(end)) => batch.put(Table::Meta, FIRM, encode(end)),
        Some(None) => batch.remove(Table::Meta, FIRM),
        None => {}
    }
    batch.put(Table::Meta, CLOCK, commit.last.bits().to_be_bytes());
}

pub(crate) fn write_account(batch: &mut Batch, account: &Account, dirty: &Dirty) {
    let id = account.id();
    if dirty.head {
        batch.put(Table::Accounts, id.0, encode(account.head()));
    }
    if dirty.touched_by {
        batch.put(Table::Touched, id.0, encode(account.touched_by()));
    }
    for mailbox in &dirty.mailboxes {
        if let Some(state) = account.mailbox_state(mailbox) {
            batch.put(Table::Mailboxes, key(&[&id.0, &mailbox.0]), encode(state));
        }
    }
    for (segment, chunk) in &dirty.entries {
        let first = usize::from(*chunk) * usize::from(ENTRY_CHUNK);
        let entries = account.segment(segment);
        let end = entries.len().min(first + usize::from(ENTRY_CHUNK));
        batch.put(
            Table::Entries,
            segment_key(&id, segment, *chunk),
            encode(&entries.get(first..end).unwrap_or_default()),
        );
    }
    for (mailbox, chunks) in &dirty.shown {
        let view = account.view(*mailbox);
        let head = ShownHead {
            validity: view.validity,
            announced: view.uid_next,
            highest_modseq: view.highest_modseq,
            vanished_floor: view.vanished.floor(),
            reach: account.reach(*mailbox),
        };
        batch.put(Table::Announced, key(&[&id.0, &mailbox.0]), encode(&head));
        for chunk in chunks {
            let rows = row_images(&view.rows, *chunk);
            match rows.is_empty() {
                true => batch.remove(Table::Shown, shown_key(&id, mailbox, *chunk)),
                false => batch.put(Table::Shown, shown_key(&id, mailbox, *chunk), encode(&rows)),
            }
        }
    }
    for (mailbox, vanished) in &dirty.vanished {
        let floor = account.view(*mailbox).vanished.floor();
        let kept: Vec<(Timestamp, Uid)> =
            vanished.iter().filter(|(modseq, _)| *modseq > floor).copied().collect();
        if let Some((last, _)) = kept.last() {
            batch.put(Table::Vanished, vanished_key(&id, mailbox, *last), encode(&kept));
        }
    }
    for (entry, absent) in &dirty.absent {
        let facts = account.segment(&entry.segment).get(usize::from(entry.index)).and_then(EntryState::facts);
        let Some(facts) = facts else { continue };
        if *absent {
            batch.put(Table::BodiesMissing, missing_key(&facts.body, &id, entry), facts.size.to_be_bytes());
            batch.put(Table::EntriesAbsent, absent_key(&id, entry), vec![]);
        } else {
            batch.remove(Table::BodiesMissing, missing_key(&facts.body, &id, entry));
            batch.remove(Table::EntriesAbsent, absent_key(&id, entry));
        }
    }
}

/// Removes the rows of views that a batch has made void, before the new ones are put.
pub fn clear_views(batch: &mut Batch, reader: &Reader, commit: &Commit) -> Result<(), ArchiveError> {
    for changed in &commit.accounts {
        for mailbox in &changed.dirty.cleared {
            let prefix = key(&[&changed.account.0, &mailbox.0]);
            for entry in reader.prefixed(Table::Shown, &prefix).map_err(failed)? {
                batch.remove(Table::Shown, entry.map_err(failed)?.0);
            }
            for entry in reader.prefixed(Table::Vanished, &prefix).map_err(failed)? {
                batch.remove(Table::Vanished, entry.map_err(failed)?.0);
            }
        }
        // A row of which some is remembered stays: what is not above the floor is passed over when it is read.
        for (mailbox, floor) in &changed.dirty.forgotten {
            let first = vanished_key(&changed.account, mailbox, Timestamp::ZERO);
            let last = vanished_key(&changed.account, mailbox, *floor);
            let bounds = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
            for entry in reader.range(Table::Vanished, bounds.0, bounds.1).map_err(failed)? {
                batch.remove(Table::Vanished, entry.map_err(failed)?.0);
            }
        }
    }
    Ok(())
}

/// The entries that wait for a body.
pub fn waiting_for(
    reader: &Reader,
    hash: &BodyHash,
) -> Result<BTreeMap<AccountId, Vec<EntryId>>, ArchiveError> {
    let mut waiting: BTreeMap<AccountId, Vec<EntryId>> = BTreeMap::new();
    for row in reader.prefixed(Table::BodiesMissing, &hash.0).map_err(failed)? {
        let (key, _) = row.map_err(failed)?;
        let account = key.get(32..48).and_then(AccountId::from_slice);
        let entry = key.get(48..).and_then(parse_entry);
        if let (Some(account), Some(entry)) = (account, entry) {
            waiting.entry(account).or_default().push(entry);
        }
    }
    Ok(waiting)
}

/// Bodies that entries name and this node lacks, with their sizes.
pub fn missing_bodies(reader: &Reader, limit: usize) -> Result<Vec<(BodyHash, u64)>, ArchiveError> {
    let mut missing: Vec<(BodyHash, u64)> = Vec::new();
    for row in reader.prefixed(Table::BodiesMissing, &[]).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let hash = key.get(..32).and_then(BodyHash::from_slice);
        let size = value.try_into().ok().map(u64::from_be_bytes);
        if let (Some(hash), Some(size)) = (hash, size)
            && missing.last().is_none_or(|(last, _)| *last != hash)
        {
            if missing.len() == limit {
                break;
            }
            missing.push((hash, size));
        }
    }
    Ok(missing)
}

/// What is here of every life, and the chained hash of its records.
pub fn read_lives(reader: &Reader) -> Result<BTreeMap<Incarnation, (Sequence, LogHash)>, ArchiveError> {
    let mut lives = BTreeMap::new();
    for row in reader.prefixed(Table::Meta, VECTOR).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let incarnation = key.get(VECTOR.len()..).and_then(Incarnation::from_slice);
        let parts = value.split_at_checked(8).and_then(|(last, hash)| {
            Some((Sequence(u64::from_be_bytes(last.try_into().ok()?)), hash.try_into().ok()?))
        });
        let (Some(incarnation), Some(end)) = (incarnation, parts) else {
            return Err(ArchiveError("a row of the table meta about a life is damaged".into()));
        };
        lives.insert(incarnation, end);
    }
    Ok(lives)
}

/// What is here of every life.
pub fn read_vector(reader: &Reader) -> Result<Vector, ArchiveError> {
    let mut vector = Vector::new();
    for (incarnation, (last, _)) in read_lives(reader)? {
        vector.raise(incarnation, last);
    }
    Ok(vector)
}

/// What a new life begins with.
pub fn read_beginning(reader: &Reader) -> Result<crdt::replica::Beginning, ArchiveError> {
    let clock = reader
        .get(Table::Meta, CLOCK)
        .map_err(failed)?
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_be_bytes);
    let predecessor = reader.get(Table::Meta, INCARNATION).map_err(failed)?;
    let cluster = reader.get(Table::Cluster, CLUSTER).map_err(failed)?;
    Ok(crdt::replica::Beginning {
        vector: read_vector(reader)?,
        cluster: cluster.map(|bytes| decode(Table::Cluster, &bytes)).transpose()?.unwrap_or_default(),
        last: clock.and_then(Timestamp::from_bits).unwrap_or_default(),
        predecessor: predecessor.and_then(|bytes| Incarnation::from_slice(&bytes)),
        hashes: read_lives(reader)?.into_iter().map(|(life, (_, hash))| (life, hash)).collect(),
        firm: reader
            .get(Table::Meta, FIRM)
            .map_err(failed)?
            .map(|bytes| decode(Table::Meta, &bytes))
            .transpose()?,
        continues: false,
    })
}

/// Remembers whose life this is.
pub fn write_incarnation(batch: &mut Batch, incarnation: &Incarnation) {
    batch.put(Table::Meta, INCARNATION, incarnation.0);
}

/// The heads of all accounts.
pub fn read_heads(reader: &Reader) -> Result<BTreeMap<AccountId, AccountHead>, ArchiveError> {
    let mut heads = BTreeMap::new();
    for row in reader.prefixed(Table::Accounts, &[]).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        if let Some(account) = AccountId::from_slice(&key) {
            heads.insert(account, decode_head(&value)?);
        }
    }
    Ok(heads)
}

/// An account as it was committed last.
pub fn read_account(reader: &Reader, id: AccountId) -> Result<Option<AccountImage>, ArchiveError> {
    let mailboxes: BTreeMap<MailboxId, MailboxState> = read_mailboxes(reader, id)?;
    let segments = read_segments(reader, id)?;
    let head = reader.get(Table::Accounts, &id.0).map_err(failed)?;
    if head.is_none() && mailboxes.is_empty() && segments.is_empty() {
        return Ok(None);
    }
    let head = head.map(|bytes| decode_head(&bytes)).transpose()?.unwrap_or_default();
    let mut absent = BTreeSet::new();
    for row in reader.prefixed(Table::EntriesAbsent, &id.0).map_err(failed)? {
        absent.extend(row.map_err(failed)?.0.get(16..).and_then(parse_entry));
    }
    let touched = reader.get(Table::Touched, &id.0).map_err(failed)?;
    let touched_by = touched.map(|bytes| decode(Table::Touched, &bytes)).transpose()?.unwrap_or_default();
    let shown = read_shown(reader, id)?;
    let announcements = crate::notices::announcements(reader, &id)?;
    Ok(Some(AccountImage { head, mailboxes, segments, absent, shown, announcements, touched_by }))
}

pub(crate) fn read_mailboxes(
    reader: &Reader,
    id: AccountId,
) -> Result<BTreeMap<MailboxId, MailboxState>, ArchiveError> {
    let mut mailboxes = BTreeMap::new();
    for row in reader.prefixed(Table::Mailboxes, &id.0).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        if let Some(mailbox) = key.get(16..).and_then(MailboxId::from_slice) {
            mailboxes.insert(mailbox, decode(Table::Mailboxes, &value)?);
        }
    }
    Ok(mailboxes)
}

pub(crate) fn read_segments(
    reader: &Reader,
    id: AccountId,
) -> Result<BTreeMap<SegmentId, Vec<EntryState>>, ArchiveError> {
    let mut segments: BTreeMap<SegmentId, Vec<EntryState>> = BTreeMap::new();
    for row in reader.prefixed(Table::Entries, &id.0).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        // The key ends with the chunk's number: it spells the first entry of the chunk, in units of chunks.
        let Some(EntryId { segment, index: chunk }) = key.get(16..).and_then(parse_entry) else {
            return Err(ArchiveError("a key of the table entries is damaged".into()));
        };
        let chunk_entries: Vec<EntryState> = decode(Table::Entries, &value)?;
        let entries = segments.entry(segment).or_default();
        entries.resize_with(usize::from(chunk) * usize::from(ENTRY_CHUNK), EntryState::default);
        entries.extend(chunk_entries);
    }
    Ok(segments)
}

pub(crate) fn read_shown(reader: &Reader, id: AccountId) -> Result<Vec<ShownImage>, ArchiveError> {
    let mut shown = Vec::new();
    for row in reader.prefixed(Table::Announced, &id.0).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let Some(mailbox) = key.get(16..).and_then(MailboxId::from_slice) else { continue };
        let head: ShownHead = decode(Table::Announced, &value)?;
        let mut rows: Vec<RowImage> = Vec::new();
        for chunk in reader.prefixed(Table::Shown, &key).map_err(failed)? {
            rows.extend(decode::<Vec<RowImage>>(Table::Shown, &chunk.map_err(failed)?.1)?);
        }
        let mut vanished: Vec<(Timestamp, Uid)> = Vec::new();
        for row in reader.prefixed(Table::Vanished, &key).map_err(failed)? {
            vanished.extend(decode::<Vec<(Timestamp, Uid)>>(Table::Vanished, &row.map_err(failed)?.1)?);
        }
        shown.push(ShownImage { mailbox, head, rows, vanished });
    }
    Ok(shown)
}

/// A digest of the folded state of an account: equal on two nodes that have the same operations. Hexadecimal.
pub fn digest(reader: &Reader, account: &AccountId) -> Result<String, ArchiveError> {
    let mut hasher = blake3::Hasher::new_derive_key("peerpost account digest");
    for table in [Table::Accounts, Table::Mailboxes, Table::Entries] {
        for row in reader.prefixed(table, &account.0).map_err(failed)? {
            let (key, mut value) = row.map_err(failed)?;
            if table == Table::Accounts {
                // A row of the first format says the same as one of this.
                value = encode(&decode_head(&value)?);
            }
            hasher.update(&(key.len() as u64).to_be_bytes()).update(&key);
            hasher.update(&(value.len() as u64).to_be_bytes()).update(&value);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The disk, as [`crdt::replica::Replica`] reads it.
#[derive(Clone)]
pub struct DiskArchive(pub Arc<Storage>);

impl Archive for DiskArchive {
    fn account(
        &self,
        account: AccountId,
        here: NodeSlot,
        now: Millis,
    ) -> Result<Option<Account>, ArchiveError> {
        let reader = self.0.reader().map_err(failed)?;
        Ok(read_account(&reader, account)?.map(|image| Account::load(account, here, image, now)))
    }

    fn chain(&self, document: &DocumentId, author: &Incarnation) -> Result<Option<Chain>, ArchiveError> {
        let reader = self.0.reader().map_err(failed)?;
        let row = reader.get(Table::Chains, &chain_key(document, author)).map_err(failed)?;
        row.map(|bytes| decode(Table::Chains, &bytes)).transpose()
    }
}
