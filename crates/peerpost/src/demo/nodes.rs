//! The nodes of the demo: processes of this executable, and the commands on them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

use crate::failure::Failure;

/// How long any command may take, and `serve` until it is ready.
const LONGEST_COMMAND: Duration = Duration::from_secs(20);
/// More output of a command is not read, in octets.
const LONGEST_OUTPUT: u64 = 16 << 20;

/// Below the range the kernel gives to outgoing connections, so that none of them takes a port between its choice and its
/// use.
const PORTS: Range<u16> = 20_000..32_000;

/// One node; its process is killed when it is dropped.
pub struct Node {
    /// What the node is called.
    pub name: &'static str,
    /// Where it speaks IMAP.
    pub imap: SocketAddr,
    /// Where it takes mail.
    pub lmtp: SocketAddr,
    /// Where it takes links, behind the relay.
    pub quic: SocketAddr,
    /// Its configuration.
    pub config: PathBuf,
    log: PathBuf,
    serving: Option<Running>,
}

/// A process that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Node {
    /// Two nodes that will live in `directory`, on free ports of loopback.
    pub fn two(names: [&'static str; 2], directory: &Path) -> Result<[Self; 2], Failure> {
        let [a, b, c, d, e, f] = free_addresses()?;
        let node = |name, [imap, lmtp, quic]: [SocketAddr; 3]| Node {
            name,
            imap,
            lmtp,
            quic,
            config: directory.join(format!("{name}.toml")),
            log: directory.join(format!("{name}.log")),
            serving: None,
        };
        let [one, other] = names;
        Ok([node(one, [a, b, c]), node(other, [d, e, f])])
    }

    /// Writes the configuration file.
    pub fn configure(&self, advertise: SocketAddr) -> Result<(), Failure> {
        let Node { name, imap, lmtp, quic, .. } = self;
        let text = format!(
            "[node]\nname = \"{name}\"\ndata = \"{name}\"\n\n\
             [cluster]\nlisten = \"{quic}\"\nadvertise = \"{advertise}\"\n\n\
             [imap]\nlisten = [\"{imap}\"]\n\n[lmtp]\nlisten = [\"{lmtp}\"]\n"
        );
        std::fs::write(&self.config, text)
            .map_err(Failure::of(format!("cannot write {}", self.config.display())))
    }

    /// Runs a command on this node; its standard output.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Result<String, Failure> {
        let what = format!("`peerpost {}` on {}", shortened(arguments), self.name);
        let (mut process, output) = self.spawn(arguments, Stdio::piped(), Stdio::piped())?;
        if let Some(mut standard_input) = process.0.stdin.take() {
            // A command that reads nothing may have ended already.
            let _ = standard_input.write_all(input.as_bytes());
        }
        let mut text = String::new();
        let mut output = BufReader::new(output).take(LONGEST_OUTPUT);
        let read = tokio::time::timeout(LONGEST_COMMAND, output.read_to_string(&mut text)).await;
        read.map_err(|_| Failure::new(format!("{what} took longer than {} s", LONGEST_COMMAND.as_secs())))?
            .map_err(Failure::of(format!("cannot read what {what} prints")))?;
        let status = process.0.wait().map_err(Failure::of(format!("cannot wait for {what}")))?;
        if status.success() {
            return Ok(text);
        }
        let mut words = String::new();
        if let Some(error) = process.0.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut std::io::Read::take(error, 4096), &mut words);
        }
        Err(Failure::new(format!("{what} failed: {}", words.trim())))
    }

    /// Runs a command that answers with JSON.
    pub async fn ask(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let text = self.run(arguments, "").await?;
        serde_json::from_str(&text)
            .map_err(Failure::of(format!("`peerpost {}` did not print JSON", shortened(arguments))))
    }

    /// Starts `serve` and waits until it is ready.
    pub async fn serve(&mut self) -> Result<(), Failure> {
        let cannot = || Failure::of::<std::io::Error>(format!("cannot write {}", self.log.display()));
        let log = std::fs::File::create(&self.log).map_err(cannot())?;
        let (process, output) = self.spawn(&["serve"], Stdio::null(), log.into())?;
        self.serving = Some(process);
        let mut line = String::new();
        let mut output = BufReader::new(output).take(LONGEST_OUTPUT);
        let read = tokio::time::timeout(LONGEST_COMMAND, output.read_line(&mut line)).await;
        match read {
            Ok(Ok(_)) if line == "ready\n" => Ok(()),
            _ => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                Err(Failure::new(format!("node {} did not get ready; its log:\n{log}", self.name)))
            }
        }
    }

    fn spawn(
        &self,
        arguments: &[&str],
        input: Stdio,
        errors: Stdio,
    ) -> Result<(Running, pipe::Receiver), Failure> {
        let cannot = || Failure::of::<std::io::Error>("cannot start another process of this program");
        let executable = std::env::current_exe().map_err(cannot())?;
        let mut command = Command::new(executable);
        command.arg("--config").arg(&self.config).args(arguments);
        command.stdin(input).stdout(Stdio::piped()).stderr(errors);
        let mut process = Running(command.spawn().map_err(cannot())?);
        let output = process.0.stdout.take().ok_or_else(|| Failure::new("a process has no output"))?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(cannot())?;
        Ok((process, output))
    }
}

/// Addresses on loopback that nobody uses by TCP or UDP.
fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT], Failure> {
    // Demos that run at the same time begin at different places.
    let [first, second, ..] = crate::node::random();
    let begin = u16::from_le_bytes([first, second]) % PORTS.len() as u16;
    let ports = (0..PORTS.len() as u16).map(|step| PORTS.start + (begin + step) % PORTS.len() as u16);
    let is_free =
        |address: &SocketAddr| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
    let free = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).filter(is_free).take(COUNT);
    let free: Vec<SocketAddr> = free.collect();
    free.try_into()
        .map_err(|_| Failure::new(format!("no free ports between {} and {}", PORTS.start, PORTS.end)))
}

/// The words of a command as far as they are worth reading: a token is not.
fn shortened(arguments: &[&str]) -> String {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| if word.len() > 40 { "…".to_owned() } else { (*word).to_owned() })
        .collect();
    words.join(" ")
}
