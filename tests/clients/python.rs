//! Python's imaplib, smtplib and poplib.

use std::path::Path;
use std::process::Command;

use super::world::{A, B, INBOX_IN_THE_END, INBOX_ONLINE, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World};
use super::{LIMIT, await_count, script, with_tls};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::imap::Client;
use crate::kit::wait::{eventually, run};
use crate::kit::witness::Witness;

/// smtplib delivers, imaplib reads: without TLS, with STARTTLS and with TLS from the start.
pub fn imaplib() {
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
pub fn scram() {
    let cluster = with_tls();
    for node in &cluster.nodes {
        let ports =
            [node.imap, node.imap_tls.unwrap(), node.pop3_tls.unwrap()].map(|at| at.port().to_string());
        let mut session = Command::new("python3");
        session.arg(script("scram_session.py")).arg("127.0.0.1").args(&ports).args([ACCOUNT, PASSWORD]);
        run(&mut session, b"", LIMIT).success(&format!("scram_session.py on {}", node.name));
    }
}

/// The script keeps UIDs and acts by them at the other node.
pub fn life() {
    let world = World::new();
    let state = world.home("python").join("state.json");
    let live = |part: &str| {
        let mut command = world.command("python3", "python");
        command.arg(script("imap_life.py")).args([NAME, &world.doors.imap_tls.to_string()]);
        command.arg(world.certificate()).args([ACCOUNT, PASSWORD]).arg::<&Path>(&state).arg(part);
        run(&mut command, b"", LIMIT).success(&format!("imap_life.py {part}"));
    };
    live("online");
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    assert_eq!([A, B].map(|place| world.doors.connections(place)), [1, 0]);

    world.meanwhile();
    world.doors.shut(A);
    live("back");
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    world.keeps_uids();
    assert_eq!(world.doors.connections(B), 1, "it found the second address by itself");
}

/// The script deletes one message on each node.
pub fn poplib() {
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
