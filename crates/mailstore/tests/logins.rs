//! Many who try passwords at the same time.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use mailstore::crdt::identity::NodeSlot;
use mailstore::identity::NodeIdentity;
use mailstore::password::{self, PasswordCost};
use mailstore::{Request, RequestError};
use peerpost_mailstore as mailstore;
use storage::{SimulatedDisk, Storage};
use tokio::task::JoinSet;

/// A check takes memory and a processor: two run, some wait, and all others are told at once to come back, so that however many
/// there are nothing piles up.
#[tokio::test]
async fn ten_thousand_wrong_passwords_at_once_pile_nothing_up() {
    let storage = Arc::new(Storage::open(Arc::new(SimulatedDisk::new())).expect("an empty store"));
    let identity = NodeIdentity { cluster: [1; 16], slot: NodeSlot::FIRST, name: "test".to_owned() };
    let mut counter = 0u8;
    let entropy = Box::new(move || {
        counter += 1;
        [counter; 16]
    });
    let (store, _committer) = mailstore::shell::start(storage, identity, entropy).expect("a store");
    let password = password::hash("secret", [7; 16], PasswordCost::TEST).expect("hashed");
    store.ask(Request::AddAccount { name: "alice".to_owned(), password }).await.expect("added");
    let mut attempts = JoinSet::new();
    for _ in 0..10_000 {
        let store = store.clone();
        attempts.spawn(async move { store.authenticate("alice", "wrong").await.map(drop) });
    }
    let (mut wrong, mut sent_away) = (0, 0);
    while let Some(attempt) = attempts.join_next().await {
        match attempt.expect("no panic") {
            Err(RequestError::WrongPassword) => wrong += 1,
            Err(RequestError::TooManyLogins) => sent_away += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wrong + sent_away, 10_000);
    assert!(wrong >= 200 && sent_away >= 5_000, "{wrong} were checked, {sent_away} sent away");
    assert!(store.authenticate("alice", "secret").await.is_ok(), "it is over as soon as they are");
}
