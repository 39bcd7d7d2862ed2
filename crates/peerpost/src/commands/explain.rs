//! `peerpost explain`: the life of one message.

use mailstore::Storage;
use mailstore::crdt::identity::Uid;
use serde_json::Value;

use crate::failure::Failure;

/// Finds the message and tells its life.
pub fn collect(storage: &Storage, account: &str, mailbox: &str, uid: u32) -> Result<Value, Failure> {
    let explanation = mailstore::explain::explain(storage, account, mailbox, Uid(uid));
    let explanation = explanation
        .map_err(Failure::of(format!("cannot explain UID {uid} of {mailbox:?} of {account:?}")))?;
    let words = explanation.to_string();
    let mut value =
        serde_json::to_value(explanation).map_err(Failure::of("cannot write the explanation as JSON"))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("words".into(), words.into());
    }
    Ok(value)
}

/// The answer for people.
pub fn print(answer: &Value) -> String {
    format!("{}\n", super::text(answer, "words"))
}
