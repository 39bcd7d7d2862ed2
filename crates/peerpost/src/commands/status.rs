//! `peerpost status`: this node, its peers, how far they are apart, storage, warnings.

use mailstore::crdt::replica::Confirmation;
use mailstore::rows;
use serde_json::{Value, json};

use super::{list, number, text};
use crate::control::answer::Context;
use crate::failure::Failure;
use crate::node::serve::Links;

/// Fewer free slots than this are worth a warning.
const FEW_SLOTS: u32 = 4;

/// Collects everything.
pub fn collect(
    context: &Context,
    links: Option<&Links>,
    confirmation: Option<Confirmation>,
) -> Result<Value, Failure> {
    let reader = context.storage.reader()?;
    let beginning = rows::read_beginning(&reader)?;
    let statistics = context.storage.statistics();
    let accounts: Vec<Value> = rows::read_heads(&reader)?
        .iter()
        .filter(|(_, head)| head.exists())
        .map(|(id, head)| Ok(json!({ "name": head.name(), "digest": rows::digest(&reader, id)? })))
        .collect::<Result<_, Failure>>()?;
    let members: Vec<Value> = beginning
        .cluster
        .living()
        .map(|member| json!({ "slot": member.slot.number(), "name": member.name, "advertise": member.advertise, "here": member.slot == context.identity.slot }))
        .collect();
    let free_slots = beginning.cluster.reserve(context.identity.slot).count_ones();
    let replication = links.map(Links::status).transpose()?;
    Ok(json!({
        "node": {
            "name": context.identity.name,
            "slot": context.identity.slot.number(),
            "cluster": hexadecimal(&context.identity.cluster),
            "key": hexadecimal(&context.key),
            "version": env!("CARGO_PKG_VERSION"),
            "serving": context.store.is_some(),
            "free_slots": free_slots,
            "confirmation": confirmation,
        },
        "policy": {
            "acknowledge": context.config.cluster.as_ref().map(|cluster| cluster.ack),
            "on_reorder": context.config.uid.on_reorder,
            "reissue_limit": context.config.uid.reissue_limit,
        },
        "members": members,
        "replication": replication,
        "accounts": accounts,
        "records": beginning.vector.iter().map(|(_, last)| last.0).sum::<u64>(),
        "bodies_missing": rows::missing_bodies(&reader, 10_000)?.len(),
        "storage": {
            "table_bytes": statistics.table_bytes,
            "pack_bytes": statistics.pack_bytes,
            "packs": statistics.packs,
            "bodies": statistics.bodies,
            "body_bytes": statistics.body_bytes,
            "commits": statistics.commits,
        },
        "warnings": warnings(context, free_slots, confirmation),
    }))
}

fn warnings(context: &Context, free_slots: u32, confirmation: Option<Confirmation>) -> Vec<String> {
    let mut warnings = context.config.warnings();
    match confirmation {
        Some(Confirmation::Unconfirmed) => warnings.push(
            "not every member has confirmed this start: UIDs leap once in every mailbox that gets mail; bring the members up, or declare those dead that will not come back (`peerpost cluster remove NAME`)".into(),
        ),
        Some(Confirmation::RolledBack) => warnings.push(
            "this node's data was put back to an older state: it gives no UIDs until another member gave it a new slot; see that they are connected".into(),
        ),
        _ => {}
    }
    if context.store.is_none() {
        warnings.push("the node does not serve; `peerpost serve` starts it".into());
    }
    if free_slots < FEW_SLOTS {
        warnings.push(format!("this node can invite {free_slots} more nodes; invite from another member"));
    }
    warnings
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The answer for people.
pub fn print(answer: &Value) -> String {
    let null = Value::Null;
    let node = answer.get("node").unwrap_or(&null);
    let storage = answer.get("storage").unwrap_or(&null);
    let warnings = list(answer, "warnings").iter().filter_map(Value::as_str);
    let warnings: String = warnings.map(|warning| format!("warning: {warning}\n")).collect();
    format!(
        "node {} (slot {}), version {}\n{}\
         storage: {} messages' bodies in {} packs ({} MiB), tables {} MiB, {} bodies on their way\n\
         accounts: {}\n{warnings}",
        text(node, "name"),
        number(node, "slot"),
        text(node, "version"),
        peers(answer),
        number(storage, "bodies"),
        number(storage, "packs"),
        number(storage, "pack_bytes") >> 20,
        number(storage, "table_bytes") >> 20,
        number(answer, "bodies_missing"),
        list(answer, "accounts").len(),
    )
}

fn peers(answer: &Value) -> String {
    let peers = answer.get("replication").map_or(&[][..], |replication| list(replication, "peers"));
    let line = |peer: &Value| {
        format!(
            "  {:<16} slot {:<3} {:<10} round trip {} ms, {} records to fetch, {} to send{}\n",
            text(peer, "name"),
            number(peer, "slot"),
            state(peer),
            number(peer, "round_trip_milliseconds"),
            number(peer, "records_missing_here"),
            number(peer, "records_missing_there"),
            match text(peer, "last_error") {
                "" => String::new(),
                error => format!(" ({error})"),
            }
        )
    };
    peers.iter().map(line).collect()
}

/// One word for how a peer stands.
fn state(peer: &Value) -> &'static str {
    let connected = peer.get("connected_since").is_some_and(|since| !since.is_null());
    let even = number(peer, "records_missing_here") == 0 && number(peer, "records_missing_there") == 0;
    match (connected, even) {
        (false, _) => "Apart",
        (true, false) => "Syncing",
        (true, true) => "Up to date",
    }
}
