//! fetchmail: fetches what is unseen, by IMAP; what it has not fetched yet, by POP3.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::fetching::{Counts, apart, seen_before_they_parted};
use super::world::{A, B, MESSAGES, World};
use super::{LIMIT, await_count, with_ten_messages};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::lmtp;
use crate::kit::message;
use crate::kit::node::Node;
use crate::kit::wait::run;

/// By IMAP it keeps nothing: what it fetched has \\Seen.
pub fn life() {
    let world = World::new();
    let mail = world.home("fetchmail").join("mail");
    let fetched =
        |id: &str| fs::read_to_string(&mail).unwrap_or_default().matches(&format!("This is {id}.")).count();
    let fetch = |how: &str, options: &str| run_fetchmail(&world, &mail, how, options);
    let by_imap = format!("service {} protocol imap", world.doors.imap_tls);
    let keep = || fetch(&by_imap, "folder INBOX,Projects keep");
    keep();
    assert!(MESSAGES.iter().all(|id| fetched(id) == 1), "{}", fs::read_to_string(&mail).unwrap());
    world.shows("INBOX", &MESSAGES.map(|id| (id, "\\Seen")));

    world.meanwhile();
    world.doors.shut(A);
    keep();
    assert_eq!(fetched("late"), 1);
    assert!(world.doors.connections(B) > 0, "it found the second address by itself");
    world.doors.open(A);
    keep();
    assert!(MESSAGES.iter().chain(&["late"]).all(|id| fetched(id) == 1), "fetched twice");
    world.keeps_uids();

    // What has \\Seen where it is asked counts.
    assert_eq!(apart(&world, "imap", &keep, &fetched), Counts { at_a: 1, at_b: 1, only_at_a: 1 });
    assert_eq!(seen_before_they_parted(&world, "imap-both", &keep, &fetched), 2);
    // By POP3 what it found when it asked last counts.
    let by_pop3 = format!("service {} protocol pop3 uidl", world.doors.pop3_tls);
    let keep = || fetch(&by_pop3, "keep");
    keep();
    assert_eq!(apart(&world, "pop3", &keep, &fetched), Counts { at_a: 2, at_b: 1, only_at_a: 2 });
    assert_eq!(seen_before_they_parted(&world, "pop3-both", &keep, &fetched), 1);

    fetch(&by_imap, "folder INBOX,Projects fetchall nokeep");
    world.shows("INBOX", &[]);
    world.shows("Projects", &[]);
}

fn run_fetchmail(world: &World, mail: &Path, how: &str, options: &str) {
    let home = world.home("fetchmail");
    let text = format!(
        "poll {NAME} {how}\nuser \"{ACCOUNT}\" password \"{PASSWORD}\" ssl sslcertck sslcertfile \"{}\" {options} \
         mda \"cat >> {}\"\n",
        world.certificate().display(),
        mail.display(),
    );
    let file = home.join("fetchmailrc");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = world.command("fetchmail", "fetchmail");
    command.env("FETCHMAILHOME", &home).arg("--fetchmailrc").arg(&file);
    command.args(["--nodetach", "--nosyslog", "--verbose"]);
    let outcome = run(&mut command, b"", LIMIT);
    // 1: there was no new mail.
    assert!(matches!(outcome.status.code(), Some(0 | 1)), "fetchmail: {outcome:?}");
}

/// fetchmail keeps what it knows for each server name, whatever the port.
pub fn pop3() {
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
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
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
