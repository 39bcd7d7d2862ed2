//! A mailbox that is shared: on two nodes, by two accounts, over a cut.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use kit::cluster::{ACCOUNT, Cluster, PASSWORD};
use kit::imap::{Client, Status, Value};
use kit::message;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;

/// Alice's mailbox as Bob knows it.
const PROJECT: &str = "\"Other Users/alice/Project\"";
const BOB: &str = "bob";

fn session(node: &Node, witness: &Witness, account: &str) -> Client {
    let mut client = Client::connect(&node.name, node.imap, witness);
    client.login(account, PASSWORD);
    client
}

/// Waits until a node has heard of an account.
#[track_caller]
fn await_account(node: &Node, account: &str) {
    eventually(&format!("{} knows {account}", node.name), || {
        let accounts = node.succeeds(&["user", "list"]);
        if accounts.contains(account) { Ok(()) } else { Err(accounts) }
    });
}

/// Waits until a command of Bob ends like this on a node.
#[track_caller]
fn await_status(node: &Node, witness: &Witness, command: &str, status: Status) {
    eventually(&format!("{command} on {}", node.name), || {
        let reply = session(node, witness, BOB).command(command);
        if reply.status == status { Ok(()) } else { Err(reply.text) }
    });
}

/// A mailbox as an account sees it on a node: UIDs, EMAILIDs and flags.
#[track_caller]
fn seen(node: &Node, witness: &Witness, account: &str, mailbox: &str) -> kit::imap::Listing {
    session(node, witness, account).list(mailbox)
}

/// Alice and Bob on two nodes; Alice's Project has three messages, and Bob may do everything with them.
fn sharing(witness: &Witness) -> Cluster {
    let cluster = Cluster::two();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    a.add_user(BOB, PASSWORD);
    let mut alice = session(a, witness, ACCOUNT);
    alice.ok("CREATE Project");
    for number in 0..3 {
        alice.append("Project", "", &message(&format!("shared-{number}"), "shared"));
    }
    alice.ok("SETACL Project bob lrswite");
    await_account(b, BOB);
    await_status(b, witness, &format!("SELECT {PROJECT}"), Status::Ok);
    eventually("the messages are there on the other node", || {
        let there = seen(b, witness, BOB, PROJECT).messages.len();
        if there == 3 { Ok(()) } else { Err(format!("{there} of 3")) }
    });
    cluster
}

#[test]
fn one_mailbox_is_the_same_for_two_accounts_on_two_nodes() {
    let witness = Witness::default();
    let cluster = sharing(&witness);
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut bob = session(b, &witness, BOB);
    let listed = bob.ok("LIST \"\" \"*\" RETURN (MYRIGHTS)");
    let names = listed.untagged.iter().filter_map(|values| values.last()).map(Value::text);
    let told: Vec<String> = names.collect();
    assert!(
        told.iter().any(|name| name == PROJECT.trim_matches('"'))
            && !told.iter().any(|name| name == "Other Users/alice/INBOX"),
        "{told:?}"
    );
    assert_eq!(seen(a, &witness, ACCOUNT, "Project"), seen(b, &witness, BOB, PROJECT));

    // Bob adds a message and a flag on his node; Alice has them on hers.
    let (validity, uid) = bob.append(PROJECT, "\\Flagged", &message("of-bob", "from Bob"));
    bob.select(PROJECT);
    bob.ok("STORE 1 +FLAGS (\\Seen)");
    eventually("what Bob did is there for Alice", || {
        let listing = seen(a, &witness, ACCOUNT, "Project");
        assert_eq!(listing.uid_validity, validity);
        let flags = listing.messages.get(&1).map(|message| message.flags.contains("\\Seen"));
        if listing.messages.contains_key(&uid) && flags == Some(true) {
            Ok(())
        } else {
            Err(format!("{listing:?}"))
        }
    });

    // What he moves to his own INBOX leaves hers, on both nodes, and keeps its identity.
    let before = seen(b, &witness, BOB, PROJECT);
    let moved = before.messages.get(&1).unwrap().email_id.clone();
    let reply = bob.ok("MOVE 1 INBOX");
    assert!(reply.code("COPYUID").is_some(), "{reply:?}");
    eventually("the move is there on the other node", || {
        let (left, there) = (seen(a, &witness, ACCOUNT, "Project"), seen(a, &witness, BOB, "INBOX"));
        let ids: Vec<&String> = there.messages.values().map(|message| &message.email_id).collect();
        let done = left.messages.len() == 3 && ids == [&moved];
        if done { Ok(()) } else { Err(format!("{left:?} {there:?}")) }
    });
    assert_eq!(seen(a, &witness, ACCOUNT, "Project"), seen(b, &witness, BOB, PROJECT));
}

