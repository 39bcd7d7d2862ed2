//! mbsync (isync): two-way synchronisation with a maildir, with a state of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::maildir::{Maildir, synced};
use super::world::{
    A, B, INBOX_IN_THE_END, INBOX_ONLINE, MESSAGES, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World,
};
use super::{LIMIT, with_tls};
use crate::kit::cluster::{ACCOUNT, Cluster, PASSWORD, Setup};
use crate::kit::doors::NAME;
use crate::kit::imap::Client;
use crate::kit::wait::{eventually, run};
use crate::kit::witness::Witness;
use crate::kit::{lmtp, message};

/// What is synchronised: everything in both directions; or everything but that what goes from a node goes from the maildir.
const BOTH_WAYS: &str = "Sync All";
const NEVER_FORGETTING: &str = "Sync PullNew PullReNew PullFlags Push";

/// How mbsync is called.
struct Call<'a> {
    host: &'a str,
    port: u16,
    certificate: &'a Path,
    mechanism: &'a str,
    sync: &'a str,
}

impl Call<'_> {
    /// Runs `command`, which is mbsync, with the state in `home`; it must succeed and complain of nothing.
    #[track_caller]
    fn run(&self, mut command: Command, home: &Path) {
        let config = home.join("mbsyncrc");
        let Self { host, port, certificate, mechanism, sync } = self;
        let text = format!(
            "IMAPAccount node\nHost {host}\nPort {port}\nUser {ACCOUNT}\nPass \"{PASSWORD}\"\n\
             SSLType IMAPS\nCertificateFile {}\nAuthMechs {mechanism}\n\n\
             IMAPStore far\nAccount node\n\n\
             MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel mail\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\n{sync}\n\
             SyncState {home}/state/\n",
            certificate.display(),
            home = home.display(),
        );
        fs::create_dir_all(home.join("mail")).unwrap();
        fs::create_dir_all(home.join("state")).unwrap();
        fs::write(&config, text).unwrap();
        command.arg("--config").arg(&config).args(["--verbose", "mail"]);
        let outcome = run(&mut command, b"", LIMIT).success("mbsync");
        for word in ["warning", "error", "lost", "genuinely", "unable"] {
            let (stdout, stderr) = (outcome.stdout.to_lowercase(), outcome.stderr.to_lowercase());
            assert!(!stdout.contains(word) && !stderr.contains(word), "mbsync complained: {outcome:?}");
        }
    }
}

/// Runs mbsync against one node, with the state in `home`.
#[track_caller]
fn run_mbsync(cluster: &Cluster, place: usize, home: &Path, mechanism: &str) {
    let call = Call {
        host: "127.0.0.1",
        port: cluster.nodes[place].imap_tls.unwrap().port(),
        certificate: &cluster.directory().join("certificate.pem"),
        mechanism,
        sync: BOTH_WAYS,
    };
    call.run(Command::new("mbsync"), home);
}

/// Runs mbsync against the name of all nodes, with a home of its own.
#[track_caller]
fn run_on(world: &World, home: &str, sync: &str) {
    let certificate = world.certificate();
    let call =
        Call { host: NAME, port: world.doors.imap_tls, certificate: &certificate, mechanism: "LOGIN", sync };
    call.run(world.command("mbsync", home), &world.home(home));
}

pub fn life() {
    let world = World::new();
    let home = world.home("mbsync");
    let mail = Maildir::new(home.join("mail"));
    let sync = || run_on(&world, "mbsync", BOTH_WAYS);
    sync();
    assert_eq!(mail.shows("INBOX").len(), MESSAGES.len());
    let change = |prefix: &str| {
        let name = |id: &str| format!("{prefix}{id}");
        mail.flag("INBOX", &name("read"), 'S');
        mail.flag("INBOX", &name("flag"), 'F');
        mail.take("INBOX", &name("move"), "Projects");
        mail.flag("INBOX", &name("delete"), 'T');
    };
    change("");
    sync();
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    assert_eq!(world.doors.connections(B), 0);

    change("off-");
    world.meanwhile();
    world.doors.shut(A);
    sync();
    assert!(world.doors.connections(B) > 0, "it found the second address by itself");
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    assert_eq!(mail.shows("INBOX"), synced(INBOX_IN_THE_END));
    assert_eq!(mail.shows("Projects"), synced(PROJECTS_IN_THE_END));

    // Back, and over again: nothing is left to do.
    let before = mail.files();
    world.doors.open(A);
    sync();
    world.doors.shut(A);
    sync();
    assert_eq!(mail.files(), before);
    world.keeps_uids();
    apart(&world, &mail);
}

