//! Where passwords may cross the network without TLS.

use std::net::IpAddr;

use serde::Deserialize;

/// Where passwords may cross the network without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaintextPasswords {
    /// Nowhere.
    Never,
    /// Between programs of one machine.
    #[default]
    Loopback,
    /// Everywhere.
    Always,
}

impl PlaintextPasswords {
    /// Whether a client at this address may send one. An IPv4 address that is mapped to IPv6 counts as what it is.
    pub fn allow(self, peer: IpAddr) -> bool {
        match self {
            PlaintextPasswords::Never => false,
            PlaintextPasswords::Loopback => peer.to_canonical().is_loopback(),
            PlaintextPasswords::Always => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_one_however_it_is_written() {
        let allow = |address: &str| PlaintextPasswords::Loopback.allow(address.parse().unwrap());
        assert!(allow("127.0.0.2") && allow("::1") && allow("::ffff:127.0.0.1"));
        assert!(!allow("192.0.2.1") && !allow("2001:db8::1") && !allow("::ffff:192.0.2.1"));
    }
}
