//! Cyrus (Debian: cyrus-imapd).
//!
//! Debian lets only one of Dovecot and Cyrus be installed. What the packages of Cyrus hold also runs from any directory that they were
//! unpacked in (`dpkg-deb -x`), which `PEERPOST_CYRUS_ROOT` names.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Peer, directory, make, owner, terminate};
use crate::kit::ports::free_address;
use crate::kit::programs::Program;
use crate::transcripts::document::Target;
use crate::transcripts::fixture;
use crate::transcripts::server::{Account, Server};

pub const CYRUS: Program = Program { name: "cyrus-master", package: "cyrus-imapd" };

const ROOT: &str = "PEERPOST_CYRUS_ROOT";

/// Where its packages were unpacked, if they are there.
pub fn find() -> Option<PathBuf> {
    let roots = std::env::var_os(ROOT).map(PathBuf::from).into_iter().chain([PathBuf::from("/")]);
    roots.into_iter().find(|root| programs(root).join("master").is_file())
}

fn programs(root: &Path) -> PathBuf {
    root.join("usr/lib/cyrus/bin")
}

/// A running instance; ends what its master leaves behind, too.
pub struct Cyrus {
    peer: Option<Peer>,
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        let idled = fs::read_to_string(peer.directory.path().join("conf/idled.pid"));
        if let Some(process) = idled.ok().and_then(|text| text.trim().parse::<u32>().ok()) {
            terminate(&process.to_string());
        }
    }
}

/// An instance with any number of accounts, which come into being when they log in.
pub fn start(root: &Path) -> (Cyrus, Server) {
    let (directory, imap, lmtp) = (directory(), free_address(), free_address());
    // Debian has it in a package of its own: cyrus-pop3d.
    let pop3 = programs(root).join("pop3d").is_file().then(free_address);
    let path = directory.path();
    for name in ["conf", "conf/db", "conf/socket", "conf/proc", "conf/lock", "conf/log", "spool"] {
        make(&path.join(name));
    }
    let programs = programs(root);
    fs::write(path.join("imapd.conf"), configuration(path)).unwrap();
    let of = |command: &str| {
        format!("{} -C {}", programs.join(command).display(), path.join("imapd.conf").display())
    };
    let service = |name: &str, program: &str, address: SocketAddr| {
        format!("  {name} cmd=\"{}\" listen=\"{address}\" prefork=1 maxchild=1000 maxfds=1024\n", of(program))
    };
    let services = [
        service("imap", "imapd -U 30", imap),
        pop3.map(|address| service("pop3", "pop3d -U 30", address)).unwrap_or_default(),
        service("lmtp", "lmtpd -a", lmtp),
    ];
    let text = format!(
        "START {{\n  recover cmd=\"{} -r\"\n  idled cmd=\"{}\"\n}}\n\
         SERVICES {{\n{}}}\n\
         EVENTS {{\n  checkpoint cmd=\"{} -c\" period=30\n}}\n",
        of("ctl_cyrusdb"),
        of("idled"),
        services.concat(),
        of("ctl_cyrusdb"),
    );
    fs::write(path.join("cyrus.conf"), text).unwrap();
    let mut command = Command::new(programs.join("master"));
    command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    command.arg("-C").arg(path.join("imapd.conf")).arg("-M").arg(path.join("cyrus.conf"));
    command.arg("-p").arg(path.join("master.pid"));
    command.env("TZ", "UTC");
    let peer = Peer::start(command, directory, imap);
    let count = AtomicU32::new(0);
    let accounts = move || Account {
        name: format!("c{}", count.fetch_add(1, Ordering::Relaxed)),
        password: "pass".to_owned(),
    };
    let (accounts, capabilities) = (Box::new(accounts), Vec::new());
    let mut server = Server {
        target: Target::Cyrus,
        imap,
        pop3,
        lmtp: Some(lmtp),
        accounts,
        quotas: None,
        tokens: None,
        capabilities,
    };
    server.capabilities = fixture::capabilities(&server).unwrap();
    (Cyrus { peer: Some(peer) }, server)
}

/// Every password is right: accounts need not be made beforehand.
fn configuration(path: &Path) -> String {
    let (home, (user, group)) = (path.display(), owner());
    format!(
        "configdirectory: {home}/conf\npartition-default: {home}/spool\ndefaultpartition: default\n\
         proc_path: {home}/conf/proc\nmboxname_lockpath: {home}/conf/lock\nservername: 127.0.0.1\n\
         cyrus_user: {user}\ncyrus_group: {group}\nadmins: cyrus\n\
         unixhierarchysep: yes\naltnamespace: yes\nvirtdomains: off\nallowplaintext: yes\n\
         sasl_mech_list: PLAIN\nsasl_pwcheck_method: alwaystrue\n\
         autocreate_quota: 0\nautocreate_users: anyone\nautocreate_post: yes\nduplicatesuppression: no\n\
         idlesocket: {home}/conf/socket/idle\nlmtpsocket: {home}/conf/socket/lmtp\n\
         notifysocket: {home}/conf/socket/notify\nmaxlogins_per_user: 0\nmaxlogins_per_host: 0\nskip_fsync: yes\n\
         annotation_allow_undefined: yes\n"
    )
}
