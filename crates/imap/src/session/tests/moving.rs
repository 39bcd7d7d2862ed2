//! A client that brings what it was told by one node to another.

use super::client::{Client, MAIL, Store, store};
use super::model::between;

/// HIGHESTMODSEQ of INBOX.
fn highest(client: &mut Client) -> u64 {
    let answer = client.send("STATUS INBOX (HIGHESTMODSEQ)");
    between(&answer, "(HIGHESTMODSEQ ", &[')']).and_then(|text| text.parse().ok()).expect("a MODSEQ")
}

/// Two nodes with the same messages; while they are apart, 1 is flagged on the first, and later 2 on the second. Gives what a
/// client of the second knows then, and a client that it becomes on the first after the merge.
pub(super) fn moved() -> (u64, Client) {
    let nodes = [store(), Store::new(1)];
    let mut first = Client::selected(&nodes[0], "INBOX");
    for _ in 0..3 {
        first.append("INBOX", "()", MAIL);
    }
    nodes[0].sync_to(&nodes[1]);
    let mut second = Client::selected(&nodes[1], "INBOX");
    first.send("STORE 1 +FLAGS (\\Flagged)");
    nodes[1].pass(10_000);
    second.send("STORE 2 +FLAGS (\\Seen)");
    let known = highest(&mut second);
    nodes[0].sync_to(&nodes[1]);
    nodes[1].sync_to(&nodes[0]);
    (known, Client::selected(&nodes[0], "INBOX"))
}

/// The first node had seen message 1 flagged before the second issued the MODSEQ that the client brought. Both numbers are
/// moments, so the change looked older than what the client knew, and was left out for good.
#[test]
fn changed_since_a_modseq_of_another_node_leaves_nothing_out() {
    let (known, mut client) = moved();
    let answer = client.send(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})"));
    assert!(answer.contains("* 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ ("), "{answer}");
    assert!(answer.contains("* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ ("), "{answer}");
    // From here on it knows a value of this node.
    let known = highest(&mut client);
    let answer = client.send(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})"));
    assert_eq!(answer, "t OK Completed\r\n");
}

#[test]
fn unchanged_since_a_modseq_of_another_node_overwrites_nothing() {
    let (known, mut client) = moved();
    let answer = client.send(&format!("UID STORE 1 (UNCHANGEDSINCE {known}) FLAGS (\\Draft)"));
    assert!(answer.contains("t OK [MODIFIED 1] "), "{answer}");
    assert!(client.send("FETCH 1 (FLAGS)").starts_with("* 1 FETCH (FLAGS (\\Flagged))\r\n"));
}

#[test]
fn a_search_above_a_modseq_of_another_node_finds_everything() {
    let (known, mut client) = moved();
    for key in [format!("MODSEQ {}", known + 1), format!("NOT OR NOT MODSEQ {} SUBJECT nothing", known + 1)] {
        let answer = client.send(&format!("SEARCH {key}"));
        assert!(answer.contains("* SEARCH 1 2 3 (MODSEQ "), "{key}: {answer}");
    }
    let known = highest(&mut client);
    assert_eq!(client.send(&format!("SEARCH MODSEQ {}", known + 1)), "* SEARCH\r\nt OK Completed\r\n");
    assert!(client.send(&format!("SEARCH MODSEQ {known}")).starts_with("* SEARCH 2 (MODSEQ "));
}
