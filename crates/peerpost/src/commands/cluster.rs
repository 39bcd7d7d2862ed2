//! `peerpost cluster …`: how nodes find each other.

use std::io::IsTerminal;
use std::sync::Arc;

use mailstore::Mailstore;
use mailstore::crdt::record::Record;
use mailstore::crdt::vector::Vector;
use mailstore::identity::NodeIdentity;
use replication::identity::NodeKey;
use replication::join::Token;
use replication::shell::{Joining, Machine, Progress, join as ask_to_join};

use super::{print_json, text};
use crate::cli::Output;
use crate::config::Config;
use crate::control::{Question, client};
use crate::failure::Failure;
use crate::node::{self, Files};
use crate::output;

/// Prints a token that admits one node.
pub fn invite(config: &Config, output: Output) -> Result<(), Failure> {
    let answer = client::ask(config, Question::Invite)?;
    if output.json { print_json(&answer) } else { output::line(text(&answer, "token")) }
}

/// Declares a member dead.
pub fn remove(config: &Config, name: String, slot: Option<u8>) -> Result<(), Failure> {
    let answer = client::ask(config, Question::RemoveNode { name, slot })?;
    output::line(format_args!(
        "{} is no longer a member; every node leaps over UIDs that it may have given",
        text(&answer, "removed")
    ))
}

/// Joins the cluster of the token, and fetches what is needed to start. Broken off, it goes on with the same token.
pub fn join(config: &Config, token: &str) -> Result<(), Failure> {
    let token: Token = token.parse()?;
    let Some(cluster) = &config.cluster else {
        return Err(Failure::new(
            "the configuration has no [cluster] section; give it one, with `listen` and `advertise`",
        ));
    };
    let files = Files::of(config);
    files.require_fresh()?;
    let key = files.joining_key()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::of("cannot start the runtime"))?;
    runtime.block_on(async {
        let name = config.node.name.as_str();
        let joining = ask_to_join(&Machine, &token, &key, name, cluster.advertise.as_str())
            .await
            .map_err(Failure::of("cannot join"))?;
        let identity = NodeIdentity { cluster: token.cluster.0, slot: token.slot, name: name.to_owned() };
        fetch(config, &files, joining, &identity, &key).await
    })?;
    files.finish_joining()?;
    output::line(format_args!("{} has joined; next: peerpost serve", config.node.name))
}

async fn fetch(
    config: &Config,
    files: &Files,
    joining: Joining,
    identity: &NodeIdentity,
    key: &NodeKey,
) -> Result<(), Failure> {
    let storage = files.joining_storage(identity)?;
    let (store, running) = node::start(Arc::clone(&storage), identity.clone())?;
    let have = store.vector();
    let applying = store.clone();
    let fetched = joining.fetch(have, move |records| apply(&applying, records), show_progress).await;
    let admitted = match fetched {
        Ok(_) => store.admit(node::member(config, identity.slot, key)).await.map_err(Failure::from),
        Err(error) => Err(Failure::new(format!("cannot join: {error}"))),
    };
    tokio::task::block_in_place(|| running.stop());
    admitted
}

/// Applies records and waits until they are durable.
fn apply(store: &Mailstore, records: Vec<Record>) -> Result<Vector, String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    store.apply_delta(records, move |applied| {
        // The receiver waits below.
        let _ = sender.send(applied);
    });
    let applied =
        tokio::task::block_in_place(|| receiver.recv()).map_err(|_| "the store ended".to_owned())?;
    applied.map(|_| store.vector()).map_err(|error| error.to_string())
}

fn show_progress(progress: Progress) {
    if std::io::stderr().is_terminal() {
        let end = if progress.fetched == progress.total { "\n" } else { "" };
        output::tell(format_args!("\rfetched {} of {} records{end}", progress.fetched, progress.total));
    } else if progress.fetched == progress.total {
        output::tell(format_args!("fetched {} records\n", progress.total));
    }
}
