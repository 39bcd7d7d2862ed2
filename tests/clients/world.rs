//! What every client finds, what happens while it is away, and how that is looked at from outside.
//!
//! A client's life has three parts. At node `a` it lists, reads, flags, moves, deletes and searches. Then it is offline, or cannot
//! reach `a`, and makes the changes whose messages begin with `off-`, while another client and a delivery change things at
//! `b`. Then the door of `a` is shut, and the client comes to `b` with what it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::cluster::{Cluster, Setup};
use crate::kit::doors::Doors;
use crate::kit::imap::Client;
use crate::kit::node::Node;
use crate::kit::wait::eventually;
use crate::kit::witness::Witness;
use crate::kit::{lmtp, message};

/// Places of the nodes.
pub const A: usize = 0;
pub const B: usize = 1;

/// A mailbox: the Message-IDs before their @, and the system flags.
pub type Expected<'a> = &'a [(&'a str, &'a str)];

/// INBOX before the client comes. The names tell what becomes of the messages.
pub const MESSAGES: [&str; 11] = [
    "read",
    "flag",
    "move",
    "delete",
    "answer",
    "stay",
    "gone",
    "off-read",
    "off-flag",
    "off-move",
    "off-delete",
];

/// INBOX and Projects after the first part.
pub const INBOX_ONLINE: Expected = &[
    ("read", "\\Seen"),
    ("flag", "\\Flagged"),
    ("answer", ""),
    ("stay", ""),
    ("gone", ""),
    ("off-read", ""),
    ("off-flag", ""),
    ("off-move", ""),
    ("off-delete", ""),
];
pub const PROJECTS_ONLINE: Expected = &[("archived", "\\Seen"), ("move", "")];

/// INBOX and Projects in the end.
pub const INBOX_IN_THE_END: Expected = &[
    ("read", "\\Seen"),
    ("flag", "\\Flagged"),
    ("answer", "\\Answered"),
    ("stay", ""),
    ("off-read", "\\Flagged \\Seen"),
    ("off-flag", "\\Flagged"),
    ("late", ""),
];
pub const PROJECTS_IN_THE_END: Expected = &[("archived", "\\Seen"), ("move", ""), ("off-move", "")];

/// A mailbox as a client from outside sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub uid_validity: u32,
    /// UID and flags, by Message-ID. The lists have more than one where a message is there several times.
    pub messages: BTreeMap<String, Vec<(u32, BTreeSet<String>)>>,
}

/// Two nodes with TLS, and their doors.
pub struct World {
    pub cluster: Cluster,
    pub doors: Doors,
    witness: Witness,
    before: Vec<(&'static str, Contents)>,
}

impl World {
    /// INBOX with [`MESSAGES`], and Projects, subscribed, with one message that was read.
    #[track_caller]
    pub fn new() -> Self {
        let cluster = Cluster::start(Setup { tls: true, ..Setup::default() });
        let doors = Doors::new(&cluster.nodes, cluster.directory());
        let mut world = Self { cluster, doors, witness: Witness::default(), before: Vec::new() };
        let mut client = Client::open(world.node(A), &world.witness);
        client.ok("CREATE Projects");
        client.ok("SUBSCRIBE Projects");
        client.append("Projects", "\\Seen", &message("archived", "about archived"));
        world.deliver(A, &MESSAGES);
        world.shows("INBOX", &MESSAGES.map(|id| (id, "")));
        world.shows("Projects", &[("archived", "\\Seen")]);
        for mailbox in ["INBOX", "Projects"] {
            let contents = world.contents(B, mailbox);
            world.before.push((mailbox, contents));
        }
        world
    }

    pub fn node(&self, place: usize) -> &Node {
        &self.cluster.nodes[place]
    }

    /// Mail comes in at a node.
    #[track_caller]
    pub fn deliver(&self, place: usize, ids: &[&str]) {
        let mut lmtp = lmtp::Client::open(self.node(place));
        ids.iter().for_each(|id| lmtp.deliver(&message(id, &format!("about {id}"))));
    }

    /// Another client at `b` answers one message, flags another and expunges a third, and one comes in there; `a` has heard of it in
    /// the end.
    #[track_caller]
    pub fn meanwhile(&self) {
        self.flag("answer", "\\Answered");
        self.flag("off-read", "\\Flagged");
        self.expunge("gone");
        self.deliver(B, &["late"]);
        eventually("what changed at b is seen at a", || {
            if self.contents(A, "INBOX") == self.contents(B, "INBOX") {
                Ok(())
            } else {
                Err("not yet".into())
            }
        });
    }

    /// Another client at `b` sets a flag of a message in INBOX.
    #[track_caller]
    pub fn flag(&self, id: &str, flag: &str) {
        let uid = self.contents(B, "INBOX").messages[id][0].0;
        let mut client = Client::open(self.node(B), &self.witness);
        client.select("INBOX");
        client.ok(&format!("UID STORE {uid} +FLAGS ({flag})"));
    }

    /// Another client at `b` expunges a message in INBOX.
    #[track_caller]
    pub fn expunge(&self, id: &str) {
        self.flag(id, "\\Deleted");
        let uid = self.contents(B, "INBOX").messages[id][0].0;
        let mut client = Client::open(self.node(B), &self.witness);
        client.select("INBOX");
        client.ok(&format!("UID EXPUNGE {uid}"));
    }

