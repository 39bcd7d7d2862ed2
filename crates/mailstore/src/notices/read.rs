//! What the tables hold of notices.

use std::ops::Bound;

use crdt::clock::Timestamp;
use crdt::identity::{AccountId, NodeSlot};
use crdt::notice::{Heard, Notice, Telling};
use crdt::placement::announcement::Announcement;
use crdt::replica::ArchiveError;
use storage::{Reader, Table};

use super::{HEARD, Told, notice_key};
use crate::history::MergeRecord;
use crate::rows::failed;

/// What a notice takes beside its own octets where octets are counted.
const OVERHEAD: usize = 32;

/// Up to when each node was heard.
pub fn read_heard(reader: &Reader) -> Result<Heard, ArchiveError> {
    let mut heard = Heard::new();
    for row in reader.prefixed(Table::Meta, HEARD).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let slot = key.get(HEARD.len()..).and_then(single).and_then(NodeSlot::new);
        match (slot, timestamp(value)) {
            (Some(slot), Some(at)) => heard.raise(slot, at),
            _ => return Err(ArchiveError("a row of the table meta is damaged: whom this node heard".into())),
        }
    }
    Ok(heard)
}

/// What was told and `after` has not heard, in order for each node; about `limit_bytes`, but one notice at least if there is any.
pub fn since(reader: &Reader, after: &Heard, limit_bytes: usize) -> Result<Vec<Telling>, ArchiveError> {
    let mut tellings = Vec::new();
    let mut bytes = 0;
    for (slot, until) in read_heard(reader)?.iter() {
        let after = after.last(slot);
        if after >= until {
            continue;
        }
        if bytes >= limit_bytes {
            break;
        }
        bytes += OVERHEAD;
        let mut telling = Telling { slot, after, until, notices: Vec::new() };
        let (first, last) = (notice_key(slot, after), notice_key(slot, until));
        for row in
            reader.range(Table::Notices, Bound::Excluded(&first), Bound::Included(&last)).map_err(failed)?
        {
            let (key, value) = row.map_err(failed)?;
            if bytes >= limit_bytes && !telling.notices.is_empty() {
                telling.until = telling.notices.last().map_or(until, |notice: &Notice| notice.at);
                break;
            }
            bytes += value.len() + OVERHEAD;
            telling.notices.push(Notice { at: moment(&key)?, bytes: value });
        }
        tellings.push(telling);
    }
    Ok(tellings)
}

/// The newest announcement of each node for each mailbox of an account, own ones included.
pub fn announcements(reader: &Reader, account: &AccountId) -> Result<Vec<Announcement>, ArchiveError> {
    let mut announcements = Vec::new();
    for row in reader.prefixed(Table::Announcements, &account.0).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let slot = key.get(32..).and_then(single).and_then(NodeSlot::new);
        if let (Some(slot), Some(at)) = (slot, timestamp(value))
            && let Some(Told::Announcement(announcement)) = told(reader, slot, at)?
        {
            announcements.push(announcement);
        }
    }
    Ok(announcements)
}

/// What merges did on all nodes, as far as they told, with the node that each happened on.
pub(crate) fn merges(
    reader: &Reader,
    account: &AccountId,
) -> Result<Vec<(NodeSlot, MergeRecord)>, ArchiveError> {
    let mut merges = Vec::new();
    for row in reader.prefixed(Table::Merges, &account.0).map_err(failed)? {
        let (key, _) = row.map_err(failed)?;
        let slot = key.get(16..17).and_then(single).and_then(NodeSlot::new);
        let at = key.get(17..).map(<[u8]>::to_vec).and_then(timestamp);
        if let (Some(slot), Some(at)) = (slot, at)
            && let Some(Told::Merge(_, merge)) = told(reader, slot, at)?
        {
            merges.push((slot, merge));
        }
    }
    Ok(merges)
}

fn told(reader: &Reader, slot: NodeSlot, at: Timestamp) -> Result<Option<Told>, ArchiveError> {
    let row = reader.get(Table::Notices, &notice_key(slot, at)).map_err(failed)?;
    let damaged = || ArchiveError("a row of the table notices is damaged".into());
    row.map(|bytes| Told::decode(&bytes).ok_or_else(damaged)).transpose()
}

/// The moment at the end of a key.
fn moment(key: &[u8]) -> Result<Timestamp, ArchiveError> {
    let octets = key.last_chunk::<8>().copied();
    let at = octets.map(u64::from_be_bytes).and_then(Timestamp::from_bits);
    at.ok_or_else(|| ArchiveError("a key of the table notices is damaged".into()))
}

pub(super) fn timestamp(octets: Vec<u8>) -> Option<Timestamp> {
    octets.try_into().ok().map(u64::from_be_bytes).and_then(Timestamp::from_bits)
}

fn single(octets: &[u8]) -> Option<u8> {
    match octets {
        [octet] => Some(*octet),
        _ => None,
    }
}
