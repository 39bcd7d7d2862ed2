//! Counts connections, in total and for each address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Lets connections in up to its limits.
#[derive(Debug)]
pub(super) struct Gate {
    total: usize,
    per_address: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    count: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A place inside; free again once dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Gate { total, per_address, inside: Mutex::default() }
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn enter(gate: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let address = network(address);
        // The counts are whole after every statement: a panic elsewhere does not spoil them.
        let mut inside = gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = inside.by_address.get(&address).copied().unwrap_or(0);
        if inside.count >= gate.total || from_there >= gate.per_address {
            return None;
        }
        inside.count += 1;
        inside.by_address.insert(address, from_there + 1);
        Some(Pass { gate: Arc::clone(gate), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.count = inside.count.saturating_sub(1);
        if let Some(count) = inside.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

/// What is counted as one address: with IPv6 a /64, for one host has that many.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let gate = Arc::new(Gate::new(3, 2));
        let enter = |address: &str| Gate::enter(&gate, address.parse().unwrap());
        let (first, second) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(
            first.is_some() && second.is_some() && enter("2001:db8::3").is_none(),
            "one /64 is one address"
        );
        let third = enter("192.0.2.1");
        assert!(third.is_some() && enter("192.0.2.2").is_none(), "the total is reached");
        drop(first);
        assert!(enter("::ffff:192.0.2.1").is_some());
        drop((second, third));
        assert!(gate.inside.lock().unwrap().by_address.is_empty());
    }
}
