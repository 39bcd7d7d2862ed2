//! A node on disk: its data directory, its key, its store.

mod descriptors;
pub mod invitations;
pub mod links;
pub mod listeners;
pub mod serve;
pub mod tls;
pub mod tokens;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailstore::crdt::identity::NodeSlot;
use mailstore::crdt::operation::Member;
use mailstore::identity::NodeIdentity;
use mailstore::shell::Running;
use mailstore::{Mailstore, Storage};
use replication::identity::NodeKey;
use storage::{LockError, RealDisk};

use crate::config::Config;
use crate::failure::Failure;

/// The node's private key, in its data directory.
const KEY_FILE: &str = "node.key";
/// The same before the node has joined.
const JOINING_KEY_FILE: &str = "joining.key";
/// The tables and packs, in the data directory.
const STORE_DIRECTORY: &str = "store";
/// Where a serving node takes commands, in the data directory.
const CONTROL_SOCKET: &str = "control.sock";

/// The files of a node.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The files that the configuration names.
    pub fn of(config: &Config) -> Self {
        Files(config.node.data.clone())
    }

    /// Where a serving node takes commands.
    pub fn control_socket(&self) -> PathBuf {
        self.0.join(CONTROL_SOCKET)
    }

    fn key(&self) -> PathBuf {
        self.0.join(KEY_FILE)
    }

    fn directory(&self) -> &Path {
        &self.0
    }

    /// Opens the store; says what to do where there is none, or another process has it.
    pub fn open_storage(&self) -> Result<Arc<Storage>, Failure> {
        if !self.key().exists() {
            return Err(Failure::new(format!(
                "there is no node in {}; make one with `peerpost init`, or `peerpost cluster join TOKEN`",
                self.0.display()
            )));
        }
        self.storage()
    }

    /// Whether another process has the store.
    pub fn are_in_use(&self) -> bool {
        matches!(RealDisk::open(self.0.join(STORE_DIRECTORY)), Err(LockError::InUse(_)))
    }

    fn storage(&self) -> Result<Arc<Storage>, Failure> {
        let disk = RealDisk::open(self.0.join(STORE_DIRECTORY))?;
        Ok(Arc::new(Storage::open(Arc::new(disk))?))
    }

    /// What this node is.
    pub fn identity(&self, storage: &Storage) -> Result<NodeIdentity, Failure> {
        let identity = NodeIdentity::read(storage)?;
        identity.ok_or_else(|| {
            Failure::new(format!(
                "the store in {} was never finished; remove the directory and start again",
                self.0.display()
            ))
        })
    }

    /// The node's key.
    pub fn read_key(&self) -> Result<NodeKey, Failure> {
        let file = self.key();
        let text = fs::read_to_string(&file)
            .map_err(Failure::of(format!("cannot read the node's key {}", file.display())))?;
        Ok(NodeKey::from_pem(&text)?)
    }

    /// Makes the data directory, a key and an empty store. The key is written last: a directory with a key is a node.
    pub fn create(&self, identity: &NodeIdentity, key: &NodeKey) -> Result<Arc<Storage>, Failure> {
        self.require_fresh()?;
        fs::create_dir_all(self.directory())
            .map_err(Failure::of(format!("cannot make the directory {}", self.0.display())))?;
        let storage = self.storage()?;
        if NodeIdentity::read(&storage)?.is_some() {
            return Err(Failure::new(format!(
                "there is a store in {} already; remove it, or name another directory",
                self.0.display()
            )));
        }
        identity.write(&storage)?;
        write_secret(&self.key(), &key.to_pem())?;
        Ok(storage)
    }

    /// The key of a node that is about to join; the same again where an earlier attempt was broken off.
    pub fn joining_key(&self) -> Result<NodeKey, Failure> {
        let file = self.0.join(JOINING_KEY_FILE);
        fs::create_dir_all(self.directory())
            .map_err(Failure::of(format!("cannot make the directory {}", self.0.display())))?;
        match fs::read_to_string(&file) {
            Ok(text) => Ok(NodeKey::from_pem(&text)?),
            Err(_) => {
                let key = NodeKey::generate()?;
                write_secret(&file, &key.to_pem())?;
                Ok(key)
            }
        }
    }

    /// The store of a node that is about to join; what an earlier attempt fetched is there.
    pub fn joining_storage(&self, identity: &NodeIdentity) -> Result<Arc<Storage>, Failure> {
        let storage = self.storage()?;
        match NodeIdentity::read(&storage)? {
            None => identity.write(&storage)?,
            Some(known) if known.cluster == identity.cluster && known.slot == identity.slot => {}
            Some(_) => {
                let directory = self.0.display();
                return Err(Failure::new(format!(
                    "{directory} holds a node that began to join with another token; remove the directory first"
                )));
            }
        }
        Ok(storage)
    }

    /// The node has joined: from now on the directory holds a node.
    pub fn finish_joining(&self) -> Result<(), Failure> {
        let renamed = fs::rename(self.0.join(JOINING_KEY_FILE), self.key())
            .and_then(|()| fs::File::open(self.directory())?.sync_all());
        renamed.map_err(Failure::of(format!("cannot finish the node's key in {}", self.0.display())))
    }

    /// Refuses a directory in which there is a node already.
    pub fn require_fresh(&self) -> Result<(), Failure> {
        if self.key().exists() {
            let directory = self.0.display();
            return Err(Failure::new(format!(
                "there is a node in {directory} already; `peerpost serve` runs it"
            )));
        }
        Ok(())
    }
}

/// Writes a file that nobody else may read.
fn write_secret(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = || Failure::of::<std::io::Error>(format!("cannot write {}", file.display()));
    let mut options = fs::OpenOptions::new();
    let mut handle = options.write(true).create_new(true).mode(0o600).open(file).map_err(failed())?;
    handle.write_all(text.as_bytes()).and_then(|()| handle.sync_all()).map_err(failed())
}

/// Opens the mail of a node, with its committer running. A new life of the node begins.
pub fn start(storage: Arc<Storage>, identity: NodeIdentity) -> Result<(Mailstore, Running), Failure> {
    Ok(mailstore::shell::start(storage, identity, Box::new(random))?)
}

/// Sixteen octets from the system.
///
/// # Panics
/// If the system gives none: no node may go on with names that could repeat.
pub fn random() -> [u8; 16] {
    let mut octets = [0; 16];
    #[allow(clippy::disallowed_methods, reason = "the binary is where entropy enters")]
    getrandom::fill(&mut octets).expect("the system gives random octets");
    octets
}

/// This node as the others know it.
pub fn member(config: &Config, slot: NodeSlot, key: &NodeKey) -> Member {
    Member {
        slot,
        name: config.node.name.as_str().to_owned(),
        key: key.fingerprint(),
        advertise: config
            .cluster
            .as_ref()
            .map_or_else(String::new, |cluster| cluster.advertise.as_str().to_owned()),
    }
}
