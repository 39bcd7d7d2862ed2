//! Deltas: what a peer lacks is read from the log and sent within its window; what it sends is applied and acknowledged.

use crdt::clock::Millis;
use crdt::left_out::{LeftOut, leaves_out};
use crdt::operation::Seal;
use crdt::record::Record;
use crdt::vector::Vector;
use tracing::{error, warn};

use super::Replicator;
use super::connection::bit;
use crate::event::{LinkId, Now, Output, Reason};
use crate::frame::{Frame, check_records, check_vector, record_bytes};
use crate::limits::{DELTA_BATCH_BYTES, FORWARD_DELAY, MOST_APPLYING_BYTES, MOST_RECORDS};

impl Replicator {
    pub(super) fn handle_committed(&mut self, vector: &Vector) {
        self.commits += u64::from(!self.vector.covers(vector));
        self.vector.join(vector);
    }

    /// Reads more of the log for a peer that lacks something, if its window allows.
    pub(super) fn pump_delta(&mut self, now: Millis, id: LinkId) {
        let left_to_others = self.left_to_others(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let behind = link.is_established() && !link.theirs.covers(&self.vector);
        link.behind_since = behind.then(|| link.behind_since.unwrap_or(now));
        if link.sending.covers(&self.vector) {
            link.forward_at = None;
            return;
        }
        if !link.may_send() {
            return;
        }
        let mut after = link.sending.clone();
        if left_to_others.is_empty() {
            link.forward_at = None;
        } else if leaves_out(LeftOut::RecordsAreForwarded)
            || *link.forward_at.get_or_insert(now.after(FORWARD_DELAY)) > now
        {
            after.join(&left_to_others);
        } else {
            // They did not come in time: from now on this node sends them, until the next ones.
            link.forward_at = None;
        }
        if !after.covers(&self.vector) {
            link.reading = true;
            let limit = link.room();
            self.outputs.push_back(Output::ReadDelta { link: id, after, limit });
        }
    }

    /// What the peer lacks and was written by nodes that it has a link to: they send it themselves.
    fn left_to_others(&self, id: LinkId) -> Vector {
        let mut left = Vector::new();
        let Some(link) = self.links.get(&id) else { return left };
        for (incarnation, last) in link.lacking(&self.vector) {
            let author = self.links.values().find(|author| author.incarnation == Some(incarnation));
            let reaches = author.is_some_and(|author| link.reachable & bit(author.slot) != 0);
            let is_own = incarnation == self.identity.incarnation;
            if reaches || !is_own && leaves_out(LeftOut::RecordsAreForwarded) {
                left.raise(incarnation, last);
            }
        }
        left
    }

    pub(super) fn handle_delta_read(&mut self, id: LinkId, records: Result<Vec<Record>, String>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.reading = false;
        let records = match records {
            Ok(records) if !records.is_empty() => records,
            Ok(_) => {
                error!(slot = %link.slot, "the log does not hold what the vector says; run `peerpost verify`");
                link.stalled = true;
                return;
            }
            Err(why) => {
                error!(slot = %link.slot, %why, "the log could not be read for a peer");
                link.stalled = true;
                return;
            }
        };
        if let Err(why) = check_records_at_any_number(&records) {
            error!(slot = %link.slot, %why, "the log holds a record that cannot be sent");
            link.stalled = true;
            return;
        }
        let records = match leaves_out(LeftOut::DeltasGoOn) {
            true => records,
            false => contiguous(records, &link.sending),
        };
        // Nothing is left where only records came that are another's to send: they are asked for again when they are due.
        link.stalled = records.is_empty();
        for records in batches(records) {
            link.sent(&records);
            self.outputs.push_back(Output::Send { link: id, frame: Frame::Delta { records } });
        }
    }

    pub(super) fn handle_delta(&mut self, now: Now, id: LinkId, records: Vec<Record>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let bytes = records.iter().map(record_bytes).sum();
        if link.applying_bytes.saturating_add(bytes) > MOST_APPLYING_BYTES {
            return self.fail(now, id, Reason::Protocol("more deltas than the window allows".into()));
        }
        let mut ends = Vector::new();
        records.iter().for_each(|record| ends.raise(record.incarnation, record.sequence));
        link.peer_has(&ends);
        link.applying(bytes);
        self.outputs.push_back(Output::Apply { link: id, records });
    }

    pub(super) fn handle_applied(&mut self, now: Now, id: LinkId, result: Result<Vector, String>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.applied();
        }
        let vector = match result {
            Ok(vector) => vector,
            Err(why) => return self.fail(now, id, Reason::DeltaRefused(why)),
        };
        if let Err(why) = check_vector(&vector) {
            warn!(%why, "the store's own vector is out of bounds");
            return;
        }
        self.handle_committed(&vector);
        self.wanted.ask_again = true;
        if let Some(link) = self.links.get_mut(&id) {
            self.latest_author = Some(link.slot);
            let news = link.news(&self.vector);
            if !news.is_empty() {
                self.outputs.push_back(Output::Send { link: id, frame: Frame::Vector(news) });
            }
        }
    }
}

