//! Clients that others wrote.
//!
//! A test whose client is not installed reports itself ignored and names the Debian package; with PEERPOST_REQUIRE_CLIENTS=1 it
//! fails.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kit::cluster::{ACCOUNT, Cluster, PASSWORD, Setup};
use kit::imap::Client;
use kit::node::Node;
use kit::programs::{CURL, MBSYNC, PYTHON, trial};
use kit::wait::{Outcome, eventually, run};
use kit::witness::Witness;
use kit::{lmtp, message};
use libtest_mimic::Arguments;

const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("python_delivers_with_smtplib_and_reads_with_imaplib", &[PYTHON], python),
        trial("curl_appends_and_reads", &[CURL], curl),
        trial("mbsync_syncs_from_one_node_and_then_from_the_other", &[MBSYNC], mbsync),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn with_tls() -> Cluster {
    Cluster::start(Setup { tls: true, ..Setup::default() })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(name)
}

fn python() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let host = "127.0.0.1";
    let mut deliver = Command::new("python3");
    deliver.arg(script("lmtp_deliver.py")).args([host, &a.lmtp.port().to_string(), ACCOUNT, "5", "python"]);
    run(&mut deliver, b"", LIMIT).success("lmtp_deliver.py");

    let witness = Witness::default();
    let mut client = Client::open(b, &witness);
    eventually("delivered on a, here on b", || {
        let count = client.list("INBOX").messages.len();
        if count == 5 { Ok(()) } else { Err(format!("{count} messages")) }
    });
    for node in [a, b] {
        let (plain, tls) = (node.imap.port().to_string(), node.imap_tls.unwrap().port().to_string());
        let mut session = Command::new("python3");
        session.arg(script("imap_session.py")).args([host, &plain, &tls, ACCOUNT, PASSWORD]);
        run(&mut session, b"", LIMIT).success(&format!("imap_session.py on {}", node.name));
    }
}

fn run_curl(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--insecure"]);
    command.args(["--user", &format!("{ACCOUNT}:{PASSWORD}")]).args(arguments);
    run(&mut command, b"", LIMIT).success(&format!("curl {}", arguments.join(" ")))
}

fn curl() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let file = cluster.directory().join("message");
    fs::write(&file, message("curl", "from curl")).unwrap();
    let url = |scheme: &str, address: SocketAddr, rest: &str| format!("{scheme}://{address}/{rest}");

    run_curl(&["--upload-file", file.to_str().unwrap(), &url("imap", a.imap, "INBOX")]);
    let read = |scheme: &str, address: SocketAddr, more: &[&str]| {
        let url = url(scheme, address, "INBOX;MAILINDEX=1");
        let arguments: Vec<&str> = more.iter().copied().chain([url.as_str()]).collect();
        run_curl(&arguments).stdout
    };
    assert!(read("imap", a.imap, &[]).contains("This is curl."));
    assert!(read("imap", a.imap, &["--ssl-reqd"]).contains("This is curl."));
    assert!(read("imaps", a.imap_tls.unwrap(), &[]).contains("This is curl."));

    let status = url("imap", b.imap, "");
    eventually("appended on a, counted on b", || {
        let answer = run_curl(&["--request", "STATUS INBOX (MESSAGES)", &status]).stdout;
        if answer.contains("MESSAGES 1") { Ok(()) } else { Err(answer) }
    });
    assert!(read("imaps", b.imap_tls.unwrap(), &[]).contains("This is curl."));
}

/// The files of a maildir tree with their contents, but for the state mbsync keeps of its own.
fn maildir(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.parent().is_some_and(|parent| parent.ends_with("cur") || parent.ends_with("new")) {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// mbsync with the same state, whatever the node.
fn run_mbsync(directory: &Path, node: &Node) -> Outcome {
    let config = directory.join("mbsyncrc");
    let certificate = directory.parent().unwrap().join("certificate.pem");
    let text = format!(
        "IMAPAccount node\nHost 127.0.0.1\nPort {}\nUser {ACCOUNT}\nPass \"{PASSWORD}\"\n\
         SSLType IMAPS\nCertificateFile {}\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount node\n\n\
         MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\nSubFolders Verbatim\n\n\
         Channel mail\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState {home}/state/\n",
        node.imap_tls.unwrap().port(),
        certificate.display(),
        home = directory.display(),
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("mbsync");
    command.arg("--config").arg(&config).args(["--verbose", "mail"]);
    let outcome = run(&mut command, b"", LIMIT).success(&format!("mbsync with {}", node.name));
    for word in ["warning", "error", "lost", "genuinely", "unable"] {
        let (stdout, stderr) = (outcome.stdout.to_lowercase(), outcome.stderr.to_lowercase());
        assert!(!stdout.contains(word) && !stderr.contains(word), "mbsync complained: {outcome:?}");
    }
    outcome
}

fn mbsync() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let home = cluster.directory().join("mbsync");
    fs::create_dir_all(home.join("mail")).unwrap();
    fs::create_dir_all(home.join("state")).unwrap();

    for (node, prefix) in [(a, "a"), (b, "b")] {
        let mut lmtp = lmtp::Client::open(node);
        for number in 0..10 {
            lmtp.deliver(&message(&format!("{prefix}-{number}"), "for mbsync"));
        }
    }
    let witness = Witness::default();
    let mut client = Client::open(a, &witness);
    client.ok("CREATE Projects");
    client.append("Projects", "\\Seen", &message("archived", "for mbsync"));
    let mut other = Client::open(b, &witness);
    eventually("alike before mbsync", || {
        for (mailbox, count) in [("INBOX", 20), ("Projects", 1)] {
            // It has to exist on b before it can be selected there.
            let status = other.command(&format!("STATUS {mailbox} (MESSAGES)"));
            let counted = status.untagged.iter().any(|values| {
                values.last().is_some_and(|items| items.text() == format!("(MESSAGES {count})"))
            });
            if !counted {
                return Err(format!("{mailbox} on b is behind: {}", status.text));
            }
            if client.list(mailbox) != other.list(mailbox) {
                return Err(format!("{mailbox} differs"));
            }
        }
        Ok(())
    });

    run_mbsync(&home, a);
    let synced = maildir(&home.join("mail"));
    assert_eq!(synced.len(), 21, "messages fetched from a");
    let listings = [client.list("INBOX"), client.list("Projects")];

    // The same state against the other node, and back.
    for node in [b, a] {
        run_mbsync(&home, node);
        assert_eq!(maildir(&home.join("mail")), synced, "mbsync with {} changed the maildir", node.name);
    }
    assert_eq!([client.list("INBOX"), client.list("Projects")], listings, "mbsync changed a mailbox");
    assert_eq!([other.list("INBOX"), other.list("Projects")], listings);
}
