//! getmail: fetches what it has not fetched yet, and remembers what that was.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fetching::{Counts, apart, seen_before_they_parted};
use super::world::{A, B, MESSAGES, World};
use super::{LIMIT, with_ten_messages};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::wait::{eventually, run};

/// What it fetches by IMAP, it names by UIDVALIDITY and UID.
pub fn life() {
    let world = World::new();
    let mail = world.home("getmail").join("mail");
    let fetched =
        |id: &str| fs::read_to_string(&mail).unwrap_or_default().matches(&format!("This is {id}.")).count();
    let fetch = |retriever: &str, options: &str| run_getmail(&world, &mail, retriever, options);
    let by_imap = format!("type = SimpleIMAPSSLRetriever\nport = {}\n", world.doors.imap_tls);
    let keep = || fetch(&format!("{by_imap}mailboxes = (\"INBOX\", \"Projects\")"), "delete = false");
    keep();
    assert!(
        MESSAGES.iter().chain(&["archived"]).all(|id| fetched(id) == 1),
        "{}",
        fs::read_to_string(&mail).unwrap()
    );

    world.meanwhile();
    world.doors.shut(A);
    keep();
    assert_eq!(fetched("late"), 1);
    world.doors.open(A);
    keep();
    assert!(MESSAGES.iter().chain(&["archived", "late"]).all(|id| fetched(id) == 1), "fetched twice");
    assert!(world.doors.connections(B) > 0, "it found the second address by itself");

    // Clients of both sides had looked at two messages: one has got another UID, and to getmail it is another message. It is the one
    // whose node happened to give it the lower UID.
    let counts = apart(&world, "imap", &keep, &fetched);
    assert_eq!((counts.at_a + counts.at_b, counts.only_at_a), (3, 1), "{counts:?}");
    assert_eq!(seen_before_they_parted(&world, "imap-both", &keep, &fetched), 1);
    // By POP3 it is the same one.
    let by_pop3 = format!("type = SimplePOP3SSLRetriever\nport = {}\n", world.doors.pop3_tls);
    let keep = || fetch(&by_pop3, "delete = false");
    keep();
    assert_eq!(apart(&world, "pop3", &keep, &fetched), Counts { at_a: 1, at_b: 1, only_at_a: 1 });
    assert_eq!(seen_before_they_parted(&world, "pop3-both", &keep, &fetched), 1);

    // What a search finds is moved and deleted.
    fetch(
        &format!("{by_imap}move_on_delete = Projects\nimap_search = SUBJECT \"about off-move\""),
        "delete = true",
    );
    fetch(&format!("{by_imap}imap_search = SUBJECT \"about off-delete\""), "delete = true");
    eventually("it is moved and deleted on both nodes", || {
        if world.contents(A, "INBOX") == world.contents(B, "INBOX") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    for place in [A, B] {
        let left = world.contents(place, "INBOX").messages;
        assert!(!left.contains_key("off-move") && !left.contains_key("off-delete"), "{left:?}");
        let there = world.contents(place, "Projects").messages;
        assert!(there.contains_key("off-move") && !there.contains_key("off-delete"), "{there:?}");
    }
    world.keeps_uids();
}

fn run_getmail(world: &World, mail: &Path, retriever: &str, options: &str) {
    let home = world.home("getmail");
    // It delivers to no maildir as root, which tests may be.
    let text = format!(
        "[retriever]\nserver = {NAME}\nusername = {ACCOUNT}\npassword = {PASSWORD}\nca_certs = {}\n{retriever}\n\n\
         [destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat >> {}\")\n\
         allow_root_commands = true\n\n[options]\nread_all = false\nverbose = 2\n{options}\n",
        world.certificate().display(),
        mail.display(),
    );
    fs::write(home.join("getmailrc"), text).unwrap();
    let mut command = world.command("getmail", "getmail");
    command.arg("--getmaildir").arg(&home);
    run(&mut command, b"", LIMIT).success("getmail");
}

/// getmail keeps what it knows for each server and port; the file is renamed where the node changes.
pub fn pop3() {
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
