//! The QUIC endpoint: its settings, dialling peers, answering those who dial.

#![allow(clippy::disallowed_methods, reason = "shell: reads the clock to limit log lines")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt::identity::NodeSlot;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TransportConfig,
    VarInt,
};
use rustls_pki_types::CertificateDer;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::driver::Arrival;
use super::join::Host;
use super::link::refuse;
use super::{Environment, Settings, StartError};
use crate::event::Reason;
use crate::identity::{CERTIFICATE_NAME, NodeKey, fingerprint_of, hexadecimal};
use crate::limits::{DELTA_WINDOW_BYTES, DIAL_LIMIT, PING_INTERVAL, SILENCE_LIMIT};
use crate::tls::{JOIN_PROTOCOL, Keys, LINK_PROTOCOL, client_config, server_config};

/// The most handshakes at a time; more callers are turned away at once.
const MOST_HANDSHAKES: usize = 32;
/// A handshake of a caller may take this long.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
/// At most one line about refused callers in this time.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Opens the socket of a node.
pub(super) fn open(settings: &Settings, keys: Keys) -> Result<Endpoint, StartError> {
    let tls = server_config(&settings.key, keys, settings.admission.clone())?;
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(Arc::new(tls))?));
    server.transport_config(Arc::new(transport()));
    server.max_incoming(4 * MOST_HANDSHAKES);
    let address = settings.listen;
    let config =
        EndpointConfig::new(Arc::new(ResetKey(settings.key.derive("peerpost QUIC stateless reset"))));
    let opened = settings.environment.endpoint(config, Some(server), address);
    opened.map_err(|why| StartError::Socket { address, why })
}

/// Keep-alive, idle time and windows of every connection.
pub(super) fn transport() -> TransportConfig {
    let window = VarInt::from_u32(u32::try_from(2 * DELTA_WINDOW_BYTES).unwrap_or(u32::MAX));
    let both = VarInt::from_u32(u32::try_from(4 * DELTA_WINDOW_BYTES).unwrap_or(u32::MAX));
    let silence = u32::try_from(SILENCE_LIMIT).unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(Duration::from_millis(PING_INTERVAL)))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(silence))))
        .max_concurrent_uni_streams(VarInt::from_u32(2))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(window)
        .receive_window(both)
        .send_window(4 * DELTA_WINDOW_BYTES as u64)
        // A lost first packet is sent again after 300 ms, not after a second: else one loss costs a whole attempt to dial.
        .initial_rtt(Duration::from_millis(100))
        .datagram_receive_buffer_size(None);
    transport
}

/// What a dialling node offers to the peer with this key.
pub(super) fn client(key: &NodeKey, expected: [u8; 32], protocol: &[u8]) -> Result<ClientConfig, String> {
    let tls = client_config(key, expected, protocol).map_err(|error| error.to_string())?;
    let quic = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

/// One attempt to reach a peer, given up after [`DIAL_LIMIT`]. Names are resolved anew; `attempt` takes their addresses
/// in turn.
pub(super) async fn dial(
    environment: &dyn Environment,
    endpoint: &Endpoint,
    key: &NodeKey,
    address: &str,
    expected: [u8; 32],
    attempt: usize,
) -> Result<Connection, String> {
    let connecting = async {
        let address = resolve(environment, address, attempt, endpoint.local_addr().ok()).await?;
        connect(endpoint, client(key, expected, LINK_PROTOCOL)?, address).await
    };
    let limit = Duration::from_millis(DIAL_LIMIT);
    tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err("no answer within a second".into()))
}

pub(super) async fn connect(
    endpoint: &Endpoint,
    config: ClientConfig,
    address: SocketAddr,
) -> Result<Connection, String> {
    let connecting = endpoint
        .connect_with(config, address, CERTIFICATE_NAME)
        .map_err(|error| format!("{address}: {error}"))?;
    connecting.await.map_err(|error| format!("{address}: {error}"))
}

