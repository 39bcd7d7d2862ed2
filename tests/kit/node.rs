//! One node: its files, its process, its commands.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ports::free_address;
use super::wait::{self, Outcome};

/// How long `serve` may take until it is ready.
const LONGEST_START: Duration = Duration::from_secs(30);
/// How long a clean end may take.
const LONGEST_END: Duration = Duration::from_secs(20);
/// How long any other command may take.
const LONGEST_COMMAND: Duration = Duration::from_secs(60);

/// A node; its process is ended when it is dropped.
pub struct Node {
    pub name: String,
    pub config: PathBuf,
    pub imap: SocketAddr,
    pub imap_tls: Option<SocketAddr>,
    pub pop3: SocketAddr,
    pub pop3_tls: Option<SocketAddr>,
    pub lmtp: SocketAddr,
    pub quic: SocketAddr,
    directory: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Chooses the ports of a node that will live in `directory`; `configure` writes its file.
    pub fn new(name: &str, directory: &Path, tls: bool) -> Self {
        Self {
            name: name.to_owned(),
            config: directory.join(format!("{name}.toml")),
            imap: free_address(),
            imap_tls: tls.then(free_address),
            pop3: free_address(),
            pop3_tls: tls.then(free_address),
            lmtp: free_address(),
            quic: free_address(),
            directory: directory.to_owned(),
            log: directory.join(format!("{name}.log")),
            process: None,
        }
    }

    /// A node whose configuration stands already, without POP3.
    pub fn from_files(
        name: &str,
        config: PathBuf,
        imap: SocketAddr,
        lmtp: SocketAddr,
        quic: SocketAddr,
    ) -> Self {
        let directory = config.parent().unwrap().to_owned();
        let log = directory.join(format!("{name}.log"));
        Self {
            name: name.to_owned(),
            config,
            imap,
            imap_tls: None,
            pop3: free_address(),
            pop3_tls: None,
            lmtp,
            quic,
            directory,
            log,
            process: None,
        }
    }

    /// Writes the configuration file; `more` is added at its end.
    pub fn configure(&self, advertise: SocketAddr, more: &str) {
        let Self { name, imap, pop3, lmtp, quic, .. } = self;
        let listen_tls = |address: Option<SocketAddr>| match address {
            Some(address) => format!("listen_tls = [\"{address}\"]\n"),
            None => String::new(),
        };
        let (imap_tls, pop3_tls) = (listen_tls(self.imap_tls), listen_tls(self.pop3_tls));
        let tls = match self.imap_tls {
            Some(_) => "[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n",
            None => "",
        };
        let text = format!(
            "[node]\nname = \"{name}\"\ndata = \"{name}\"\n\n\
             [cluster]\nlisten = \"{quic}\"\nadvertise = \"{advertise}\"\n\n\
             [lmtp]\nlisten = [\"{lmtp}\", \"unix:{name}.sock\"]\n\n\
             [imap]\nlisten = [\"{imap}\"]\n{imap_tls}\n\
             [pop3]\nlisten = [\"{pop3}\"]\n{pop3_tls}\n{tls}\n{more}"
        );
        fs::write(&self.config, text).unwrap();
    }

    /// The data directory that `configure` names.
    pub fn data(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Runs a command of the binary on this node.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = binary();
        command.arg("--config").arg(&self.config).args(arguments);
        wait::run(&mut command, input.as_bytes(), LONGEST_COMMAND)
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        self.run(arguments, "").success(&format!("{} on {}", arguments.join(" "), self.name)).stdout
    }

    /// What `status --json` tells.
    #[track_caller]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.succeeds(&["status", "--json"])).unwrap()
    }

    /// Waits until every member has confirmed the node's start.
    #[track_caller]
    pub fn await_confirmation(&self) {
        wait::eventually(&format!("the start of {} is confirmed", self.name), || {
            let status = self.status();
            match status["node"]["confirmation"].as_str() {
                Some("confirmed") => Ok(()),
                other => Err(format!("it is {other:?}")),
            }
        });
    }

    /// How it stands with the peer of this name.
    #[track_caller]
    pub fn peer(&self, name: &str) -> Value {
        let status = self.status();
        let peers = status["replication"]["peers"].as_array().unwrap();
        let peer = peers.iter().find(|peer| peer["name"] == name);
        peer.unwrap_or_else(|| panic!("{} knows no peer {name}: {status}", self.name)).clone()
    }

    /// Adds an account.
    #[track_caller]
    pub fn add_user(&self, name: &str, password: &str) {
        self.run(&["user", "add", name, "--password-stdin"], &format!("{password}\n")).success("user add");
    }

    /// `serve` as a process of the caller's own; it logs where the node logs.
    pub fn serve(&self, stdout: impl Into<Stdio>) -> Child {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = binary();
        command.arg("--config").arg(&self.config).arg("serve");
        command.stdin(Stdio::null()).stdout(stdout).stderr(log).spawn().unwrap()
    }

    /// Starts `serve` and waits for `ready`.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let mut process = self.serve(Stdio::piped());
        let (told, ready) = mpsc::channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // Goes on to read after `ready`, so that the node never waits for us.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody listens any more where `ready` came too late; that has been told.
                if line == "ready" && told.send(()).is_err() {
                    return;
                }
            }
        });
        self.process = Some(process);
        let from = Instant::now();
        if ready.recv_timeout(LONGEST_START).is_err() {
            panic!(
                "{} was not ready after {:.1} s; its log:\n{}",
                self.name,
                from.elapsed().as_secs_f64(),
                self.log_text()
            );
        }
    }

    /// SIGTERM; the process must end with status 0.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        // The standard library sends no signal but SIGKILL; every shell can.
        let signal = format!("kill -TERM {}", process.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
        let from = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                assert!(status.success(), "{} ended with {status}; its log:\n{}", self.name, self.log_text());
                return;
            }
            if from.elapsed() > LONGEST_END {
                process.kill().unwrap();
                panic!("{} did not end on SIGTERM; its log:\n{}", self.name, self.log_text());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The process number, for whoever kills it from another thread.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Panics if the process has ended by itself or has told of a panic.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        let name = &self.name;
        let ended = self.process.as_mut().map(|process| process.try_wait().unwrap());
        assert!(matches!(ended, Some(None)), "{name} does not run any more: {ended:?}");
        assert!(!self.log_text().contains("panicked at"), "{name} panicked");
    }

    /// What the node logged so far, over all its lives.
    pub fn log_text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("---- log of node {}\n{}", self.name, self.log_text());
        }
    }
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_peerpost"))
}
