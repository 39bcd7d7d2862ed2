//! `peerpost init`: the first node of a new cluster.

use mailstore::crdt::identity::NodeSlot;
use mailstore::identity::NodeIdentity;
use replication::identity::NodeKey;

use crate::config::Config;
use crate::failure::Failure;
use crate::node::{self, Files};
use crate::output;

/// Makes the data directory and the node's key.
pub fn run(config: &Config) -> Result<(), Failure> {
    let files = Files::of(config);
    let key = NodeKey::generate()?;
    let identity = NodeIdentity {
        cluster: node::random(),
        slot: NodeSlot::FIRST,
        name: config.node.name.as_str().to_owned(),
    };
    let storage = files.create(&identity, &key)?;
    let (store, running) = node::start(storage, identity)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Failure::of("cannot start the runtime"))?;
    let admitted = runtime.block_on(store.admit(node::member(config, NodeSlot::FIRST, &key)));
    running.stop();
    admitted?;
    output::write(&format!(
        "node {} is ready in {}\nnext: peerpost user add NAME --password-stdin, then peerpost serve\n",
        config.node.name,
        config.node.data.display()
    ))
}
