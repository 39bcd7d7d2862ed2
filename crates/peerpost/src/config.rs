//! The configuration: one TOML file for each node.
//!
//! A section left out means that the service is off. Relative paths are relative to the file. Every mistake is told
//! with the file and, where it can be known, the line.

mod keys;
mod oauth;
#[cfg(test)]
mod tests;
mod values;

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use mailstore::crdt::placement::surroundings::{self, Policy};
use serde::Deserialize;

pub use auth::plaintext::PlaintextPasswords;

pub use self::oauth::Oauth;
pub use self::values::{Acknowledge, AdvertisedAddress, LmtpAddress, NodeName, OnReorder};

/// Where the configuration is looked for when the command line names no other file.
pub const DEFAULT_FILE: &str = "/etc/peerpost/peerpost.toml";

/// A longer configuration file is refused unread, in bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// The most addresses one service may listen on.
const MOST_LISTENERS: usize = 64;

/// The configuration of one node, read and checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file it was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// `[node]`: who this node is and where it keeps its data.
    pub node: Node,
    /// `[cluster]`: the link to other nodes; left out, the node stands alone.
    pub cluster: Option<Cluster>,
    /// `[imap]`
    pub imap: Option<Listeners>,
    /// `[pop3]`
    pub pop3: Option<Listeners>,
    /// `[lmtp]`
    pub lmtp: Option<Lmtp>,
    /// `[console]`
    pub console: Option<Console>,
    /// `[tls]`: the certificate shown to mail clients.
    pub tls: Option<Tls>,
    /// `[auth]`
    #[serde(default)]
    pub auth: Auth,
    /// `[limits]`
    #[serde(default)]
    pub limits: Limits,
    /// `[uid]`
    #[serde(default)]
    pub uid: Uid,
    /// `[history]`
    #[serde(default)]
    pub history: History,
}

/// `[node]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The name other nodes and the operator know it by.
    pub name: NodeName,
    /// The data directory.
    pub data: PathBuf,
}

/// `[cluster]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The UDP address QUIC listens on.
    pub listen: SocketAddr,
    /// What other nodes dial.
    pub advertise: AdvertisedAddress,
    /// When a write is acknowledged. Default: `local`, the one policy of this version: `status` tells it, and no code has to
    /// choose by it.
    #[serde(default)]
    pub ack: Acknowledge,
}

/// `[imap]` and `[pop3]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// Plain TCP, with STARTTLS (POP3: STLS) where `[tls]` is there.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// TLS from the first byte; needs `[tls]`.
    #[serde(default)]
    pub listen_tls: Vec<SocketAddr>,
}

/// `[lmtp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lmtp {
    /// TCP addresses and `unix:` paths.
    pub listen: Vec<LmtpAddress>,
}

/// `[console]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// The HTTP address.
    pub listen: SocketAddr,
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `[auth]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Where passwords may cross without TLS. Default: `loopback`.
    pub plaintext: PlaintextPasswords,
    /// `[auth.oauth]`: whose tokens are taken. Left out, none are.
    pub oauth: Option<Oauth>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest message taken by APPEND and by LMTP, in bytes; announced with APPENDLIMIT and SIZE. Default: 50 MiB.
    pub append_bytes: u64,
    /// How many messages one command changes at most (STORE, COPY, MOVE, UID EXPUNGE, APPEND); announced with MESSAGELIMIT.
    /// Default: 100,000.
    pub command_messages: u32,
    /// The longest line of a command, in bytes, its literals not counted. Default: 64 KiB.
    pub line_bytes: usize,
    /// The most sessions at the same time, IMAP and POP3 each. Default: 16,384; each needs a file
    /// descriptor.
    pub sessions: usize,
    /// After this many seconds without a command a session is ended. RFC 9051, 5.4 wants 30 minutes at least, which is
    /// the default.
    pub idle_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            append_bytes: 50 << 20,
            command_messages: 100_000,
            line_bytes: 64 << 10,
            sessions: 16_384,
            idle_seconds: 30 * 60,
        }
    }
}

impl Limits {
    const APPEND_BYTES: RangeInclusive<u64> = (64 << 10)..=(1 << 30);
    const COMMAND_MESSAGES: RangeInclusive<u64> = 1_000..=1_000_000;
    const LINE_BYTES: RangeInclusive<u64> = (8 << 10)..=(1 << 20);
    const SESSIONS: RangeInclusive<u64> = 1..=100_000;
    const IDLE_SECONDS: RangeInclusive<u64> = (30 * 60)..=(24 * 60 * 60);
}

/// `[uid]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uid {
    /// What a merge does with messages that clients saw in different orders. Default: `reissue`.
    pub on_reorder: OnReorder,
    /// Where a merge would give more than this share of a mailbox of over 1,000 messages new UIDs, in percent, the mailbox gets a
    /// new UIDVALIDITY instead. 1 to 100; 100 is never. Default: 50.
    pub reissue_limit: u8,
}

impl Default for Uid {
    fn default() -> Self {
        Self { on_reorder: OnReorder::Reissue, reissue_limit: 50 }
    }
}

impl Uid {
    const REISSUE_LIMIT: RangeInclusive<u64> = 1..=100;

    /// The same in the words of the mail store.
    pub fn policy(&self) -> Policy {
        let on_reorder = match self.on_reorder {
            OnReorder::Reissue => surroundings::OnReorder::Reissue,
            OnReorder::Bump => surroundings::OnReorder::Bump,
        };
        Policy { on_reorder, reissue_limit_percent: self.reissue_limit }
    }
}