/// Synchronises with each of two nodes that are apart, and once they have met again.
fn apart(world: &World, mail: &Maildir) {
    let careful = Maildir::new(world.home("careful").join("mail"));
    let sync = || {
        run_on(world, "mbsync", BOTH_WAYS);
        run_on(world, "careful", NEVER_FORGETTING);
    };
    let sync_at = |place: usize| {
        world.doors.open(place);
        world.doors.shut(1 - place);
        sync();
    };
    let has = |ids: &[&'static str]| {
        [INBOX_IN_THE_END, &ids.iter().map(|id| (*id, "")).collect::<Vec<_>>()].concat()
    };
    let [at_a, at_b, only_at_a] = ["at-a", "at-b", "only-at-a"];

    // Clients of both sides look at new mail: of that one comes back under another UID.
    sync_at(A);
    world.split(&[(A, at_a), (B, at_b)]);
    sync();
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a])));
    sync_at(B);
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_b])));
    world.join(&[at_a, at_b]);
    for place in [B, A] {
        sync_at(place);
        assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b])));
    }

    // There is new mail on one side alone, and it keeps its UID. At `b` mbsync takes it for expunged, and what is not above the
    // highest UID that it has ever seen is not new to it: docs/clients.md tells what to do.
    world.split(&[(A, only_at_a)]);
    sync();
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b, only_at_a])));
    sync_at(B);
    world.join(&[only_at_a]);
    for place in [B, A] {
        sync_at(place);
        assert_eq!(
            mail.shows("INBOX"),
            synced(&has(&[at_a, at_b])),
            "it does come back: docs/clients.md is wrong"
        );
    }
    assert!(careful.has("INBOX", only_at_a), "{:?}", careful.shows("INBOX"));
    world.move_there_and_back(only_at_a);
    sync_at(B);
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b, only_at_a])));
}

/// Twenty messages accepted on both sides; the same state is used with both nodes under different addresses.
pub fn both() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let home = cluster.directory().join("mbsync");
    fs::create_dir_all(&home).unwrap();
    let mail = Maildir::new(home.join("mail"));

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

    let sync = |place: usize| run_mbsync(&cluster, place, &home, "LOGIN");
    sync(A);
    let first: BTreeMap<_, _> = mail.files();
    assert_eq!(first.len(), 21, "messages fetched from a");
    let listings = [client.list("INBOX"), client.list("Projects")];

    // The same state against the other node, and back.
    for place in [B, A] {
        sync(place);
        assert_eq!(mail.files(), first, "mbsync with {} changed the maildir", cluster.nodes[place].name);
    }
    assert_eq!([client.list("INBOX"), client.list("Projects")], listings, "mbsync changed a mailbox");
    assert_eq!([other.list("INBOX"), other.list("Projects")], listings);
}

/// mbsync logs in by the SCRAM-SHA-256 of Cyrus SASL (libsasl2-modules), which takes at most 65,536 rounds.
pub fn scram() {
    let cluster = Cluster::start(Setup { nodes: 1, tls: true, ..Setup::default() });
    let home = cluster.directory().join("mbsync");
    fs::create_dir_all(&home).unwrap();
    lmtp::Client::open(&cluster.nodes[0]).deliver(&message("scram", "for mbsync"));
    run_mbsync(&cluster, 0, &home, "SCRAM-SHA-256");
    assert_eq!(Maildir::new(home.join("mail")).files().len(), 1);
}
