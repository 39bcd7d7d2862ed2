//! Waiting until nodes show the same.

use super::imap::{Client, Listing};
use super::node::Node;
use super::wait::eventually;
use super::witness::Witness;

/// What all nodes show in INBOX once they show the same, `count` messages of it.
#[track_caller]
pub fn alike(what: &str, nodes: &[Node], witness: &Witness, count: usize) -> Listing {
    let mut clients: Vec<Client> = nodes.iter().map(|node| Client::open(node, witness)).collect();
    eventually(what, || {
        let listings: Vec<Listing> = clients.iter_mut().map(|client| client.list("INBOX")).collect();
        let same = listings.iter().all(|listing| *listing == listings[0]);
        let counts: Vec<usize> = listings.iter().map(|listing| listing.messages.len()).collect();
        if same && counts[0] == count {
            return Ok(listings[0].clone());
        }
        let validities: Vec<u32> = listings.iter().map(|listing| listing.uid_validity).collect();
        Err(format!("{counts:?} messages of {count}, UIDVALIDITY {validities:?}, same: {same}"))
    })
}
