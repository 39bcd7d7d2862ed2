//! `peerpost history`: what merges did to what clients see, on every node.

use mailstore::Storage;
use mailstore::crdt::account::events::BumpReason;
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::operation::FoundingReason;
use mailstore::history::{MailboxMerge, NodeMerge};
use serde_json::{Value, json};

use super::{list, number, text};
use crate::failure::Failure;

/// The most reissues that are printed of one merge.
const MOST_REISSUES_SHOWN: usize = 8;

/// The merges of an account.
pub fn collect(storage: &Storage, account: &str, mailbox: Option<&str>) -> Result<Value, Failure> {
    let reader = storage.reader()?;
    let id = AccountId::of_name(account);
    if !mailstore::rows::read_heads(&reader)?.get(&id).is_some_and(|head| head.exists()) {
        return Err(Failure::new(format!(
            "there is no account {account:?}; `peerpost user list` lists them"
        )));
    }
    let cluster = mailstore::rows::read_beginning(&reader)?.cluster;
    let name =
        |slot| cluster.member(slot).map_or_else(|| format!("slot {slot}"), |member| member.name.clone());
    let merges: Vec<Value> = mailstore::history::read(&reader, id, mailbox)?
        .iter()
        .map(|told| {
            let from: Vec<String> = told.merge.from.iter().map(|slot| name(*slot)).collect();
            merge(told, &name(told.node), &from)
        })
        .collect();
    Ok(json!({ "account": account, "merges": merges }))
}

fn merge(NodeMerge { merge: record, .. }: &NodeMerge, node: &str, from: &[String]) -> Value {
    let rights = |id: &MailboxId| record.rights.get(id).copied().unwrap_or_default();
    let mailboxes: Vec<Value> =
        record.mailboxes.iter().map(|(id, merge)| mailbox(merge, rights(id))).collect();
    json!({
        "at": time(record.at.millis().0),
        "at_milliseconds": record.at.millis().0,
        "node": node,
        "from": from,
        "records": record.records,
        "mailboxes": mailboxes,
    })
}

fn mailbox(merge: &MailboxMerge, rights_changed: u64) -> Value {
    let reissues: Vec<Value> =
        merge.reissues.iter().map(|reissue| json!({ "from": reissue.from.0, "to": reissue.to.0, "entry": reissue.entry.to_string() })).collect();
    json!({
        "mailbox": merge.name,
        "arrived": merge.arrived,
        "shown": merge.shown,
        "flagged": merge.flagged,
        "expunged": merge.expunged,
        "moved": merge.moved,
        "held": merge.held,
        "reissued": merge.reissued,
        "reissues": reissues,
        "rights_changed": rights_changed,
        "bumped": merge.bumped.map(|bump| json!({ "from": bump.from.0, "to": bump.to.0, "reason": reason(bump.reason) })),
    })
}

/// Why a mailbox has another UIDVALIDITY (rule 9 of `docs/uid-mapping.md`).
fn reason(reason: BumpReason) -> &'static str {
    match reason {
        BumpReason::BornTwice => "the name was created on two nodes, and the greater value stays",
        BumpReason::Founded(FoundingReason::First) => "it is the first",
        BumpReason::Founded(FoundingReason::NameBorne) => {
            "the mailbox came to a name that had a greater value"
        }
        BumpReason::Founded(FoundingReason::SpaceUsedUp) => "the UIDs were used up",
        BumpReason::Founded(FoundingReason::LongAsleep) => {
            "a node came back after more than thirty days, and not every member had confirmed it"
        }
        BumpReason::Founded(FoundingReason::ReissueLimit) => {
            "a merge would have given most of the mailbox new UIDs (uid.reissue_limit)"
        }
        BumpReason::Founded(FoundingReason::Policy) => "a merge reordered (uid.on_reorder = \"bump\")",
        BumpReason::Founded(FoundingReason::Operator) => "the operator asked for it",
    }
}

/// A moment in RFC 3339, UTC.
pub fn time(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds).map_or_else(|_| "?".into(), |time| format!("{time:.3}"))
}

/// One line for each mailbox of each merge, then what was reissued and why.
pub fn print(answer: &Value) -> String {
    let mut lines = String::new();
    let merges = list(answer, "merges");
    if merges.is_empty() {
        lines.push_str("no merge has changed what clients see\n");
    }
    for merge in merges {
        let from: Vec<&str> = list(merge, "from").iter().filter_map(Value::as_str).collect();
        let node = text(merge, "node");
        let from = if from.is_empty() { "itself".to_owned() } else { from.join(", ") };
        for mailbox in list(merge, "mailboxes") {
            let (at, name) = (text(merge, "at"), text(mailbox, "mailbox"));
            lines +=
                &format!("{at}  on {node} from {from}  {name}  {}\n{}", summary(mailbox), reissues(mailbox));
        }
    }
    lines
}

fn summary(mailbox: &Value) -> String {
    let words = [
        ("arrived", "accepted there"),
        ("shown", "new to clients here"),
        ("flagged", "flagged"),
        ("expunged", "expunged"),
        ("moved", "moved away"),
        ("held", "came late"),
        ("reissued", "reissued"),
        ("rights_changed", "changes of its access control list"),
    ];
    let parts: Vec<String> = words
        .iter()
        .filter(|(key, _)| number(mailbox, key) > 0)
        .map(|(key, word)| format!("{} {word}", number(mailbox, key)))
        .collect();
    match mailbox.get("bumped").filter(|bumped| !bumped.is_null()) {
        Some(bumped) => format!(
            "{}; UIDVALIDITY {} became {}: {}",
            parts.join(", "),
            number(bumped, "from"),
            number(bumped, "to"),
            text(bumped, "reason")
        ),
        None => parts.join(", "),
    }
}

fn reissues(mailbox: &Value) -> String {
    let line = |reissue: &Value| {
        let (from, to) = (number(reissue, "from"), number(reissue, "to"));
        format!("    UID {from} became {to}: clients of another node had been told a higher UIDNEXT\n")
    };
    let mut lines: String = list(mailbox, "reissues").iter().take(MOST_REISSUES_SHOWN).map(line).collect();
    let more = number(mailbox, "reissued").saturating_sub(MOST_REISSUES_SHOWN as u64);
    if more > 0 {
        lines += &format!("    … and {more} more; --json lists them\n");
    }
    lines
}
