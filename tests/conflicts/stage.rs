//! Two nodes, and rows that are played on them at once: one cut, one merge.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::kit::cluster::Cluster;
use crate::kit::imap::Client;
use crate::kit::message;
use crate::kit::wait::eventually;
use crate::kit::witness::Witness;

/// Both nodes, and what any client was told.
pub struct Stage {
    pub cluster: Cluster,
    pub witness: Witness,
    /// On each side one that selects nothing, so that no mailbox that goes away ends it.
    listers: RefCell<[Client; 2]>,
}

/// One row of the document: what clients do before the cut, while the nodes are apart, and what they see after.
pub trait Row {
    /// What the document calls it.
    fn name(&self) -> &'static str;
    /// Leaves both nodes equal.
    fn before(&mut self, stage: &Stage);
    /// What clients of one node (0 or 1) do while it hears nothing from the other.
    fn apart(&mut self, stage: &Stage, side: usize);
    /// Waits until both show the same, and checks it.
    fn after(&mut self, stage: &Stage);
}

/// Plays rows, each in mailboxes of its own. The first side acts first, so that what the second does is the later.
pub fn play(mut rows: Vec<Box<dyn Row>>) {
    let (cluster, witness) = (Cluster::two(), Witness::default());
    let listers = RefCell::new([0, 1].map(|side: usize| Client::open(&cluster.nodes[side], &witness)));
    let stage = Stage { cluster, witness, listers };
    rows.iter_mut().for_each(|row| row.before(&stage));
    stage.cluster.part();
    for side in 0..2 {
        rows.iter_mut().for_each(|row| row.apart(&stage, side));
    }
    stage.cluster.meet();
    rows.iter_mut().for_each(|row| row.after(&stage));
    for node in &stage.cluster.nodes {
        node.succeeds(&["verify"]);
    }
}

impl Stage {
    /// A new session on one side.
    pub fn client(&self, side: usize) -> Client {
        Client::open(&self.cluster.nodes[side], &self.witness)
    }

    /// The names that LIST tells on one side.
    pub fn names(&self, side: usize) -> BTreeSet<String> {
        let reply = self.listers.borrow_mut()[side].ok("LIST \"\" *");
        let lists = reply.untagged.iter().filter(|values| values[0].text() == "LIST");
        lists.filter_map(|values| values.last()).map(|name| name.text()).collect()
    }

    /// What a new session on one side is shown.
    #[track_caller]
    pub fn shown(&self, side: usize, mailbox: &str) -> Shown {
        Shown::of(&mut self.client(side), mailbox)
    }

    /// Creates a mailbox with these messages, and waits until both sides show it.
    pub fn prepare(&self, mailbox: &str, ids: &[&str]) -> Shown {
        let mut client = self.client(0);
        client.ok(&format!("CREATE {mailbox}"));
        for id in ids {
            client.append(mailbox, "", &message(id, mailbox));
        }
        self.alike(mailbox, ids)
    }

    /// What both sides show of a mailbox once they show the same, which must be these messages.
    #[track_caller]
    pub fn alike(&self, mailbox: &str, ids: &[&str]) -> Shown {
        let mut wanted: Vec<&str> = ids.to_vec();
        wanted.sort_unstable();
        eventually(&format!("{mailbox} on both sides"), || {
            let there = [0, 1].map(|side| self.names(side).contains(mailbox));
            if there != [true, true] {
                return Err(format!("is there: {there:?}"));
            }
            let [one, other] = [0, 1].map(|side| self.shown(side, mailbox));
            if one == other && one.ids() == wanted { Ok(one) } else { Err(format!("{one:?}\n{other:?}")) }
        })
    }
}

/// One message as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub email_id: String,
    pub flags: BTreeSet<String>,
}

/// A mailbox as a client sees it.
///
/// UIDNEXT is left out: a node that never showed a message that is gone may announce less than one that did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub uid_validity: u32,
    pub messages: BTreeMap<u32, Message>,
}

impl Shown {
    /// Selects a mailbox and asks for everything.
    #[track_caller]
    pub fn of(client: &mut Client, mailbox: &str) -> Self {
        let listing = client.list(mailbox);
        let mut ids = client.message_ids();
        let message = |(uid, message): (u32, crate::kit::imap::Message)| {
            let id = ids.remove(&uid).unwrap_or_default();
            (uid, Message { id, email_id: message.email_id, flags: message.flags })
        };
        let messages = listing.messages.into_iter().map(message).collect();
        Shown { uid_validity: listing.uid_validity, messages }
    }

    /// The messages, sorted; one that is there twice is there twice.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.messages.values().map(|message| message.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// The UID of a message that is there once.
    #[track_caller]
    pub fn uid(&self, id: &str) -> u32 {
        let uids: Vec<u32> = self.messages.iter().filter(|(_, m)| m.id == id).map(|(uid, _)| *uid).collect();
        assert_eq!(uids.len(), 1, "{id} in {self:?}");
        uids[0]
    }

    /// The flags of a message that is there once, in a line.
    #[track_caller]
    pub fn flags(&self, id: &str) -> String {
        let message = &self.messages[&self.uid(id)];
        message.flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    pub fn email_id(&self, id: &str) -> &str {
        &self.messages[&self.uid(id)].email_id
    }
}
