//! What the shell takes from the machine that it runs on: a network, a wall clock, and somewhere to do what blocks. Waiting is
//! tokio's, which a test may pause and step.

#![allow(clippy::disallowed_methods, reason = "shell: reads the clock")]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crdt::clock::Millis;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

use super::worker::Worker;

/// The addresses of a name, once they are known.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The machine around a node: [`Machine`], or a simulated one.
pub trait Environment: Send + Sync + 'static {
    /// Opens a UDP socket, and QUIC on it; port 0 takes a free one.
    fn endpoint(
        &self,
        config: EndpointConfig,
        server: Option<ServerConfig>,
        address: SocketAddr,
    ) -> io::Result<Endpoint>;

    /// The addresses of `name`, a host and a port.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;

    /// Milliseconds since 1970.
    fn wall(&self) -> Millis;

    /// Something that does jobs which may block on the disk, in the order in which they are given.
    fn worker(&self, name: &str) -> io::Result<Worker>;
}

/// The machine that the process runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Environment for Machine {
    fn endpoint(
        &self,
        config: EndpointConfig,
        server: Option<ServerConfig>,
        address: SocketAddr,
    ) -> io::Result<Endpoint> {
        Endpoint::new(config, server, UdpSocket::bind(address)?, Arc::new(TokioRuntime))
    }

    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) })
    }

    fn wall(&self) -> Millis {
        super::milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn worker(&self, name: &str) -> io::Result<Worker> {
        Worker::thread(name)
    }
}
