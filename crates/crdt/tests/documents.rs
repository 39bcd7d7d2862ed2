//! Changes that automerge itself makes, and octets that nobody made: what is not a run of first writes to the root map under the
//! author's own keys is refused, without a panic and without unpacking what has no end.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit, ObjType, ROOT, ScalarValue};
use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::document::{Chain, check, encode_all};
use peerpost_crdt::identity::{Incarnation, NodeSlot};
use peerpost_crdt::operation::Operation;
use proptest::prelude::*;

const AUTHOR: Incarnation = Incarnation([7; 16]);

fn operation(n: u64) -> (Timestamp, Operation) {
    let timestamp = Timestamp::from_parts(Millis(1000 + n), 0, NodeSlot::FIRST);
    (timestamp, Operation::Subscribe { name: n.to_string(), subscribed: true })
}

fn honest(count: u64) -> Vec<u8> {
    let operations: Vec<_> = (0..count).map(operation).collect();
    encode_all(AUTHOR, &mut Chain::default(), &operations).remove(0)
}

fn key(n: u64) -> String {
    format!("{:016x}{AUTHOR}", operation(n).0.bits())
}

/// The last change of a document that `write` wrote to.
fn foreign(write: impl FnOnce(&mut AutoCommit)) -> Vec<u8> {
    let mut document = AutoCommit::new().with_actor(ActorId::from(AUTHOR.0));
    write(&mut document);
    document.commit_with(CommitOptions::default().with_time(1));
    document.get_last_local_change().expect("a change").raw_bytes().to_vec()
}

#[test]
fn what_automerge_can_say_beyond_puts_of_octets_is_refused() {
    // Of the known format, and of no kind of operation.
    let octets = || ScalarValue::Bytes(vec![1, 0x7f, 3]);
    let changes: Vec<(&str, Vec<u8>)> = vec![
        ("an object", foreign(|d| drop(d.put_object(ROOT, key(0), ObjType::Map).expect("put")))),
        (
            "a nested put",
            foreign(|d| {
                let map = d.put_object(ROOT, key(0), ObjType::Map).expect("an object");
                d.put(&map, key(1), octets()).expect("put");
            }),
        ),
        (
            "a list",
            foreign(|d| {
                let list = d.put_object(ROOT, key(0), ObjType::List).expect("a list");
                d.insert(&list, 0, octets()).expect("inserted");
            }),
        ),
        (
            "text with a mark",
            foreign(|d| {
                let text = d.put_object(ROOT, key(0), ObjType::Text).expect("text");
                d.splice_text(&text, 0, 0, "hello").expect("spliced");
                let mark = automerge::marks::Mark::new("bold".to_owned(), true, 0, 3);
                d.mark(&text, mark, automerge::marks::ExpandMark::Both).expect("marked");
            }),
        ),
        (
            "a counter",
            foreign(|d| {
                d.put(ROOT, key(0), ScalarValue::counter(1)).expect("put");
                d.increment(ROOT, key(0), 5).expect("incremented");
            }),
        ),
        (
            "a delete",
            foreign(|d| {
                d.put(ROOT, key(0), octets()).expect("put");
                d.commit();
                d.delete(ROOT, key(0)).expect("deleted");
            }),
        ),
        (
            "an overwrite",
            foreign(|d| {
                d.put(ROOT, key(0), octets()).expect("put");
                d.commit();
                d.put(ROOT, key(0), ScalarValue::Bytes(vec![4])).expect("put");
            }),
        ),
        ("a number", foreign(|d| d.put(ROOT, key(0), 1).expect("put"))),
        ("a foreign key", foreign(|d| d.put(ROOT, "x", octets()).expect("put"))),
        ("octets that are no operation", foreign(|d| d.put(ROOT, key(0), octets()).expect("put"))),
        ("a merge", {
            let mut other = AutoCommit::new().with_actor(ActorId::from([9; 16]));
            other.put(ROOT, "x", 1).expect("put");
            foreign(|d| {
                d.merge(&mut other).expect("merged");
                d.put(ROOT, key(0), octets()).expect("put");
            })
        }),
        ("an empty change", {
            let mut document = AutoCommit::new().with_actor(ActorId::from(AUTHOR.0));
            document.empty_change(CommitOptions::default());
            document.get_last_local_change().expect("a change").raw_bytes().to_vec()
        }),
        ("a compressed change", {
            let mut document = AutoCommit::new().with_actor(ActorId::from(AUTHOR.0));
            document.put(ROOT, key(0), ScalarValue::Bytes(vec![0; 100_000])).expect("put");
            document.commit();
            let mut change = document.get_last_local_change().expect("a change");
            let bytes = change.bytes().into_owned();
            assert!(bytes.len() < 10_000, "automerge does not compress");
            bytes
        }),
        ("a document", {
            let mut document = AutoCommit::new().with_actor(ActorId::from(AUTHOR.0));
            document.put(ROOT, key(0), octets()).expect("put");
            document.save()
        }),
    ];
    for (what, bytes) in changes {
        assert!(check(AUTHOR, &Chain::default(), &bytes).is_err(), "{what} was accepted");
    }
}

