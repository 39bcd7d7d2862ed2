//! The values of the configuration, each parsed once into a type that carries the proof.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest name of a node, in bytes: that of a DNS label.
const LONGEST_NODE_NAME: usize = 63;
/// The longest host name, in bytes: that of a DNS name.
const LONGEST_HOST: usize = 253;

/// The name of a node: 1 to 63 of `a-z`, `0-9` and `-`, the form of a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeName(String);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=LONGEST_NODE_NAME).contains(&name.len()) && name.bytes().all(letter);
        if !fits || name.starts_with('-') || name.ends_with('-') {
            return Err(format!(
                "`{}` cannot name a node; use 1 to {LONGEST_NODE_NAME} of a-z, 0-9 and -, not at either end",
                name.escape_debug()
            ));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What other nodes dial: a host name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AdvertisedAddress(String);

impl AdvertisedAddress {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AdvertisedAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| {
            let text = text.escape_debug();
            Err(format!(
                "`{text}` cannot be dialled: {why}; write it as mx1.example.com:7471 or 192.0.2.1:7471"
            ))
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            if address.ip().is_unspecified() {
                return wrong("it is the address of no particular machine");
            }
            return if address.port() == 0 { wrong("it has no port") } else { Ok(Self(text)) };
        }
        let Some((host, port)) = text.rsplit_once(':') else { return wrong("it has no port") };
        if !port.parse::<u16>().is_ok_and(|port| port != 0) {
            return wrong("its port is not one of 1 to 65535");
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !(1..=LONGEST_HOST).contains(&host.len()) || !host.bytes().all(letter) {
            return wrong("its host is neither a name nor an address");
        }
        Ok(Self(text))
    }
}

impl fmt::Display for AdvertisedAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where LMTP listens: `127.0.0.1:24` or `unix:/run/peerpost/lmtp.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LmtpAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

impl TryFrom<String> for LmtpAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("`unix:` names no path; write it as unix:/run/peerpost/lmtp.sock".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                let text = text.escape_debug();
                format!("`{text}` is no address; write it as 127.0.0.1:24 or unix:/run/peerpost/lmtp.sock")
            }),
        }
    }
}

impl fmt::Display for LmtpAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum Acknowledge {
    /// When it is durable on this node.
    #[default]
    Local,
}

impl TryFrom<String> for Acknowledge {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "local" => Ok(Self::Local),
            "peer" => Err("`ack = \"peer\"` is not offered by this version; use \"local\"".to_owned()),
            other => Err(format!("`{}` is no way to acknowledge; use \"local\"", other.escape_debug())),
        }
    }
}

/// What a merge does with messages that clients of two nodes saw in different orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum OnReorder {
    /// Those messages alone get new UIDs.
    #[default]
    Reissue,
    /// The mailbox gets a new UIDVALIDITY.
    Bump,
}

impl TryFrom<String> for OnReorder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "reissue" => Ok(Self::Reissue),
            "bump" => Ok(Self::Bump),
            other => Err(format!(
                "`{}` is no answer to a reorder; use \"reissue\" or \"bump\"",
                other.escape_debug()
            )),
        }
    }
}
