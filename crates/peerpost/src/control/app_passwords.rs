//! App passwords: made, listed, removed.

use mailstore::crdt::account::AccountHead;
use mailstore::crdt::fold::app_password::AppPassword;
use mailstore::crdt::identity::{AccountId, AppPasswordId};
use mailstore::password::app;
use mailstore::{Mailstore, Request, Storage};
use serde_json::{Value, json};

use crate::commands::history::time;
use crate::failure::Failure;
use crate::node::random;

/// Makes one. The answer is the only place where it is ever told.
pub async fn add(store: &Mailstore, account: AccountId, name: &str, label: String) -> Result<Value, Failure> {
    let password = app::generate(random());
    let digest = app::digest(&password).ok_or_else(|| Failure::new("an app password came out wrong"))?;
    let new = AppPassword { id: AppPasswordId(random()), label: label.clone(), digest };
    let id = new.id;
    store.ask(Request::AddAppPassword { account, password: new }).await?;
    Ok(json!({ "account": name, "id": id.to_string(), "label": label, "password": password }))
}

/// Those of an account, the oldest first.
pub fn list(storage: &Storage, name: &str) -> Result<Value, Failure> {
    let heads = mailstore::rows::read_heads(&storage.reader()?)?;
    let head = heads.get(&AccountId::of_name(name)).filter(|head| head.exists());
    let head = head.ok_or_else(|| {
        Failure::new(format!("there is no account {name:?}; `peerpost user list` lists them"))
    })?;
    let told = |(added, one): (_, AppPassword)| json!({ "id": one.id.to_string(), "label": one.label, "added": time(added) });
    let several: Vec<Value> = oldest_first(head).into_iter().map(told).collect();
    Ok(json!({ "account": name, "app_passwords": several }))
}

/// Removes the one of this id, or of this label where one alone has it.
pub async fn remove(
    store: &Mailstore,
    account: AccountId,
    name: &str,
    which: &str,
) -> Result<Value, Failure> {
    let head = store.accounts().into_iter().find(|(id, _)| *id == account).map(|(_, head)| head);
    let known = head.map(|head| oldest_first(&head)).unwrap_or_default();
    let is_meant = |one: &AppPassword| one.id.to_string() == which || one.label == which;
    let meant: Vec<AppPassword> = known.into_iter().map(|(_, one)| one).filter(is_meant).collect();
    match meant.as_slice() {
        [one] => {
            store.ask(Request::RemoveAppPassword { account, id: one.id }).await?;
            Ok(json!({ "account": name, "removed": one.id.to_string(), "label": one.label }))
        }
        [] => Err(Failure::new(format!(
            "{name} has no app password {which:?}; `peerpost user app-password list {name}` lists them"
        ))),
        several => Err(Failure::new(format!(
            "{} app passwords of {name} are called {which:?}; name one by its id ({})",
            several.len(),
            several.iter().map(|one| one.id.to_string()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// With the moments at which they were added, in milliseconds since 1970.
fn oldest_first(head: &AccountHead) -> Vec<(u64, AppPassword)> {
    let mut known: Vec<_> = head.app_passwords().collect();
    known.sort_by_key(|(added, one)| (*added, one.id));
    known.into_iter().map(|(added, one)| (added.timestamp.millis().0, one)).collect()
}