/// A change chunk of these columns, with the checksum that belongs to it.
fn chunk(columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0, 16];
    body.extend(AUTHOR.0);
    body.extend([1, 1, 0, 0, 0, columns.len() as u8]);
    columns.iter().for_each(|(specification, column)| body.extend([*specification, column.len() as u8]));
    columns.iter().for_each(|(_, column)| body.extend(column));
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1];
    assert!(body.len() < 128, "the length is one octet");
    bytes.push(body.len() as u8);
    bytes.extend(body);
    bytes
}

#[test]
fn a_few_octets_that_stand_for_operations_without_end_are_refused_at_once() {
    let endless = |value: u8| vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, value];
    let mut keys = endless(1);
    keys.push(b'k');
    let actions = chunk(&[
        (0x15, keys),
        (0x34, endless(0)[..7].to_vec()),
        (0x42, endless(1)),
        (0x56, endless(7)),
        (0x70, endless(0)),
    ]);
    assert!(check(AUTHOR, &Chain::default(), &actions).is_err());
    let mut one_key = vec![0x7f, 48];
    one_key.extend(key(0).bytes());
    // One operation with 2^48 predecessors.
    let mut predecessors = vec![0x7f];
    predecessors.extend(&endless(0)[..7]);
    let predecessors = chunk(&[
        (0x15, one_key),
        (0x34, vec![1]),
        (0x42, vec![0x7f, 1]),
        (0x56, vec![0x7f, 7]),
        (0x70, predecessors),
        (0x71, endless(0)),
        (0x73, endless(1)),
    ]);
    assert!(check(AUTHOR, &Chain::default(), &predecessors).is_err());
}

#[test]
fn changes_of_every_size_that_nodes_write_are_accepted() {
    for count in [1, 2, 3, 63, 64, 65, 127, 128, 129, 4095, 4096] {
        let checked = check(AUTHOR, &Chain::default(), &honest(count)).expect("a change of ours");
        assert_eq!(checked.operations.len() as u64, count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn octets_that_nobody_made_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(check(AUTHOR, &Chain::default(), &bytes).is_err());
        let mut chunk = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1];
        chunk.extend(bytes);
        prop_assert!(check(AUTHOR, &Chain::default(), &chunk).is_err());
    }

    #[test]
    fn changed_octets_are_refused(at in any::<prop::sample::Index>(), more in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let good = honest(5);
        let mut bad = good.clone();
        bad[at.index(good.len())] = octet;
        bad[more.index(good.len())] ^= octet;
        prop_assert!(bad == good || check(AUTHOR, &Chain::default(), &bad).is_err());
    }
}
