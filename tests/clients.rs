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

use auth::testing::Signer;
use kit::cluster::{ACCOUNT, Cluster, PASSWORD, Setup};
use kit::imap::Client;
use kit::node::Node;
use kit::programs::{CURL, CYRUS_SCRAM, FETCHMAIL, GETMAIL, MBSYNC, PYTHON, trial};
use kit::wait::{Outcome, eventually, run};
use kit::witness::Witness;
use kit::{delivered, lmtp, message};
use libtest_mimic::Arguments;

const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("python_delivers_with_smtplib_and_reads_with_imaplib", &[PYTHON], python),
        trial("python_logs_in_by_scram_with_and_without_the_channel", &[PYTHON], scram),
        trial("mbsync_logs_in_by_scram", &[MBSYNC, CYRUS_SCRAM], mbsync_scram),
        trial("curl_appends_and_reads", &[CURL], curl),
        trial("curl_logs_in_with_a_token", &[CURL], curl_token),
        trial("mbsync_syncs_from_one_node_and_then_from_the_other", &[MBSYNC], mbsync),
        trial("python_delivers_with_smtplib_and_reads_with_poplib", &[PYTHON], poplib),
        trial("curl_reads_and_deletes_by_pop3", &[CURL], curl_pop3),
        trial("getmail_fetches_once_whichever_node_it_asks", &[GETMAIL], getmail),
        trial("fetchmail_fetches_once_whichever_node_it_asks", &[FETCHMAIL], fetchmail),
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