/// An address of this name that the local socket can reach.
pub(super) async fn resolve(
    environment: &dyn Environment,
    name: &str,
    attempt: usize,
    local: Option<SocketAddr>,
) -> Result<SocketAddr, String> {
    let found =
        environment.resolve(name).await.map_err(|error| format!("{name} cannot be resolved: {error}"))?;
    let reachable = |address: &SocketAddr| address.is_ipv4() || local.is_none_or(|local| local.is_ipv6());
    let found: Vec<SocketAddr> = found.into_iter().filter(reachable).collect();
    let turn = attempt.checked_rem(found.len()).unwrap_or(0);
    found.get(turn).copied().ok_or_else(|| format!("{name} has no address that this node's socket can reach"))
}

/// Who answers the callers of a node.
pub(super) struct Reception {
    pub(super) endpoint: Endpoint,
    pub(super) keys: Keys,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) host: Option<Arc<Host>>,
}

impl Reception {
    /// Answers until the endpoint is closed.
    pub(super) async fn run(self) {
        let reception = Arc::new(self);
        let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        let log = Arc::new(LogLimit::default());
        while let Some(incoming) = reception.endpoint.accept().await {
            let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
                incoming.refuse();
                continue;
            };
            let (reception, log) = (Arc::clone(&reception), Arc::clone(&log));
            tokio::spawn(async move {
                reception.answer(incoming, &log, permit).await;
            });
        }
    }

    async fn answer(&self, incoming: Incoming, log: &LogLimit, permit: tokio::sync::OwnedSemaphorePermit) {
        let remote = incoming.remote_address();
        let connection = match tokio::time::timeout(HANDSHAKE_LIMIT, incoming).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return log.refused(remote, &error.to_string()),
            Err(_) => return debug!(%remote, "a handshake took too long"),
        };
        drop(permit);
        let Some((fingerprint, protocol)) = introduced(&connection) else {
            return refuse(&connection, &Reason::NotMember);
        };
        match (protocol.as_slice(), self.keys.owner(&fingerprint), &self.host) {
            (LINK_PROTOCOL, Some(slot), _) => {
                let _ = self.arrivals.send(Arrival { slot, connection, dialled: false }).await;
            }
            (JOIN_PROTOCOL, _, Some(host)) => host.serve(connection, fingerprint).await,
            _ => {
                log.refused(
                    remote,
                    &format!("the key {} is not the key of a member", hexadecimal(&fingerprint)),
                );
                refuse(&connection, &Reason::NotMember);
            }
        }
    }
}

/// The fingerprint of the key that the other side proved to have, and the protocol it speaks.
fn introduced(connection: &Connection) -> Option<([u8; 32], Vec<u8>)> {
    let certificates = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let fingerprint = fingerprint_of(certificates.first()?).ok()?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Some((fingerprint, data.protocol?))
}

/// The peer that a fingerprint belongs to, on a connection that this node dialled.
pub(super) fn arrival(connection: Connection, slot: NodeSlot) -> Arrival {
    Arrival { slot, connection, dialled: true }
}

/// Keeps refused callers from filling the log.
#[derive(Default)]
struct LogLimit {
    state: std::sync::Mutex<(Option<Instant>, u64)>,
}

impl LogLimit {
    fn refused(&self, remote: SocketAddr, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (last, suppressed) = *state;
        if last.is_some_and(|last| last.elapsed() < REFUSAL_LOG_INTERVAL) {
            state.1 = suppressed.saturating_add(1);
            return;
        }
        *state = (Some(Instant::now()), 0);
        drop(state);
        warn!(%remote, %why, others_not_logged = suppressed, "a caller was refused");
    }
}

/// Signs stateless resets with a key that outlives the process: after a crash the peers learn at their next packet that
/// the connection is gone, instead of waiting for the idle time-out (RFC 9000 section 10.3).
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        blake3::Hasher::new_keyed(&self.0).update(data).finalize_xof().fill(signature_out);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = blake3::keyed_hash(&self.0, data);
        let signature: [u8; 32] = signature.try_into().map_err(|_| CryptoError)?;
        // blake3::Hash compares in constant time.
        if expected == signature { Ok(()) } else { Err(CryptoError) }
    }
}
