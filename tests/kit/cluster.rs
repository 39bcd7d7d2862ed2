//! Several nodes with a relay between them.

use std::fs;

use tempfile::TempDir;

use super::doors::NAME;
use super::node::Node;
use super::relay::Relay;

/// The account every cluster has, and its password.
pub const ACCOUNT: &str = "alice";
pub const PASSWORD: &str = "correct horse";

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    pub nodes: usize,
    /// Of the relay's faults.
    pub seed: u64,
    /// With a certificate of its own for mail clients.
    pub tls: bool,
    /// Each node reaches its neighbours alone, and was invited by the one before it.
    pub line: bool,
    /// More sections of each configuration file.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self { nodes: 2, seed: 1, tls: false, line: false, more: String::new() }
    }
}

/// Serving nodes `a`, `b`, ... with the account [`ACCOUNT`]. Everything is gone when it is dropped.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub relay: Relay,
    directory: TempDir,
}

impl Cluster {
    /// Two nodes.
    #[track_caller]
    pub fn two() -> Self {
        Self::start(Setup::default())
    }

    /// One node alone.
    #[track_caller]
    pub fn one() -> Self {
        Self::start(Setup { nodes: 1, ..Setup::default() })
    }

    /// Three nodes in a line: the first and the last never reach each other.
    #[track_caller]
    pub fn line_of_three() -> Self {
        Self::start(Setup { nodes: 3, line: true, ..Setup::default() })
    }

    /// The first node is `init`ed; each of the others joins with an invitation of the first, or of the one before it.
    #[track_caller]
    pub fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if setup.tls {
            let names = ["localhost", "127.0.0.1", NAME].map(str::to_owned).to_vec();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
            fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        }
        let names = (b'a'..=b'z').map(|letter| char::from(letter).to_string());
        let mut nodes: Vec<Node> =
            names.take(setup.nodes).map(|name| Node::new(&name, directory.path(), setup.tls)).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| node.quic).collect();
        let relay = Relay::new(&addresses, setup.seed);
        for (index, node) in nodes.iter().enumerate() {
            node.configure(relay.front(index), &setup.more);
        }
        if setup.line {
            for one in 0..nodes.len() {
                (one + 2..nodes.len()).for_each(|other| relay.cut(one, other));
            }
        }
        nodes[0].succeeds(&["init"]);
        nodes[0].start();
        nodes[0].add_user(ACCOUNT, PASSWORD);
        for joiner in 1..nodes.len() {
            let inviter = if setup.line { joiner - 1 } else { 0 };
            let token = nodes[inviter].succeeds(&["cluster", "invite"]);
            nodes[joiner].succeeds(&["cluster", "join", token.trim_end()]);
            nodes[joiner].start();
        }
        // The ends of a line never hear of each other whether they are as they were.
        let to_confirm = if setup.line { &[] } else { nodes.as_slice() };
        for node in to_confirm {
            node.await_confirmation();
        }
        Self { nodes, relay, directory }
    }

    /// Where the nodes' files are; free to use for more.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Cuts the first two nodes from each other.
    pub fn part(&self) {
        self.relay.cut(0, 1);
    }

    /// Joins the first two nodes again.
    pub fn meet(&self) {
        self.relay.heal(0, 1);
    }
}
