//! A client that was away asks only for what changed (RFC 7162), and comes to what it would see if it asked for everything.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use kit::alike::alike;
use kit::cluster::Cluster;
use kit::imap::{Client, Listing, Message, Reply, Value};
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::witness::Witness;

/// Messages that are there from the start, and that come in on each node while they are apart.
const MESSAGES: usize = 40;

/// What a client keeps of INBOX between two connections.
#[derive(Clone)]
struct Cache {
    uid_validity: u32,
    highest_modseq: u64,
    messages: BTreeMap<u32, Message>,
}

impl Cache {
    /// Everything, and the HIGHESTMODSEQ that was told with it.
    fn fill(node: &Node, witness: &Witness) -> Self {
        let mut client = Client::open(node, witness);
        let Listing { uid_validity, messages } = client.list("INBOX");
        let highest_modseq = select(&mut client).1;
        assert_eq!(client.view().len(), messages.len(), "nothing arrives while the cache is filled");
        Self { uid_validity, highest_modseq, messages }
    }

    /// What changed since then, and which UIDs are still there.
    fn refresh(&mut self, node: &Node, witness: &Witness) {
        let mut client = Client::open(node, witness);
        let (uid_validity, highest_modseq) = select(&mut client);
        assert_eq!(uid_validity, self.uid_validity, "the cache would be thrown away");
        if highest_modseq == self.highest_modseq {
            return;
        }
        let since = self.highest_modseq;
        let changed = client.ok(&format!("UID FETCH 1:* (FLAGS EMAILID) (CHANGEDSINCE {since})")).untagged;
        for (uid, message) in changed.iter().filter_map(|values| fetched(values)) {
            self.messages.insert(uid, message);
        }
        let there = client.ok("UID SEARCH ALL").untagged;
        let there: BTreeSet<u32> = there
            .iter()
            .filter(|values| values[0].text() == "SEARCH")
            .flat_map(|values| values[1..].iter().filter_map(Value::number))
            .collect();
        self.messages.retain(|uid, _| there.contains(uid));
        self.highest_modseq = highest_modseq;
    }

    /// The same by QRESYNC alone (RFC 7162 section 3.2): what vanished is told, not found out. Fetches what it does not know, and
    /// then has as many messages as there are.
    fn resync(&mut self, node: &Node, witness: &Witness, tell_known: bool) {
        let mut client = Client::open(node, witness);
        let enabled = client.ok("ENABLE QRESYNC").untagged;
        assert!(enabled.iter().any(|values| values.iter().any(|word| word.text() == "QRESYNC")));
        let known: Vec<String> = self.messages.keys().map(u32::to_string).collect();
        let known = if tell_known { format!(" {}", known.join(",")) } else { String::new() };
        let (validity, since) = (self.uid_validity, self.highest_modseq);
        let reply = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {since}{known}))"));
        assert_eq!(reply.code("UIDVALIDITY"), Some(validity), "the cache would be thrown away");
        let mut exists = 0;
        for values in &reply.untagged {
            match values.iter().map(Value::text).collect::<Vec<_>>().as_slice() {
                [word, _, set] if word == "VANISHED" => self.forget(set),
                [count, word] if word == "EXISTS" => exists = count.parse().unwrap(),
                _ => {}
            }
        }
        let changed = reply.untagged.iter().filter_map(|values| told_flags(values));
        changed.for_each(|(uid, flags)| {
            if let Some(message) = self.messages.get_mut(&uid) {
                message.flags = flags;
            }
        });
        let all = client.ok("UID FETCH 1:* (FLAGS EMAILID)").untagged;
        for (uid, message) in all.iter().filter_map(|values| fetched(values)) {
            // What it knows it does not look at again.
            self.messages.entry(uid).or_insert(message);
        }
        assert_eq!(self.messages.len(), exists, "a cache has as many messages as there are on {}", node.name);
        self.highest_modseq = highest(&reply);
    }

    fn forget(&mut self, set: &str) {
        for range in set.split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let range: std::ops::RangeInclusive<u32> = first.parse().unwrap()..=last.parse().unwrap();
            self.messages.retain(|uid, _| !range.contains(uid));
        }
    }
}

/// UIDVALIDITY and HIGHESTMODSEQ.
fn select(client: &mut Client) -> (u32, u64) {
    let reply = client.ok("ENABLE CONDSTORE");
    assert!(reply.untagged.iter().any(|values| values.iter().any(|word| word.text() == "CONDSTORE")));
    let reply = client.select("INBOX");
    (client.view().uid_validity, highest(&reply))
}

fn highest(reply: &Reply) -> u64 {
    let lines = reply.untagged.iter().map(|values| Value::List(values.clone()).text());
    let line = lines.rev().find(|line| line.contains("[HIGHESTMODSEQ ")).unwrap();
    line.split("[HIGHESTMODSEQ ").nth(1).unwrap().split(']').next().unwrap().parse().unwrap()
}

