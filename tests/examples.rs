//! The examples run as they stand.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use kit::cluster::{ACCOUNT, PASSWORD};
use kit::imap::Client;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;
use kit::{lmtp, message};

/// Everything an example writes lies beside its files: so they are copied first, unchanged.
fn copied(directory: &Path, file: &str) -> std::path::PathBuf {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/two-datacenters").join(file);
    let copy = directory.join(file);
    fs::copy(&original, &copy).unwrap_or_else(|error| panic!("{}: {error}", original.display()));
    copy
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn two_datacenters() {
    let directory = tempfile::tempdir().unwrap();
    let node = |name: &str, number: u16| {
        let config = copied(directory.path(), &format!("{name}.toml"));
        let ports = [17140, 17020, 17470].map(|port| loopback(port + number));
        Node::from_files(name, config, ports[0], ports[1], ports[2])
    };
    let (mut a, mut b) = (node("a", 1), node("b", 2));
    a.succeeds(&["init"]);
    a.start();
    let token = a.succeeds(&["cluster", "invite"]);
    b.succeeds(&["cluster", "join", token.trim_end()]);
    b.start();
    a.add_user(ACCOUNT, PASSWORD);
    lmtp::Client::open(&a).deliver(&message("from-ams", "accepted in ams"));

    let witness = Witness::default();
    let mut reader = eventually("the account is there on b", || {
        let mut client = Client::connect("b", b.imap, &witness);
        let reply = client.command(&format!("LOGIN {ACCOUNT} \"{PASSWORD}\""));
        if reply.status == kit::imap::Status::Ok { Ok(client) } else { Err(reply.text) }
    });
    eventually("mail accepted in ams is read in fra", || {
        reader.select("INBOX");
        let ids: Vec<String> = reader.message_ids().into_values().collect();
        if ids == ["from-ams"] { Ok(()) } else { Err(format!("{ids:?}")) }
    });
    a.stop();
    b.stop();
}
