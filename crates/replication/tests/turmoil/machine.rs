//! What of a node outlives its process: its disk, its key, the invitation it gave or was given.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crdt::clock::Millis;
use crdt::identity::NodeSlot;
use crdt::operation::Member;
use mailstore::Mailstore;
use mailstore::identity::NodeIdentity;
use mailstore::inline;
use peerpost_replication::identity::NodeKey;
use peerpost_replication::join::Token;
use peerpost_replication::status::Status;
use storage::{SimulatedDisk, Storage};

use crate::chance::Chance;
use crate::committer::Committer;
use crate::invitation::Given;
use crate::trace::Trace;

pub const PORT: u16 = 7471;
const CLUSTER: [u8; 16] = [7; 16];

pub struct Machine {
    pub number: usize,
    pub key: Arc<NodeKey>,
    pub trace: Trace,
    pub given: Given,
    /// The token that it was given, until it has joined with it.
    pub token: Mutex<Option<Token>>,
    disk: Mutex<SimulatedDisk>,
    chance: Mutex<Chance>,
    life: Mutex<Option<Life>>,
}

/// A running process, as far as others look into it.
#[derive(Clone)]
pub struct Life {
    pub store: Mailstore,
    pub committer: Arc<Committer>,
    /// How its links stood a moment ago.
    pub status: Arc<Mutex<Status>>,
}

/// The key of a node: Ed25519, whose signatures are all of one length. Those of ECDSA, which production makes, are an octet
/// longer or shorter as entropy has it, and with them the datagrams of a handshake.
pub fn key_of(number: usize) -> NodeKey {
    // PKCS #8 (RFC 8410 section 7) around 32 octets.
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [prefix.as_slice(), &[number as u8 + 1; 32]].concat();
    let text = STANDARD.encode(der);
    NodeKey::from_pem(&format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")).unwrap()
}

pub fn name_of(number: usize) -> String {
    format!("n{number}")
}

impl Machine {
    pub fn new(number: usize, trace: Trace, chance: Chance) -> Arc<Self> {
        Arc::new(Machine {
            number,
            key: Arc::new(key_of(number)),
            trace,
            given: Mutex::default(),
            token: Mutex::default(),
            disk: Mutex::new(SimulatedDisk::new()),
            chance: Mutex::new(chance),
            life: Mutex::default(),
        })
    }

    pub fn branch(&self) -> Chance {
        self.chance.lock().unwrap().branch()
    }

    pub fn advertise(&self) -> String {
        format!("{}:{PORT}", name_of(self.number))
    }

    /// This node as the others know it.
    pub fn member(&self, slot: NodeSlot) -> Member {
        Member { slot, name: name_of(self.number), key: self.key.fingerprint(), advertise: self.advertise() }
    }

    pub fn life(&self) -> Option<Life> {
        self.life.lock().unwrap().clone()
    }

    pub fn set_life(&self, life: Option<Life>) {
        *self.life.lock().unwrap() = life;
    }

    /// Who the disk says that this is.
    pub fn identity(&self) -> Option<NodeIdentity> {
        let storage = Storage::open(Arc::new(self.disk.lock().unwrap().clone())).unwrap();
        NodeIdentity::read(&storage).unwrap()
    }

    /// Opens the store; a new one is told that it is this slot's.
    pub fn open(&self, now: Millis, slot: NodeSlot) -> Life {
        let storage = Storage::open(Arc::new(self.disk.lock().unwrap().clone())).unwrap();
        let identity = NodeIdentity::read(&storage).unwrap().unwrap_or_else(|| {
            let identity = NodeIdentity { cluster: CLUSTER, slot, name: name_of(self.number) };
            identity.write(&storage).unwrap();
            identity
        });
        let mut names = self.branch();
        let entropy = Box::new(move || names.octets());
        let (store, inline) = inline::open(Arc::new(storage), identity, entropy, now).unwrap();
        Life { store, committer: Committer::new(inline), status: Arc::default() }
    }

    /// The power goes: every call to the disk fails from now on.
    pub fn lose_power(&self) {
        self.disk.lock().unwrap().crash();
    }

    /// The power is back, and of what was not synced this is left.
    pub fn restore_power(&self) {
        let seed = self.chance.lock().unwrap().next();
        let mut disk = self.disk.lock().unwrap();
        *disk = disk.survivor(seed);
    }
}
