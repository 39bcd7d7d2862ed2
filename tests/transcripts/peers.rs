//! Dovecot and Cyrus as Debian packages them, each an instance of its own in a directory of its own.
//!
//! Both can be started by root, who gives up his rights for the user `mail` of every Debian, and by anybody else.

pub mod cyrus;
pub mod dovecot;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take until it greets.
const LONGEST_START: Duration = Duration::from_secs(30);
/// How long a server may take to end.
const LONGEST_END: Duration = Duration::from_secs(10);

/// The user and the group that own the mail, where root starts the server: `mail` of base-passwd.
const MAIL: u32 = 8;

/// A server that runs; it is ended, and its files are gone, when this is dropped.
pub struct Peer {
    process: Child,
    pub directory: TempDir,
    pub imap: SocketAddr,
}

impl Peer {
    /// Runs the command, which stays in the foreground, and waits for a connection.
    pub fn start(mut command: Command, directory: TempDir, imap: SocketAddr) -> Self {
        let log = fs::File::create(directory.path().join("output")).unwrap();
        // The master of Cyrus hands SIGTERM on to its whole process group, which must not be ours.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut peer = Self { process, directory, imap };
        let from = Instant::now();
        while TcpStream::connect(imap).is_err() {
            let ended = peer.process.try_wait().unwrap();
            assert!(
                ended.is_none() && from.elapsed() < LONGEST_START,
                "{command:?} does not serve:\n{}",
                peer.told()
            );
            thread::sleep(Duration::from_millis(20));
        }
        peer
    }

    /// What it logged.
    fn told(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        format!("{}{}", read("output"), read("log"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        terminate(&self.process.id().to_string());
        let from = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            if from.elapsed() > LONGEST_END {
                drop(self.process.kill());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// SIGTERM, which the standard library does not send.
fn terminate(process: &str) {
    drop(Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status());
}

/// A directory that the owner of the mail can reach; in memory where that is possible, for there will be many small files.
fn directory() -> TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Makes a directory that belongs to the owner of the mail.
fn make(path: &Path) {
    fs::create_dir_all(path).unwrap();
    if is_root() {
        chown(path, Some(MAIL), Some(MAIL)).unwrap();
    }
}

fn is_root() -> bool {
    told_by("id", "-u") == "0"
}

/// Who owns the mail, and his group.
fn owner() -> (String, String) {
    if is_root() {
        ("mail".to_owned(), "mail".to_owned())
    } else {
        (told_by("id", "-un"), told_by("id", "-gn"))
    }
}

fn told_by(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
