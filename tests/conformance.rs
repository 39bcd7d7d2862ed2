//! The conformance suite against a node of our own: each case of tests/conformance is a test. docs/conformance.md tells how
//! cases are written; `cargo test -p peerpost --test conformance rfc9051/6.3` runs some.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;
mod transcripts;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::cluster::{Cluster, Setup};
use kit::node::Node;
use kit::wait::run;
use libtest_mimic::Arguments;
use transcripts::document::{self, Target};
use transcripts::fixture;
use transcripts::server::{Account, Server};
use transcripts::tokens::{AUDIENCE, CLAIM, ISSUER, SCOPE, Tokens};
use transcripts::trial::of_peerpost;

const CASES_AT_A_TIME: usize = 4;
const PASSWORD: &str = "correct horse";
/// The least that can be configured, for cases that reach it.
const LEAST_MESSAGES: u32 = 1_000;
/// How long it may take to add an account.
const LONGEST_COMMAND: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of the time a case waits for the server.
    arguments.test_threads.get_or_insert(CASES_AT_A_TIME);
    let (cases, texts) =
        document::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance"));
    if arguments.list {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let accounts = Box::new(|| unreachable!("nothing is run"));
        let server = Server {
            target: Target::Peerpost,
            imap: nowhere,
            pop3: None,
            lmtp: None,
            accounts,
            quotas: None,
            tokens: None,
            capabilities: Vec::new(),
        };
        libtest_mimic::run(&arguments, of_peerpost(&Arc::new(server), cases, &Arc::new(texts))).exit();
    }
    let (tokens, keys) = (Tokens::default(), tempfile::NamedTempFile::new().unwrap());
    fs::write(keys.path(), tokens.keys()).unwrap();
    let more = format!("[limits]\ncommand_messages = {LEAST_MESSAGES}\n{}", oauth(keys.path()));
    let setup = Setup { nodes: 1, tls: true, more, ..Setup::default() };
    let cluster = Arc::new(Mutex::new(Cluster::start(setup)));
    let server = serve(&cluster.lock().unwrap().nodes[0], tokens);
    let conclusion = libtest_mimic::run(&arguments, of_peerpost(&Arc::new(server), cases, &Arc::new(texts)));
    cluster.lock().unwrap().nodes[0].assert_alive();
    drop(cluster);
    conclusion.exit();
}

/// The issuer of tokens, with its keys in a file.
fn oauth(keys: &Path) -> String {
    format!(
        "[auth.oauth]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nscope = \"{SCOPE}\"\n\
         username_claim = \"{CLAIM}\"\nopenid_configuration = \"{ISSUER}/.well-known/openid-configuration\"\n\
         jwks_file = \"{}\"\n",
        keys.display()
    )
}

fn serve(node: &Node, tokens: Tokens) -> Server {
    let (config, count) = (node.config.clone(), AtomicU32::new(0));
    let accounts = move || {
        let name = format!("c{}", count.fetch_add(1, Ordering::Relaxed));
        let mut add = Command::new(env!("CARGO_BIN_EXE_peerpost"));
        add.arg("--config").arg(&config).args(["user", "add", &name, "--password-stdin"]);
        run(&mut add, format!("{PASSWORD}\n").as_bytes(), LONGEST_COMMAND).success("user add");
        Account { name, password: PASSWORD.to_owned() }
    };
    let config = node.config.clone();
    let quotas = move |account: &Account, octets: &str, messages: &str| {
        let mut set = Command::new(env!("CARGO_BIN_EXE_peerpost"));
        set.arg("--config").arg(&config).args(["user", "quota", &account.name]);
        run(set.args(["--storage", octets, "--messages", messages]), b"", LONGEST_COMMAND)
            .success("user quota");
    };
    let mut server = Server {
        target: Target::Peerpost,
        imap: node.imap,
        pop3: Some(node.pop3),
        lmtp: Some(node.lmtp),
        accounts: Box::new(accounts),
        quotas: Some(Box::new(quotas)),
        tokens: Some(tokens),
        capabilities: Vec::new(),
    };
    server.capabilities = fixture::capabilities(&server).unwrap();
    server
}