/// `[history]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// For how many days it is kept what merges did, on whichever node; of each node at most 1,000 merges of an account are
    /// kept. Default: 90.
    pub retention_days: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { retention_days: mailstore::history::RETENTION_DAYS }
    }
}

impl History {
    const RETENTION_DAYS: RangeInclusive<u64> = 1..=3_650;
}

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(
        "cannot read the configuration {}: {source}; name another file with --config FILE",
        file.display()
    )]
    Read {
        /// The file that was tried.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read and says something that cannot be.
    #[error("{}:{line}: {message}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// What is wrong with a text that is not tied to a file yet.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Config {
    /// Reads and checks the file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { file: file.to_owned(), source };
        let length = fs::metadata(file).map_err(read)?.len();
        if length > LONGEST_FILE {
            let message = format!("the file has {length} bytes, more than a configuration can need");
            return Err(ConfigError::Invalid { file: file.to_owned(), line: 1, message });
        }
        let text = fs::read_to_string(file).map_err(read)?;
        let absolute = std::path::absolute(file).map_err(read)?;
        let mut config = Self::parse(&text).map_err(|Mistake { line, message }| ConfigError::Invalid {
            file: file.to_owned(),
            line,
            message,
        })?;
        config.resolve_paths(absolute.parent().unwrap_or(Path::new("/")));
        config.file = absolute;
        Ok(config)
    }

    /// Things that are allowed and that an operator should know of; each names its remedy.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(Console { listen }) = &self.console {
            warnings.push(format!(
                "[console] is set, but this version has no console yet, and nothing answers on {listen}: remove the section"
            ));
        }
        if self.auth.plaintext == PlaintextPasswords::Always {
            warnings.push(
                "[auth] plaintext = \"always\": passwords cross the network in the clear; use \"loopback\" and [tls]"
                    .to_owned(),
            );
        }
        warnings
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let lines = keys::check(text)?;
        let config: Self = toml::from_str(text).map_err(|error| keys::mistake(text, &error))?;
        config.check(&lines)?;
        Ok(config)
    }

    /// What no single value can know.
    fn check(&self, lines: &keys::Lines) -> Result<(), Mistake> {
        let wrong = |key: &str, message: String| Err(Mistake { line: lines.of(key), message });
        if self.node.data.as_os_str().is_empty() {
            return wrong("node.data", "`data` in [node] is empty: name the data directory".to_owned());
        }
        for (section, listeners) in [("imap", &self.imap), ("pop3", &self.pop3)] {
            let Some(listeners) = listeners else { continue };
            let (plain, tls) = (listeners.listen.len(), listeners.listen_tls.len());
            if plain + tls == 0 {
                let message = format!(
                    "[{section}] listens nowhere: give `listen` or `listen_tls` an address, or leave the section out"
                );
                return wrong(section, message);
            }
            if plain + tls > MOST_LISTENERS {
                return wrong(
                    section,
                    format!("[{section}] has more than {MOST_LISTENERS} addresses to listen on"),
                );
            }
            if tls > 0 && self.tls.is_none() {
                let message = format!(
                    "`listen_tls` in [{section}] needs a certificate: add a section [tls] with `certificate` and `key`"
                );
                return wrong(&format!("{section}.listen_tls"), message);
            }
        }
        if let Some(lmtp) = &self.lmtp
            && !(1..=MOST_LISTENERS).contains(&lmtp.listen.len())
        {
            let message = format!(
                "`listen` in [lmtp] has {} addresses; give 1 to {MOST_LISTENERS}, or leave the section out",
                lmtp.listen.len()
            );
            return wrong("lmtp.listen", message);
        }
        if let Some(Err((key, message))) = self.auth.oauth.as_ref().map(Oauth::check) {
            return wrong(&format!("auth.oauth.{key}"), message);
        }
        self.check_limits(lines)
    }

    fn check_limits(&self, lines: &keys::Lines) -> Result<(), Mistake> {
        let Limits { append_bytes, command_messages, line_bytes, sessions, idle_seconds } = self.limits;
        let days = self.history.retention_days;
        for (section, key, value, range) in [
            ("limits", "append_bytes", append_bytes, Limits::APPEND_BYTES),
            ("limits", "command_messages", command_messages.into(), Limits::COMMAND_MESSAGES),
            ("limits", "line_bytes", line_bytes as u64, Limits::LINE_BYTES),
            ("limits", "sessions", sessions as u64, Limits::SESSIONS),
            ("limits", "idle_seconds", idle_seconds, Limits::IDLE_SECONDS),
            ("history", "retention_days", days, History::RETENTION_DAYS),
            ("uid", "reissue_limit", u64::from(self.uid.reissue_limit), Uid::REISSUE_LIMIT),
        ] {
            if !range.contains(&value) {
                let (first, last) = (range.start(), range.end());
                let message = format!("`{key}` in [{section}] is {value}; it can be {first} to {last}");
                return Err(Mistake { line: lines.of(&format!("{section}.{key}")), message });
            }
        }
        Ok(())
    }

    fn resolve_paths(&mut self, directory: &Path) {
        // `join` leaves an absolute path as it is.
        self.node.data = directory.join(&self.node.data);
        if let Some(tls) = &mut self.tls {
            tls.certificate = directory.join(&tls.certificate);
            tls.key = directory.join(&tls.key);
        }
        if let Some(oauth) = &mut self.auth.oauth {
            oauth.resolve_paths(directory);
        }
        for address in self.lmtp.iter_mut().flat_map(|lmtp| &mut lmtp.listen) {
            if let LmtpAddress::Unix(path) = address {
                *path = directory.join(&*path);
            }
        }
    }
}
