//! OfflineIMAP: two-way synchronisation with a maildir, with a data base of its own.

use std::fs;

use super::LIMIT;
use super::maildir::{Maildir, synced};
use super::world::{
    A, B, INBOX_IN_THE_END, INBOX_ONLINE, MESSAGES, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World,
};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::wait::run;

pub fn life() {
    let world = World::new();
    let home = world.home("offlineimap");
    let mail = Maildir::new(home.join("mail"));
    let config = home.join("offlineimaprc");
    let text = format!(
        "[general]\naccounts = node\nmetadata = {home}/state\nui = basic\nmaxsyncaccounts = 1\nsocktimeout = 30\n\n\
         [Account node]\nlocalrepository = near\nremoterepository = far\n\n\
         [Repository near]\ntype = Maildir\nlocalfolders = {mail}\n\n\
         [Repository far]\ntype = IMAP\nremotehost = {NAME}\nremoteport = {port}\nremoteuser = {ACCOUNT}\n\
         remotepass = {PASSWORD}\nssl = yes\nsslcacertfile = {certificate}\nauth_mechanisms = PLAIN\n\
         maxconnections = 1\nexpunge = yes\n",
        home = home.display(),
        mail = mail.root().display(),
        port = world.doors.imap_tls,
        certificate = world.certificate().display(),
    );
    fs::write(&config, text).unwrap();
    let sync = || {
        let mut command = world.command("offlineimap", "offlineimap");
        command.arg("-o").arg("-c").arg(&config);
        let outcome = run(&mut command, b"", LIMIT).success("offlineimap");
        for word in ["error", "traceback", "uid validity"] {
            let told = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
            assert!(!told.contains(word), "offlineimap complained: {outcome:?}");
        }
    };
    sync();
    assert_eq!(mail.shows("INBOX").len(), MESSAGES.len());
    let change = |prefix: &str| {
        let name = |id: &str| format!("{prefix}{id}");
        mail.flag("INBOX", &name("read"), 'S');
        mail.flag("INBOX", &name("flag"), 'F');
        mail.take("INBOX", &name("move"), "Projects");
        // What has \\Deleted is expunged where its file goes, as a mail reader does when its user purges.
        mail.remove("INBOX", &name("delete"));
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
    apart(&world, &mail, &sync);
}

/// Synchronises with each of two nodes that are apart, and once they have met again.
fn apart(world: &World, mail: &Maildir, sync: &dyn Fn()) {
    let sync_at = |place: usize| {
        world.doors.open(place);
        world.doors.shut(1 - place);
        sync();
    };
    let has = |ids: &[&'static str]| {
        [INBOX_IN_THE_END, &ids.iter().map(|id| (*id, "")).collect::<Vec<_>>()].concat()
    };
    let [at_a, at_b, only_at_a] = ["at-a", "at-b", "only-at-a"];
    world.split(&[(A, at_a), (B, at_b)]);
    sync_at(A);
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a])));
    sync_at(B);
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_b])));
    world.join(&[at_a, at_b]);
    for place in [B, A] {
        sync_at(place);
        assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b])));
    }
    world.split(&[(A, only_at_a)]);
    sync();
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b, only_at_a])));
    sync_at(B);
    assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b])));
    world.join(&[only_at_a]);
    for place in [B, A] {
        sync_at(place);
        assert_eq!(mail.shows("INBOX"), synced(&has(&[at_a, at_b, only_at_a])));
    }
}
