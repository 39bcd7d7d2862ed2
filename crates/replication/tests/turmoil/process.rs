//! One life of a node: what `peerpost cluster join` and `peerpost serve` do, on the runtime of its host.

use std::sync::Arc;
use std::time::Duration;

use peerpost_replication::Identity;
use peerpost_replication::frame::ClusterId;
use peerpost_replication::join::Token;
use peerpost_replication::shell::{Replication, Settings, join};
use peerpost_replication::status::Status;

use crate::environment::{Simulated, wall};
use crate::invitation::Door;
use crate::machine::{Life, Machine, PORT, name_of};
use crate::store::LinkedStore;

/// How often the process looks how its links stand, and whether a token came.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long the operator waits before trying a token again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

pub async fn run(machine: Arc<Machine>) -> turmoil::Result {
    let environment = Simulated::new(machine.branch());
    if machine.identity().is_none() || machine.token.lock().unwrap().is_some() {
        become_member(&machine, &environment).await;
    }
    serve(machine, environment).await
}

/// Waits for a token, and tries it until it has joined.
async fn become_member(machine: &Machine, environment: &Simulated) {
    loop {
        let token = machine.token.lock().unwrap().clone();
        let Some(token) = token else {
            tokio::time::sleep(INTERVAL).await;
            continue;
        };
        match join_cluster(machine, environment, &token).await {
            Ok(()) => return,
            Err(why) => machine.trace.note(machine.number, format_args!("cannot join: {why}")),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

async fn join_cluster(machine: &Machine, environment: &Simulated, token: &Token) -> Result<(), String> {
    let name = name_of(machine.number);
    let joining = join(environment, token, &machine.key, &name, &machine.advertise()).await;
    let joining = joining.map_err(|error| error.to_string())?;
    let life = machine.open(wall(), token.slot);
    let apply = |records| life.committer.apply(wall(), &life.store, records).map(|()| life.store.vector());
    let fetched = joining.fetch(life.store.vector(), apply, |_| {}).await;
    fetched.map_err(|error| error.to_string())?;
    life.committer.ask(wall(), life.store.admit(machine.member(token.slot)))?;
    machine.trace.note(machine.number, "has joined");
    *machine.token.lock().unwrap() = None;
    Ok(())
}

async fn serve(machine: Arc<Machine>, environment: Arc<Simulated>) -> turmoil::Result {
    let identity = machine.identity().ok_or("the disk does not say who it is")?;
    let life = machine.open(wall(), identity.slot);
    machine.set_life(Some(life.clone()));
    let incarnation = life.store.incarnation();
    machine.trace.note(machine.number, format_args!("begins the life {incarnation}"));
    let settings = Settings {
        identity: Identity { cluster: ClusterId(identity.cluster), slot: identity.slot, incarnation },
        key: Arc::clone(&machine.key),
        listen: ([0, 0, 0, 0], PORT).into(),
        seed: machine.branch().next(),
        admission: Some(Arc::new(Door(Arc::clone(&machine)))),
        environment,
    };
    let (store, committer, trace) = (life.store.clone(), Arc::clone(&life.committer), machine.trace.clone());
    let store = LinkedStore { node: machine.number, store, committer, trace };
    let replication = Replication::start(settings, Arc::new(store))?;
    let ended = tokio::select! {
        biased;
        why = life.committer.run() => why,
        () = watch(&machine, &life, &replication) => "nothing to watch".into(),
    };
    Err(format!("n{}: {ended}", machine.number).into())
}

/// Notes which links come and go.
async fn watch(machine: &Machine, life: &Life, replication: &Replication) {
    let links = |status: &Status| -> Vec<(u8, bool)> {
        status.peers.iter().map(|peer| (peer.slot, peer.connected_since.is_some())).collect()
    };
    loop {
        let status = replication.status().await;
        let before = std::mem::replace(&mut *life.status.lock().unwrap(), status.clone());
        if links(&before) != links(&status) {
            machine.trace.note(machine.number, format_args!("has the links {:?}", links(&status)));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