/// As [`check_records`], for what the log gave at once.
fn check_records_at_any_number(records: &[Record]) -> Result<(), crate::frame::FrameError> {
    records.chunks(MOST_RECORDS).try_for_each(check_records)
}

/// What goes on where `sending` ends. The store may have more of a node whose records are left to itself than this node's links
/// know of yet, and so give its newest without those before; or a new life of it without the end of the one that is left to it.
fn contiguous(records: Vec<Record>, sending: &Vector) -> Vec<Record> {
    let mut reached = sending.clone();
    let goes_on = |record: &Record| {
        let before_is_there = |seal: Seal| reached.last(&seal.incarnation) >= seal.sequence;
        let next = record.sequence == reached.last(&record.incarnation).next()
            && record.seals().is_none_or(before_is_there);
        if next {
            reached.raise(record.incarnation, record.sequence);
        }
        next
    };
    records.into_iter().filter(goes_on).collect()
}

/// Cuts records into deltas of bounded size, in order.
pub(crate) fn batches(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let mut bytes = 0usize;
    for record in records {
        let size = record_bytes(&record);
        match batches.last_mut() {
            Some(batch) if bytes + size <= DELTA_BATCH_BYTES && batch.len() < MOST_RECORDS => {
                bytes += size;
                batch.push(record);
            }
            _ => {
                bytes = size;
                batches.push(vec![record]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::identity::{Incarnation, NodeSlot};
    use crdt::replica::{Beginning, NoArchive, Replica};
    use crdt::vector::Sequence;
    use crdt::writer::Author;

    #[test]
    fn batches_are_bounded_and_keep_the_order() {
        let record = |sequence, length| Record {
            incarnation: Incarnation([1; 16]),
            sequence: Sequence(sequence),
            bytes: vec![0; length],
        };
        let records = vec![
            record(1, 100_000),
            record(2, 150_000),
            record(3, 100_000),
            record(4, 9_000_000),
            record(5, 1),
        ];
        let batches = batches(records.clone());
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(batches.concat(), records);
    }

    #[test]
    fn a_life_is_not_sent_before_the_end_of_the_one_that_it_seals() {
        let life = |n: u8| Incarnation([n; 16]);
        let begin = |n: u8, predecessor, vector: &Vector| {
            let author = Author { slot: NodeSlot::FIRST, incarnation: life(n) };
            let beginning = Beginning { predecessor, vector: vector.clone(), ..Beginning::default() };
            Replica::start(NoArchive, author, beginning, Millis(1_790_000_000_000)).commit().records
        };
        let first = begin(1, None, &Vector::new());
        let mut ended = Vector::new();
        first.iter().for_each(|record| ended.raise(record.incarnation, record.sequence));
        let second = begin(2, Some(life(1)), &ended);
        assert_eq!(second[0].seals().map(|seal| seal.incarnation), Some(life(1)));
        assert_eq!(contiguous(second.clone(), &Vector::new()), []);
        assert_eq!(contiguous(second.clone(), &ended), second);
        let both = [first, second].concat();
        assert_eq!(contiguous(both.clone(), &Vector::new()), both);
    }
}
