//! How long it is kept what merges did: by number for each account and author, and by age.

use std::collections::BTreeSet;
use std::ops::Bound;

use crdt::clock::{Millis, Timestamp};
use crdt::identity::{AccountId, NodeSlot};
use crdt::replica::ArchiveError;
use storage::{Batch, Reader, Table};

use super::merge_key;
use crate::rows::{failed, key};

/// The most merges that are kept of one node for one account.
pub const MOST_MERGES: usize = 1_000;
/// The most that are forgotten in one batch because of their age.
const MOST_FORGOTTEN: usize = 10_000;
/// The octets of a key before the moment: the account and the slot.
const SUBJECT_OCTETS: usize = AccountId::LENGTH + 1;

/// Keeps an account's merges of one author within their number, those that the batch adds among them.
pub(super) fn bound(
    batch: &mut Batch,
    reader: &Reader,
    account: &AccountId,
    slot: NodeSlot,
    added: &BTreeSet<Timestamp>,
) -> Result<(), ArchiveError> {
    let prefix = key(&[&account.0, &[slot.number()]]);
    let stored = reader.prefixed(Table::Merges, &prefix).map_err(failed)?.count();
    let excess = (stored + added.len()).saturating_sub(MOST_MERGES);
    for (row, _) in reader.scan_prefix(Table::Merges, &prefix, excess).map_err(failed)? {
        forget(batch, row);
    }
    for at in added.iter().take(excess.saturating_sub(stored)) {
        forget(batch, merge_key(account, slot, *at));
    }
    Ok(())
}

/// Forgets what merges did before `before`, some thousands at a time; says whether that was all.
pub(crate) fn forget_before(
    batch: &mut Batch,
    reader: &Reader,
    before: Millis,
) -> Result<bool, ArchiveError> {
    let before = Timestamp::from_parts(before, 0, NodeSlot::FIRST).bits().to_be_bytes();
    let mut forgotten = 0;
    let mut start: Bound<Vec<u8>> = Bound::Unbounded;
    loop {
        let from = start.as_ref().map(Vec::as_slice);
        let first = reader.range(Table::Merges, from, Bound::Unbounded).map_err(failed)?.next();
        let Some((row, _)) = first.transpose().map_err(failed)? else { return Ok(true) };
        let subject = row.get(..SUBJECT_OCTETS).unwrap_or(&row).to_vec();
        let end = key(&[&subject, &before]);
        for row in
            reader.range(Table::Merges, Bound::Included(&subject), Bound::Excluded(&end)).map_err(failed)?
        {
            if forgotten == MOST_FORGOTTEN {
                return Ok(false);
            }
            forgotten += 1;
            forget(batch, row.map_err(failed)?.0);
        }
        start = Bound::Excluded(key(&[&subject, &[0xff; 9]]));
    }
}

/// Removes the row of a merge and its notice.
fn forget(batch: &mut Batch, row: Vec<u8>) {
    // A key is the account, then the notice's own key.
    if let Some(notice) = row.get(AccountId::LENGTH..) {
        batch.remove(Table::Notices, notice);
    }
    batch.remove(Table::Merges, row);
}
