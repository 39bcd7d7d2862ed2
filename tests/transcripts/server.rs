//! A server that cases are played against, whichever it is.

use std::net::SocketAddr;

use super::document::{Protocol, Target};
use super::tokens::Tokens;

/// Somebody who has mail.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    pub password: String,
}

/// Sets the most octets and the most messages of an account.
pub type SetQuota = Box<dyn Fn(&Account, &str, &str) + Send + Sync>;

/// A server that runs.
pub struct Server {
    pub target: Target,
    pub imap: SocketAddr,
    pub pop3: Option<SocketAddr>,
    pub lmtp: Option<SocketAddr>,
    /// Makes an account that nobody has used yet.
    pub accounts: Box<dyn Fn() -> Account + Send + Sync>,
    /// Sets the most octets and the most messages of an account, where that can be done from here.
    pub quotas: Option<SetQuota>,
    /// The issuer that it trusts.
    pub tokens: Option<Tokens>,
    /// What it offers.
    pub capabilities: Vec<String>,
}

impl Server {
    /// An account that nobody has used yet.
    pub fn new_account(&self) -> Account {
        (self.accounts)()
    }

    /// Where it speaks this protocol.
    ///
    /// # Errors
    /// Where it does not.
    pub fn address(&self, protocol: Protocol) -> Result<SocketAddr, String> {
        let address = match protocol {
            Protocol::Imap => Some(self.imap),
            Protocol::Pop3 => self.pop3,
            Protocol::Lmtp => self.lmtp,
        };
        address.ok_or_else(|| format!("{} does not speak {protocol:?} here", self.target.name()))
    }

    /// Whether it offers this capability, in whatever case; `NAME=` whatever its value.
    pub fn offers(&self, capability: &str) -> bool {
        if capability.ends_with('=') {
            return self.capabilities.iter().any(|offered| offered.starts_with(capability));
        }
        self.capabilities.iter().any(|offered| offered.eq_ignore_ascii_case(capability))
    }
}
