//! Alpine: one connection, no cache, no offline mode.

use std::fs;

use super::script;
use super::terminal::Terminal;
use super::world::{A, B, INBOX_IN_THE_END, INBOX_ONLINE, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;

pub fn life() {
    let world = World::new();
    let mut alpine = start(&world);
    alpine.shows("ENTER PASSWORD");
    alpine.does(&format!("{PASSWORD}\r"), "opened with 11 messages");
    alpine.does("l", "Projects");
    alpine.does("i", "about off-delete");
    change(&mut alpine, "");
    alpine.does(";tb", "String in message BODYTEXT");
    alpine.does("This is stay\r", "Select matched 1 message");
    alpine.does("z", "about answer");
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    assert_eq!(world.doors.connections(B), 0);

    // It tells that the connection went, and nothing that was typed then is brought later.
    go_to(&mut alpine, "off-flag");
    world.meanwhile();
    world.doors.shut(A);
    alpine.does("**", "CLOSED DUE TO ACCESS ERROR");
    alpine.does("<\r", "about late");
    let flags = &world.contents(B, "INBOX").messages["off-flag"][0].1;
    assert!(!flags.contains("\\Flagged"), "it was brought after all: {flags:?}");
    change(&mut alpine, "off-");
    alpine.types("q");
    alpine.ends();
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    world.keeps_uids();
}

fn start(world: &World) -> Terminal {
    let home = world.home("alpine");
    let server = format!("{{{NAME}:{}/ssl/user={ACCOUNT}}}", world.doors.imap_tls);
    let text = format!(
        "personal-name=Alice\nuser-domain=example.org\nsmtp-server=\ndefault-fcc=\n\
         inbox-path={server}INBOX\nfolder-collections=Mail {server}[]\n\
         feature-list=quit-without-confirm,expunge-without-confirm,enable-flag-cmd,enable-aggregate-command-set,\
         disable-password-file-saving\nlast-version-used=6.26\n"
    );
    fs::write(home.join("pinerc"), text).unwrap();
    let mut command = world.command("python3", "alpine");
    command.arg(script("terminal.py")).args(["alpine", "-p"]).arg(home.join("pinerc"));
    Terminal::start(command)
}

fn go_to(alpine: &mut Terminal, id: &str) {
    alpine.does(&format!("wabout {id}\r"), "ord found");
}

/// Reads, flags, moves and deletes.
fn change(alpine: &mut Terminal, prefix: &str) {
    let name = |id: &str| format!("{prefix}{id}");
    go_to(alpine, &name("read"));
    alpine.does("\r", &format!("This is {}.", name("read")));
    alpine.does("<", "MESSAGE INDEX");
    go_to(alpine, &name("flag"));
    alpine.types("**");
    go_to(alpine, &name("move"));
    alpine.types("s\u{15}Projects\r");
    is_marked_deleted(alpine, &name("move"));
    go_to(alpine, &name("delete"));
    alpine.types("d");
    is_marked_deleted(alpine, &name("delete"));
    alpine.types("x");
    let gone = [name("move"), name("delete")].map(|id| format!("about {id}"));
    alpine.is("both are gone", |screen| gone.iter().all(|subject| !screen.contains(subject)));
}

/// What Alpine says of it stands for a moment only, the mark stays.
fn is_marked_deleted(alpine: &Terminal, id: &str) {
    let subject = format!(" about {id} ");
    alpine.is(&format!("{id} is marked as deleted"), |screen| {
        let line = screen.lines().find(|line| format!("{line} ").contains(&subject));
        line.and_then(|line| line.get(..5)).is_some_and(|marks| marks.contains('D'))
    });
}
