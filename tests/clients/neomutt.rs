//! NeoMutt: one connection, a cache of headers and one of bodies, no offline mode.

use std::fs;
use std::path::Path;

use super::script;
use super::terminal::Terminal;
use super::world::{A, B, INBOX_IN_THE_END, INBOX_ONLINE, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;

pub fn life() {
    let world = World::new();
    let at = format!("imap://{ACCOUNT}@{NAME}:{}/", world.doors.imap);
    let mut mutt = start(&world, &at, "ssl_starttls=no ssl_force_tls=no");
    mutt.shows("about off-delete");
    mutt.does("c?", "Mailboxes");
    mutt.does("\t", "Projects");
    mutt.does("q", "about off-delete");
    change(&mut mutt, "", 9);
    // The server searches for `=b`.
    mutt.types("l=b \"This is stay\"\r");
    mutt.is("the search found one", |screen| {
        screen.contains("about stay") && !screen.contains("about answer")
    });
    mutt.does("lall\r", "about answer");
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    assert_eq!(world.doors.connections(B), 0);

    // Nothing waits to be written when the connection goes: the mailbox is opened again, at the other node.
    world.meanwhile();
    world.doors.shut(A);
    mutt.does("c", "Open mailbox");
    mutt.does("+INBOX\r", "about late");
    read(&mut mutt, "read");
    change(&mut mutt, "off-", 7);
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    world.keeps_uids();
    let said = world.doors.said(B);
    let asked = |item: &str| said.lines().filter(|line| line.contains(item)).collect::<Vec<_>>();
    // Where the cache has a hole, for the message that was expunged meanwhile, it asks what is there now.
    assert!(asked("HEADER.FIELDS").len() <= 2, "headers: {:?}", asked("HEADER.FIELDS"));
    assert_eq!(asked("BODY.PEEK[]").len(), 1, "bodies: {:?}", asked("BODY.PEEK[]"));

    // Something waits: it says that this is lost, and it is.
    go_to(&mut mutt, "stay");
    mutt.types("F");
    world.doors.open(A);
    world.doors.shut(B);
    mutt.does("$", "Error saving flags");
    drop(mutt);
    world.shows("INBOX", INBOX_IN_THE_END);
}

/// TLS from the start, and after STARTTLS; it looks at the certificate.
pub fn tls() {
    let world = World::new();
    let from_start = format!("imaps://{ACCOUNT}@{NAME}:{}/", world.doors.imap_tls);
    let after_starttls = format!("imap://{ACCOUNT}@{NAME}:{}/", world.doors.imap);
    let trusting = |file: &Path| {
        let file = file.display();
        format!("ssl_force_tls=yes ssl_starttls=yes ssl_ca_certificates_file={file}")
    };
    let certificate = trusting(&world.certificate());
    for (at, prefix) in [(&from_start, ""), (&after_starttls, "off-")] {
        let mut mutt = start(&world, at, &certificate);
        mutt.shows("about off-delete");
        read(&mut mutt, &format!("{prefix}read"));
        go_to(&mut mutt, &format!("{prefix}flag"));
        mutt.types("F$");
        world.has_flag(&format!("{prefix}read"), "\\Seen");
        world.has_flag(&format!("{prefix}flag"), "\\Flagged");
    }
    let said = world.doors.said(A);
    assert!(said.contains("STARTTLS") && !said.contains("LOGIN") && !said.contains("AUTHENTICATE"), "{said}");

    // Nobody vouches for the certificate: it asks.
    let nobody = world.home("nobody").join("certificates.pem");
    fs::write(&nobody, "").unwrap();
    let mutt = start(&world, &from_start, &trusting(&nobody));
    mutt.shows("This certificate belongs to");
}

/// Starts with a folder, and with what `security` says of TLS.
fn start(world: &World, folder: &str, security: &str) -> Terminal {
    let home = world.home("neomutt");
    fs::create_dir_all(home.join("bodies")).unwrap();
    let text = format!(
        "set folder=\"{folder}\" spoolfile=+INBOX\n\
         set imap_user={ACCOUNT} imap_pass=\"{PASSWORD}\" {security}\n\
         set imap_condstore=yes imap_qresync=yes\n\
         set header_cache={home}/headers message_cachedir={home}/bodies\n\
         set sort=mailbox-order pager_stop=yes mark_old=no wait_key=no\n\
         set delete=yes quit=yes move=no confirmappend=no\n",
        home = home.display(),
    );
    fs::write(home.join("neomuttrc"), text).unwrap();
    let mut command = world.command("python3", "neomutt");
    command.arg(script("terminal.py")).args(["neomutt", "-n", "-F"]).arg(home.join("neomuttrc"));
    Terminal::start(command)
}

fn go_to(mutt: &mut Terminal, id: &str) {
    mutt.types(&format!("/~s \"about {id}$\"\r"));
}

fn read(mutt: &mut Terminal, id: &str) {
    go_to(mutt, id);
    mutt.does("\r", &format!("This is {id}."));
    mutt.does("i", "q:Quit");
}

/// Reads, flags, moves and deletes; `left` messages stay.
fn change(mutt: &mut Terminal, prefix: &str, left: usize) {
    read(mutt, &format!("{prefix}read"));
    go_to(mutt, &format!("{prefix}flag"));
    mutt.types("F");
    go_to(mutt, &format!("{prefix}move"));
    mutt.types("s=Projects\r");
    go_to(mutt, &format!("{prefix}delete"));
    mutt.types("d");
    mutt.does("$", &format!("[Msgs:{left} "));
}
