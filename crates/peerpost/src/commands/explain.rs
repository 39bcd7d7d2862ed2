//! `peerpost explain`: the life of one message.

use mailstore::Storage;
use mailstore::crdt::identity::{AccountId, Uid};
use serde_json::Value;

use crate::failure::Failure;

/// Finds the message and tells its life.
pub fn collect(storage: &Storage, account: &str, mailbox: &str, uid: u32) -> Result<Value, Failure> {
    let _ = (storage, account, mailbox, uid, AccountId::of_name(""), Uid(1));
    Err(Failure::new("soon"))
}

/// The answer for people.
pub fn print(answer: &Value) -> String {
    super::text(answer, "words").to_owned()
}