/// The script is its own SCRAM client, over hashlib and hmac; the channel is bound by the hash of the certificate.
fn scram() {
    let cluster = with_tls();
    for node in &cluster.nodes {
        let ports =
            [node.imap, node.imap_tls.unwrap(), node.pop3_tls.unwrap()].map(|at| at.port().to_string());
        let mut session = Command::new("python3");
        session.arg(script("scram_session.py")).arg("127.0.0.1").args(&ports).args([ACCOUNT, PASSWORD]);
        run(&mut session, b"", LIMIT).success(&format!("scram_session.py on {}", node.name));
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

/// curl speaks OAUTHBEARER where it is offered, and by its own choice on both protocols.
fn curl_token() {
    let directory = tempfile::tempdir().unwrap();
    let signer = Signer::eddsa("one");
    let keys = serde_json::json!({ "keys": [signer.jwk()] });
    fs::write(directory.path().join("keys.json"), keys.to_string()).unwrap();
    let mut node = Node::new("a", directory.path(), false);
    node.configure(
        node.quic,
        "[auth.oauth]\nissuer = \"https://id.example.com\"\naudience = \"peerpost\"\nusername_claim = \"sub\"\n\
         jwks_file = \"keys.json\"\n",
    );
    node.succeeds(&["init"]);
    node.start();
    node.add_user(ACCOUNT, PASSWORD);
    lmtp::Client::open(&node).deliver(&message("curl", "for curl"));
    let claims = |audience: &str| {
        serde_json::json!({
            "iss": "https://id.example.com", "aud": audience, "exp": 4_000_000_000u64, "sub": ACCOUNT,
        })
    };
    let read = |url: &str, mechanism: &str, token: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30", "--user", ACCOUNT]);
        command.args(["--login-options", &format!("AUTH={mechanism}"), "--oauth2-bearer", token, url]);
        run(&mut command, b"", LIMIT)
    };
    let (good, bad) = (signer.sign(&claims("peerpost")), signer.sign(&claims("calendar")));
    for url in [format!("imap://{}/INBOX;MAILINDEX=1", node.imap), format!("pop3://{}/1", node.pop3)] {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let outcome = read(&url, mechanism, &good).success(&format!("curl {mechanism} {url}"));
            assert!(outcome.stdout.contains("This is curl."), "{outcome:?}");
            assert!(!read(&url, mechanism, &bad).status.success(), "{mechanism} {url}");
        }
    }
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
fn run_mbsync(directory: &Path, node: &Node, mechanism: &str) -> Outcome {
    let config = directory.join("mbsyncrc");
    let certificate = directory.parent().unwrap().join("certificate.pem");
    let text = format!(
        "IMAPAccount node\nHost 127.0.0.1\nPort {}\nUser {ACCOUNT}\nPass \"{PASSWORD}\"\n\
         SSLType IMAPS\nCertificateFile {}\nAuthMechs {mechanism}\n\n\
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

    run_mbsync(&home, a, "LOGIN");
    let synced = maildir(&home.join("mail"));
    assert_eq!(synced.len(), 21, "messages fetched from a");
    let listings = [client.list("INBOX"), client.list("Projects")];

    // The same state against the other node, and back.
    for node in [b, a] {
        run_mbsync(&home, node, "LOGIN");
        assert_eq!(maildir(&home.join("mail")), synced, "mbsync with {} changed the maildir", node.name);
    }
    assert_eq!([client.list("INBOX"), client.list("Projects")], listings, "mbsync changed a mailbox");
    assert_eq!([other.list("INBOX"), other.list("Projects")], listings);
}

/// mbsync logs in by the SCRAM-SHA-256 of Cyrus SASL (libsasl2-modules), which takes at most 65,536 rounds.
fn mbsync_scram() {
    let cluster = Cluster::start(Setup { nodes: 1, tls: true, ..Setup::default() });
    let home = cluster.directory().join("mbsync");
    fs::create_dir_all(home.join("mail")).unwrap();
    fs::create_dir_all(home.join("state")).unwrap();
    let node = &cluster.nodes[0];
    lmtp::Client::open(node).deliver(&message("scram", "for mbsync"));
    run_mbsync(&home, node, "SCRAM-SHA-256");
    assert_eq!(maildir(&home.join("mail")).len(), 1);
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

/// The script deletes one message on each node.
fn poplib() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let host = "127.0.0.1";
    let mut deliver = Command::new("python3");
    deliver.arg(script("lmtp_deliver.py")).args([host, &a.lmtp.port().to_string(), ACCOUNT, "5", "python"]);
    run(&mut deliver, b"", LIMIT).success("lmtp_deliver.py");
    let mut unique_ids = Vec::new();
    for (node, count) in [(a, 5usize), (b, 4)] {
        await_count(node, count);
        let (plain, tls) = (node.pop3.port().to_string(), node.pop3_tls.unwrap().port().to_string());
        let mut session = Command::new("python3");
        session.arg(script("pop3_session.py")).args([
            host,
            &plain,
            &tls,
            ACCOUNT,
            PASSWORD,
            &count.to_string(),
        ]);
        let outcome = run(&mut session, b"", LIMIT).success(&format!("pop3_session.py on {}", node.name));
        unique_ids.push(outcome.stdout.lines().map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(unique_ids[0][1..], unique_ids[1], "UIDLs of the messages that were left");
    await_count(a, 3);
}

fn curl_pop3() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut lmtp = lmtp::Client::open(a);
    for id in ["first", "second"] {
        lmtp.deliver(&message(id, "for curl"));
    }
    await_count(b, 2);
    let [first, second] = ["first", "second"].map(|id| delivered(&message(id, "for curl")));
    for node in [a, b] {
        let (plain, tls) = (format!("pop3://{}", node.pop3), format!("pop3s://{}", node.pop3_tls.unwrap()));
        let listed = run_curl(&[&format!("{plain}/")]).stdout;
        assert_eq!(listed, format!("1 {}\r\n2 {}\r\n", first.len(), second.len()));
        for (url, more) in [(&plain, &[][..]), (&plain, &["--ssl-reqd"][..]), (&tls, &[][..])] {
            let url = format!("{url}/2");
            let arguments: Vec<&str> = more.iter().copied().chain([url.as_str()]).collect();
            assert_eq!(run_curl(&arguments).stdout.as_bytes(), second);
        }
    }
    run_curl(&["--request", "DELE", "--head", &format!("pop3s://{}/1", b.pop3_tls.unwrap())]);
    await_count(a, 1);
    let left = run_curl(&[&format!("pop3://{}/1", a.pop3)]).stdout;
    assert_eq!(left.as_bytes(), second);
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

/// getmail keeps what it knows for each server and port; the file is renamed where the node changes.
fn getmail() {
    let cluster = with_ten_messages();
    let home = cluster.directory().join("getmail");
    fs::create_dir_all(&home).unwrap();
    let (mail, config) = (home.join("mail"), home.join("getmailrc"));
    let fetched = || fs::read_to_string(&mail).unwrap_or_default().matches("This is ").count();
    let known = |port: u16| home.join(format!("oldmail-127.0.0.1-{port}-{ACCOUNT}"));
    let ports = [0, 1].map(|place| cluster.nodes[place].pop3_tls.unwrap().port());
    for (round, place) in [0, 1, 0].into_iter().enumerate() {
        let (port, before) = (ports[place], ports[1 - place]);
        if round > 0 {
            fs::rename(known(before), known(port)).unwrap();
        }
        // It delivers to no maildir as root, which tests may be.
        let text = format!(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = {port}\n\
             username = {ACCOUNT}\npassword = {PASSWORD}\n\n\
             [destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat >> {}\")\n\
             allow_root_commands = true\n\n\
             [options]\nread_all = false\ndelete = false\nverbose = 2\n",
            mail.display(),
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("getmail");
        command.arg("--getmaildir").arg(&home);
        run(&mut command, b"", LIMIT).success(&format!("getmail from {}", cluster.nodes[place].name));
        assert_eq!(fetched(), 10, "after round {round}");
    }
}

/// fetchmail keeps what it knows for each server name, whatever the port.
fn fetchmail() {
    let cluster = with_ten_messages();
    let home = cluster.directory().join("fetchmail");
    fs::create_dir_all(&home).unwrap();
    let mail = home.join("mail");
    let fetched = || fs::read_to_string(&mail).unwrap_or_default().matches("This is ").count();
    let run_fetchmail = |node: &Node, tls: bool, more: &str| {
        let (port, ssl) = match tls {
            true => (node.pop3_tls.unwrap().port(), "ssl no sslcertck"),
            false => (node.pop3.port(), "no sslcertck"),
        };
        let text = format!(
            "poll localhost service {port} protocol pop3 uidl\n\
             user \"{ACCOUNT}\" password \"{PASSWORD}\" {ssl} {more} mda \"cat >> {}\"\n",
            mail.display(),
        );
        let file = home.join("fetchmailrc");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut command = Command::new("fetchmail");
        command.env("HOME", &home).env("FETCHMAILHOME", &home).arg("--fetchmailrc").arg(&file);
        command.args(["--nodetach", "--nosyslog", "--verbose"]);
        let outcome = run(&mut command, b"", LIMIT);
        // 1: there was no new mail.
        assert!(matches!(outcome.status.code(), Some(0 | 1)), "fetchmail from {}: {outcome:?}", node.name);
    };
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    for (node, tls) in [(a, true), (b, true), (a, false), (b, false)] {
        run_fetchmail(node, tls, "keep");
        assert_eq!(fetched(), 10, "from {}", node.name);
    }
    lmtp::Client::open(b).deliver(&message("late", "for POP3"));
    await_count(a, 11);
    run_fetchmail(a, false, "keep");
    assert_eq!(fetched(), 11);
    // And now as most use it: what was fetched is deleted.
    run_fetchmail(b, false, "fetchall nokeep");
    await_count(a, 0);
}
