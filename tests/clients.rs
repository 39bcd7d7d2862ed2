//! Clients that others wrote.
//!
//! A test whose client is not installed reports itself ignored and names the Debian package; with PEERPOST_REQUIRE_CLIENTS=1 it
//! fails. `docs/clients.md` tells what was found.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod clients {
    pub mod alpine;
    pub mod curl;
    pub mod fetching;
    pub mod fetchmail;
    pub mod getmail;
    pub mod maildir;
    pub mod marionette;
    pub mod mbsync;
    pub mod neomutt;
    pub mod offlineimap;
    pub mod python;
    pub mod terminal;
    pub mod thunderbird;
    pub mod world;

    use super::{LIMIT, await_count, script, with_ten_messages, with_tls};
}
mod kit;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clients::{alpine, curl, fetchmail, getmail, mbsync, neomutt, offlineimap, python, thunderbird};
use kit::cluster::{Cluster, Setup};
use kit::imap::Client;
use kit::node::Node;
use kit::programs::{
    ALPINE, CURL, CYRUS_SCRAM, FETCHMAIL, GETMAIL, MBSYNC, NEOMUTT, NSS_WRAPPER, OFFLINEIMAP, PYTHON,
    THUNDERBIRD, XVFB, trial,
};
use kit::wait::eventually;
use kit::witness::Witness;
use kit::{lmtp, message};
use libtest_mimic::Arguments;

/// How long one run of a client may take.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("python_delivers_with_smtplib_and_reads_with_imaplib", &[PYTHON], python::imaplib),
        trial("a_life_with_imaplib", &[PYTHON, NSS_WRAPPER], python::life),
        trial("python_delivers_with_smtplib_and_reads_with_poplib", &[PYTHON], python::poplib),
        trial("python_logs_in_by_scram_with_and_without_the_channel", &[PYTHON], python::scram),
        trial("curl_appends_and_reads", &[CURL], curl::imap),
        trial("curl_logs_in_with_a_token", &[CURL], curl::token),
        trial("a_life_with_curl", &[CURL, NSS_WRAPPER], curl::life),
        trial("curl_reads_and_deletes_by_pop3", &[CURL], curl::pop3),
        trial("mbsync_logs_in_by_scram", &[MBSYNC, CYRUS_SCRAM], mbsync::scram),
        trial("mbsync_syncs_from_one_node_and_then_from_the_other", &[MBSYNC], mbsync::both),
        trial("a_life_with_mbsync", &[MBSYNC, NSS_WRAPPER], mbsync::life),
        trial("a_life_with_offlineimap", &[OFFLINEIMAP, NSS_WRAPPER], offlineimap::life),
        trial("a_life_with_neomutt", &[NEOMUTT, PYTHON, NSS_WRAPPER], neomutt::life),
        trial("neomutt_reads_and_flags_with_tls", &[NEOMUTT, PYTHON, NSS_WRAPPER], neomutt::tls),
        trial("a_life_with_alpine", &[ALPINE, PYTHON, NSS_WRAPPER], alpine::life),
        trial("a_life_with_thunderbird", &[THUNDERBIRD, XVFB, NSS_WRAPPER], thunderbird::life),
        trial("getmail_fetches_once_whichever_node_it_asks", &[GETMAIL], getmail::pop3),
        trial("a_life_with_getmail", &[GETMAIL, NSS_WRAPPER], getmail::life),
        trial("fetchmail_fetches_once_whichever_node_it_asks", &[FETCHMAIL], fetchmail::pop3),
        trial("a_life_with_fetchmail", &[FETCHMAIL, NSS_WRAPPER], fetchmail::life),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn with_tls() -> Cluster {
    Cluster::start(Setup { tls: true, ..Setup::default() })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(name)
}

/// Waits until a node shows this many messages in INBOX.
fn await_count(node: &Node, wanted: usize) {
    let witness = Witness::default();
    let mut client = Client::open(node, &witness);
    eventually(&format!("{wanted} messages on {}", node.name), || {
        let count = client.list("INBOX").messages.len();
        if count == wanted { Ok(()) } else { Err(format!("{count} messages")) }
    });
}

/// Two nodes with ten messages, five accepted on each.
fn with_ten_messages() -> Cluster {
    let cluster = with_tls();
    for node in &cluster.nodes {
        let mut lmtp = lmtp::Client::open(node);
        for number in 0..5 {
            lmtp.deliver(&message(&format!("{}-{number}", node.name), "for POP3"));
        }
    }
    for node in &cluster.nodes {
        await_count(node, 10);
    }
    cluster
}