/// UID, EMAILID and flags of one FETCH response.
fn fetched(values: &[Value]) -> Option<(u32, Message)> {
    let [_, word, Value::List(items)] = values else { return None };
    let items: BTreeMap<String, &Value> =
        items.chunks_exact(2).map(|pair| (pair[0].text(), &pair[1])).collect();
    let email_id = items.get("EMAILID")?.list().first()?.text();
    let flags =
        items.get("FLAGS")?.list().iter().map(Value::text).filter(|flag| flag != "\\Recent").collect();
    (word.text() == "FETCH").then_some((items.get("UID")?.number()?, Message { email_id, flags }))
}

/// UID and flags of one FETCH response.
fn told_flags(values: &[Value]) -> Option<(u32, BTreeSet<String>)> {
    let [_, word, Value::List(items)] = values else { return None };
    let items: BTreeMap<String, &Value> =
        items.chunks_exact(2).map(|pair| (pair[0].text(), &pair[1])).collect();
    let flags = items.get("FLAGS")?.list().iter().map(Value::text).collect();
    (word.text() == "FETCH").then_some((items.get("UID")?.number()?, flags))
}

fn deliver(node: &Node, prefix: &str) {
    let mut lmtp = lmtp::Client::open(node);
    for number in 0..MESSAGES {
        lmtp.deliver(&message(&format!("{prefix}-{number}"), "delivered"));
    }
}

/// One side while the nodes are apart: somebody reads, flags, deletes.
fn live_apart(node: &Node, witness: &Witness, first: usize) {
    deliver(node, &node.name);
    let mut client = Client::open(node, witness);
    client.list("INBOX");
    client.ok(&format!("STORE {first}:{} +FLAGS.SILENT (\\Seen)", first + 4));
    client.ok(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", first + 5));
    client.ok("EXPUNGE");
    client.ok(&format!("STORE {} +FLAGS.SILENT (\\Answered $Label{first})", MESSAGES + first));
}

#[test]
fn changedsince_tells_of_everything_that_a_merge_brought() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "earlier");
    alike("alike before", &cluster.nodes, &witness, MESSAGES);
    let mut early = [Cache::fill(a, &witness), Cache::fill(b, &witness)];

    cluster.part();
    live_apart(a, &witness, 3);
    live_apart(b, &witness, 20);
    // One client comes back before the merge and again after it, another after it alone.
    let mut late = [Cache::fill(a, &witness), Cache::fill(b, &witness)];
    cluster.meet();
    let merged = alike("alike after the merge", &cluster.nodes, &witness, 3 * MESSAGES - 2);
    for caches in [&mut early, &mut late] {
        for (cache, node) in caches.iter_mut().zip([a, b]) {
            cache.refresh(node, &witness);
            assert_eq!(cache.messages, merged.messages, "on {}", node.name);
        }
    }
}

#[test]
fn changedsince_leaves_nothing_out_for_a_client_that_moves() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "earlier");
    alike("alike before", &cluster.nodes, &witness, MESSAGES);
    let mut before = [Cache::fill(a, &witness), Cache::fill(b, &witness)];

    cluster.part();
    live_apart(a, &witness, 3);
    live_apart(b, &witness, 20);
    let mut apart = [Cache::fill(a, &witness), Cache::fill(b, &witness)];
    cluster.meet();
    let merged = alike("alike after the merge", &cluster.nodes, &witness, 3 * MESSAGES - 2);
    for caches in [&mut before, &mut apart] {
        for (cache, node) in caches.iter_mut().zip([b, a]) {
            cache.refresh(node, &witness);
            assert_eq!(cache.messages, merged.messages, "moved to {}", node.name);
        }
    }
}

/// While the nodes are apart, clients of both expunge, and see messages at UIDs that are reissued afterwards: whether a client
/// stays or moves, before the merge or after it, what vanished is told to it.
#[test]
fn qresync_leaves_no_ghosts_wherever_a_client_comes_back() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "earlier");
    alike("alike before", &cluster.nodes, &witness, MESSAGES);
    let before = [Cache::fill(a, &witness), Cache::fill(b, &witness)];

    cluster.part();
    live_apart(a, &witness, 3);
    live_apart(b, &witness, 20);
    let apart = [Cache::fill(a, &witness), Cache::fill(b, &witness)];
    // Moved while the nodes are apart, and back after the merge.
    let mut moved = apart.clone();
    for (cache, node) in moved.iter_mut().zip([b, a]) {
        cache.resync(node, &witness, true);
    }
    cluster.meet();
    let merged = alike("alike after the merge", &cluster.nodes, &witness, 3 * MESSAGES - 2);
    for caches in [before, apart, moved] {
        for (cache, tell_known) in caches.iter().flat_map(|cache| [(cache, true), (cache, false)]) {
            for node in [a, b] {
                let mut cache = cache.clone();
                cache.resync(node, &witness, tell_known);
                assert_eq!(
                    cache.messages, merged.messages,
                    "on {}, known UIDs told: {tell_known}",
                    node.name
                );
            }
        }
    }
}