    /// Another client at `b` moves a message from INBOX to Projects and back.
    #[track_caller]
    pub fn move_there_and_back(&self, id: &str) {
        let mut client = Client::open(self.node(B), &self.witness);
        for (from, to) in [("INBOX", "Projects"), ("Projects", "INBOX")] {
            let uid = self.contents(B, from).messages[id][0].0;
            client.select(from);
            client.ok(&format!("UID MOVE {uid} {to}"));
        }
    }

    /// Waits until `b` shows a message in INBOX with a flag.
    #[track_caller]
    pub fn has_flag(&self, id: &str, flag: &str) {
        eventually(&format!("{id} has {flag}"), || {
            let flags = &self.contents(B, "INBOX").messages[id][0].1;
            if flags.contains(flag) { Ok(()) } else { Err(format!("{flags:?}")) }
        });
    }

    /// Cuts the link; then messages come in, each at one node, and a client from outside looks at each.
    #[track_caller]
    pub fn split(&self, messages: &[(usize, &str)]) {
        self.cluster.part();
        for (place, id) in messages {
            self.deliver(*place, &[id]);
            eventually(&format!("{id} is seen"), || {
                let contents = self.contents(*place, "INBOX");
                if contents.messages.contains_key(*id) { Ok(()) } else { Err(format!("{contents:?}")) }
            });
        }
    }

    /// Joins the nodes again, and waits until both show these messages in INBOX, and the same of all.
    #[track_caller]
    pub fn join(&self, ids: &[&str]) {
        self.cluster.meet();
        eventually("together again", || {
            let [a, b] = [A, B].map(|place| self.contents(place, "INBOX"));
            let whole = a == b && ids.iter().all(|id| a.messages.contains_key(*id));
            if whole { Ok(()) } else { Err(format!("{a:?} {b:?}")) }
        });
    }

    /// A mailbox on a node, as an independent client sees it.
    #[track_caller]
    pub fn contents(&self, place: usize, mailbox: &str) -> Contents {
        let mut client = Client::open(self.node(place), &self.witness);
        let listing = client.list(mailbox);
        let ids = client.message_ids();
        let mut messages: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (uid, message) in listing.messages {
            // Expunged between the two commands.
            let Some(id) = ids.get(&uid) else { continue };
            messages.entry(id.clone()).or_default().push((uid, message.flags));
        }
        Contents { uid_validity: listing.uid_validity, messages }
    }

    /// Waits until both nodes show this in a mailbox, and the same UIDs for it. Keywords are the client's own affair.
    #[track_caller]
    pub fn shows(&self, mailbox: &str, expected: Expected) {
        let wanted: BTreeMap<&str, Vec<&str>> =
            expected.iter().map(|(id, flags)| (*id, vec![*flags])).collect();
        eventually(&format!("{mailbox} as expected on both nodes"), || {
            let both = [A, B].map(|place| self.contents(place, mailbox));
            for (place, contents) in both.iter().enumerate() {
                let system = |flags: &BTreeSet<String>| {
                    flags.iter().filter(|flag| flag.starts_with('\\')).cloned().collect::<Vec<_>>().join(" ")
                };
                let told: BTreeMap<&str, Vec<String>> = contents
                    .messages
                    .iter()
                    .map(|(id, copies)| {
                        (id.as_str(), copies.iter().map(|(_, flags)| system(flags)).collect())
                    })
                    .collect();
                let same = told.len() == wanted.len()
                    && told
                        .iter()
                        .zip(&wanted)
                        .all(|(told, wanted)| told.0 == wanted.0 && told.1 == wanted.1);
                if !same {
                    return Err(format!("{} shows {told:?}, not {wanted:?}", self.node(place).name));
                }
            }
            if both[A] == both[B] { Ok(()) } else { Err(format!("{both:?}")) }
        });
    }

    /// UIDVALIDITY is what it was, and so are the UIDs of all messages that are where they were.
    #[track_caller]
    pub fn keeps_uids(&self) {
        for (place, (mailbox, before)) in
            [A, B].into_iter().flat_map(|place| self.before.iter().map(move |before| (place, before)))
        {
            let now = self.contents(place, mailbox);
            let name = &self.node(place).name;
            assert_eq!(now.uid_validity, before.uid_validity, "UIDVALIDITY of {mailbox} on {name}");
            for (id, copies) in &now.messages {
                let Some(known) = before.messages.get(id) else { continue };
                assert_eq!(copies[0].0, known[0].0, "the UID of {id} in {mailbox} on {name}");
            }
        }
    }

    /// A directory for a client.
    pub fn home(&self, name: &str) -> PathBuf {
        let home = self.cluster.directory().join(name);
        fs::create_dir_all(&home).unwrap();
        home
    }

    /// The certificate of both nodes.
    pub fn certificate(&self) -> PathBuf {
        self.cluster.directory().join("certificate.pem")
    }

    /// A client that knows the name of the nodes, and has a home of its own.
    pub fn command(&self, program: &str, home: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.doors.environment()).env("HOME", self.home(home));
        command.env("SSL_CERT_FILE", self.certificate()).env("LANG", "C.UTF-8").env("TZ", "UTC");
        command
    }
}
