//! Mailboxes are made, renamed and deleted on both nodes while they are apart, and come to the same.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use kit::cluster::{Cluster, Setup};
use kit::imap::{Client, Listing, Status, Value};
use kit::message;
use kit::node::Node;
use kit::random::{Random, seed};
use kit::wait::eventually;
use kit::witness::Witness;

/// Chooses what happens.
const SEED: u64 = 3_501;
/// Times that the nodes part and meet.
const ROUNDS: usize = 4;
/// What is done on each side while they are apart.
const STEPS: usize = 10;
/// So few names that the sides choose the same ones.
const NAMES: [&str; 5] = ["Work", "Work/Old", "Play", "Play/New", "Letters"];

/// The names of the mailboxes that LIST tells; a name that is only the parent of others is none.
fn names(client: &mut Client) -> BTreeSet<String> {
    let reply = client.ok("LIST \"\" *");
    let exists = |attributes: &Value| {
        attributes.list().iter().all(|word| !["\\NonExistent", "\\Noselect"].contains(&word.text().as_str()))
    };
    let lists = reply.untagged.iter().filter(|values| values[0].text() == "LIST" && exists(&values[1]));
    lists.filter_map(|values| values.last()).map(|name| name.text()).collect()
}

/// What is in a mailbox that is there now; the messages by Message-ID.
fn contents(node: &Node, witness: &Witness, name: &str) -> BTreeMap<u32, String> {
    let mut client = Client::open(node, witness);
    client.list(name);
    client.message_ids()
}

/// One thing that a user does on a node. Nobody selects a mailbox meanwhile, for a session would end with it.
fn step(node: &Node, witness: &Witness, random: &mut Random, id: &str, books: &mut Books) {
    let mut client = Client::open(node, witness);
    let [name, other] = [random.below(NAMES.len()), random.below(NAMES.len())].map(|index| NAMES[index]);
    let there = names(&mut client);
    match random.below(10) {
        0..=2 => drop(client.command(&format!("CREATE {name}"))),
        3 | 4 if there.contains(name) => drop(client.command(&format!("RENAME {name} {other}"))),
        5 if there.contains(name) => {
            books.may_be_gone.extend(contents(node, witness, name).into_values());
            assert_eq!(client.command(&format!("DELETE {name}")).status, Status::Ok);
        }
        _ if there.contains(name) => {
            client.append(name, "", &message(id, "in some mailbox"));
            books.accepted.insert(id.to_owned());
            if random.below(2) == 0 {
                client.list(name);
            }
        }
        _ => {}
    }
}

/// What was accepted, and what was deleted with its mailbox on one side at least.
#[derive(Default)]
struct Books {
    accepted: BTreeSet<String>,
    may_be_gone: BTreeSet<String>,
}

/// All mailboxes of a node.
fn everything(node: &Node, witness: &Witness) -> BTreeMap<String, Listing> {
    let mut client = Client::open(node, witness);
    names(&mut client).into_iter().map(|name| (name.clone(), client.list(&name))).collect()
}

/// All mailboxes, once both nodes show the same.
#[track_caller]
fn alike(cluster: &Cluster, witness: &Witness, round: usize) -> BTreeMap<String, Listing> {
    // A mailbox that is on its way out ends the session that lists it; so the names have to be settled first.
    eventually(&format!("the names are the same in round {round}"), || {
        let all: Vec<BTreeSet<String>> =
            cluster.nodes.iter().map(|node| names(&mut Client::open(node, witness))).collect();
        let digests: Vec<_> = cluster.nodes.iter().map(|node| node.status()["accounts"].clone()).collect();
        let same = all[0] == all[1] && digests[0] == digests[1];
        if same { Ok(()) } else { Err(format!("{all:?} {digests:?}")) }
    });
    eventually(&format!("alike in round {round}"), || {
        let [one, other] = [0, 1].map(|index: usize| everything(&cluster.nodes[index], witness));
        if one == other { Ok(one) } else { Err(format!("{one:?}\n{other:?}")) }
    })
}

#[test]
fn mailboxes_of_both_sides_come_to_the_same() {
    let seed = seed(SEED);
    let cluster = Cluster::start(Setup { seed, ..Setup::default() });
    let (witness, mut books, mut random) = (Witness::default(), Books::default(), Random::new(seed));
    for round in 0..ROUNDS {
        cluster.part();
        for (side, node) in cluster.nodes.iter().enumerate() {
            for number in 0..STEPS {
                step(node, &witness, &mut random, &format!("{round}-{side}-{number}"), &mut books);
            }
        }
        cluster.meet();
        let shown = alike(&cluster, &witness, round);
        let mut ids: Vec<String> = Vec::new();
        for name in shown.keys() {
            ids.extend(contents(&cluster.nodes[round % 2], &witness, name).into_values());
        }
        let once: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(once.len(), ids.len(), "a message is there twice: {shown:?}");
        let lost: Vec<&String> = books
            .accepted
            .iter()
            .filter(|id| !once.contains(id) && !books.may_be_gone.contains(*id))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }
    for node in &cluster.nodes {
        node.succeeds(&["verify"]);
    }
}
