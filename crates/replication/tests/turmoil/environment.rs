//! The simulated machine, as the shell sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crdt::clock::Millis;
use peerpost_replication::shell::{Environment, Resolving, Worker};
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

use crate::chance::Chance;
use crate::socket::Socket;

pub struct Simulated(Mutex<Chance>);

impl Simulated {
    pub fn new(chance: Chance) -> Arc<Self> {
        Arc::new(Simulated(Mutex::new(chance)))
    }
}

/// What the wall clock of the node that runs at present shows.
pub fn wall() -> Millis {
    Millis(turmoil::since_epoch().unwrap_or_default().as_millis() as u64)
}

impl Environment for Simulated {
    fn endpoint(
        &self,
        mut config: EndpointConfig,
        server: Option<ServerConfig>,
        address: SocketAddr,
    ) -> io::Result<Endpoint> {
        // quinn pads its greetings at random: by our seed, so that they are as long in the next run.
        config.rng_seed(Some(self.0.lock().unwrap().octets()));
        // Its runtime for tokio takes spawning, timers and the clock from tokio, so from the simulation.
        let socket = Arc::new(Socket::bind(address)?);
        Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
    }

    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let (host, port) = name.split_once(':').ok_or(io::ErrorKind::InvalidInput)?;
            let port = port.parse().map_err(io::Error::other)?;
            Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
        })
    }

    fn wall(&self) -> Millis {
        wall()
    }

    /// A thread would run whenever the real machine lets it.
    fn worker(&self, _: &str) -> io::Result<Worker> {
        Ok(Worker::inline())
    }
}