#[test]
fn a_revocation_during_a_cut_ends_what_bob_reads_when_the_nodes_meet() {
    let witness = Witness::default();
    let cluster = sharing(&witness);
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut reader = session(b, &witness, BOB);
    reader.select(PROJECT);
    cluster.part();
    let mut alice = session(a, &witness, ACCOUNT);
    alice.ok("DELETEACL Project bob");
    alice.append("Project", "", &message("private", "not for Bob"));
    assert_eq!(session(a, &witness, BOB).command(&format!("SELECT {PROJECT}")).status, Status::No);

    // On the other side nobody has heard of it: Bob reads and writes, and what he wrote is Alice's.
    reader.ok("FETCH 1:3 (FLAGS BODY.PEEK[])");
    reader.append(PROJECT, "", &message("late", "written while apart"));
    cluster.meet();
    await_status(b, &witness, &format!("SELECT {PROJECT}"), Status::No);
    assert!(reader.is_bidden_farewell(), "the session that had the mailbox selected goes on");
    assert_eq!(session(b, &witness, BOB).command(&format!("STATUS {PROJECT} (MESSAGES)")).status, Status::No);
    let listed = session(b, &witness, BOB).ok("LIST \"\" \"Other Users/*\"");
    assert!(listed.untagged.iter().all(|values| values[0].text() != "LIST"), "{listed:?}");
    eventually("both nodes show Alice five messages", || {
        let [one, other] = [a, b].map(|node| seen(node, &witness, ACCOUNT, "Project"));
        if one == other && one.messages.len() == 5 { Ok(()) } else { Err(format!("{one:?}\n{other:?}")) }
    });

    // Operators see that a merge changed who may do what.
    let history = b.succeeds(&["history", ACCOUNT, "Project", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let merges = history["merges"].as_array().unwrap().iter();
    let changed = merges.flat_map(|merge| merge["mailboxes"].as_array().unwrap());
    assert!(changed.filter_map(|mailbox| mailbox["rights_changed"].as_u64()).sum::<u64>() > 0, "{history}");
}

#[test]
fn a_removed_account_leaves_nothing_to_one_of_its_name() {
    let witness = Witness::default();
    let cluster = sharing(&witness);
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut reader = session(b, &witness, BOB);
    reader.select(PROJECT);
    a.succeeds(&["user", "remove", BOB]);
    eventually("the removal is known on the other node", || {
        if reader.is_bidden_farewell() { Ok(()) } else { Err("Bob's session goes on".to_owned()) }
    });
    b.add_user(BOB, PASSWORD);
    await_account(a, BOB);
    for node in [a, b] {
        let mut bob = session(node, &witness, BOB);
        assert_eq!(bob.command(&format!("SELECT {PROJECT}")).status, Status::No, "on {}", node.name);
        let acl = format!("{:?}", session(node, &witness, ACCOUNT).ok("GETACL Project").untagged);
        assert!(!acl.contains(BOB), "{acl}");
    }
    // The owner goes: what he shared is no more.
    session(a, &witness, ACCOUNT).ok("SETACL Project bob lr");
    await_status(b, &witness, &format!("SELECT {PROJECT}"), Status::Ok);
    a.succeeds(&["user", "remove", ACCOUNT]);
    await_status(b, &witness, &format!("SELECT {PROJECT}"), Status::No);
}
