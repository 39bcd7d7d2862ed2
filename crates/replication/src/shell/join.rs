//! The join exchange over QUIC: the side that admits and the side that asks.

#![allow(clippy::disallowed_methods, reason = "shell: waits")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt::record::Record;
use crdt::vector::Vector;
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, VarInt};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tracing::{info, warn};

use super::endpoint::{client, connect, resolve};
use super::environment::Environment;
use super::link::read_frame;
use super::worker::Worker;
use crate::frame::{ClusterId, FrameError};
use crate::identity::NodeKey;
use crate::join::{Admission, Admitted, JoinFrame, JoinRequest, Token};
use crate::limits::LONGEST_FRAME;
use crate::store::Store;
use crate::tls::JOIN_PROTOCOL;

/// The most nodes that join here at a time.
const MOST_JOINERS: usize = 4;
/// The longest request, in octets.
const LONGEST_REQUEST: usize = 8 * 1024;
/// How long a request may take to come.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// A refusal is answered after this time, one at a time: secrets cannot be tried quickly.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
/// The size of a delta on the way to a joiner, in octets.
const JOIN_BATCH_BYTES: usize = 1024 * 1024;
/// How long a joiner waits for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Admits nodes.
pub(super) struct Host {
    admission: Arc<dyn Admission>,
    store: Arc<dyn Store>,
    worker: Worker,
    joiners: Semaphore,
    refusals: Mutex<()>,
}

impl Host {
    pub(super) fn new(admission: Arc<dyn Admission>, store: Arc<dyn Store>, worker: Worker) -> Self {
        Host { admission, store, worker, joiners: Semaphore::new(MOST_JOINERS), refusals: Mutex::new(()) }
    }

    /// Serves one caller who may have any key.
    pub(super) async fn serve(&self, connection: Connection, fingerprint: [u8; 32]) {
        let remote = connection.remote_address();
        let Ok(_place) = self.joiners.try_acquire() else {
            return connection.close(VarInt::from_u32(2), b"too many nodes are joining; try again later");
        };
        if let Err(why) = self.exchange(&connection, fingerprint).await {
            warn!(%remote, %why, "a node tried to join and did not");
        }
    }

    async fn exchange(&self, connection: &Connection, fingerprint: [u8; 32]) -> Result<(), String> {
        let opening = async {
            let (send, mut receive) = connection.accept_bi().await.map_err(|error| error.to_string())?;
            let request = read(&mut receive, LONGEST_REQUEST).await?;
            Ok::<_, String>((send, receive, request))
        };
        let opened = tokio::time::timeout(REQUEST_LIMIT, opening).await;
        let (mut send, mut receive, request) = opened.map_err(|_| "no request came".to_owned())??;
        let JoinFrame::Request(request) = request else {
            return Err("the first frame was no request".into());
        };
        let admitted = if request.key == fingerprint {
            self.admit(request.clone()).await
        } else {
            Err("the request names another key than the connection".into())
        };
        match admitted {
            Ok(admitted) => {
                info!(name = %request.name, slot = %admitted.slot, "a node joined the cluster");
                write(&mut send, &JoinFrame::Accepted(admitted)).await?;
                self.serve_log(&mut send, &mut receive).await
            }
            Err(reason) => {
                let _turn = self.refusals.lock().await;
                tokio::time::sleep(REFUSAL_DELAY).await;
                write(&mut send, &JoinFrame::Refused { reason: reason.clone() }).await?;
                // The closing packet must not overtake the answer.
                let _ = send.finish();
                let _ = tokio::time::timeout(REQUEST_LIMIT, send.stopped()).await;
                Err(reason)
            }
        }
    }

    /// Sends the log as it is asked for, until the joiner goes.
    async fn serve_log(&self, send: &mut SendStream, receive: &mut RecvStream) -> Result<(), String> {
        while let Some(octets) =
            read_frame(receive, LONGEST_FRAME).await.map_err(|error| error.to_string())?
        {
            let JoinFrame::DeltaRequest { vector } = decode(&octets)? else {
                return Err("a frame that is no request for records".into());
            };
            let store = Arc::clone(&self.store);
            let read = self.ask(move || store.delta_since(&vector, JOIN_BATCH_BYTES));
            write(send, &JoinFrame::Delta { records: read.await? }).await?;
        }
        Ok(())
    }

    async fn admit(&self, request: JoinRequest) -> Result<Admitted, String> {
        let admission = Arc::clone(&self.admission);
        self.ask(move || admission.admit(&request)).await
    }

    /// Does something that may block, where that is done.
    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (answer, answered) = oneshot::channel();
        self.worker.give(move || drop(answer.send(job())));
        answered.await.map_err(|_| "the node is shutting down".to_owned())?
    }
}

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The inviter could not be reached.
    #[error(
        "the inviting node at {address} cannot be reached: {why}; does it serve, and is UDP open on the way?"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// The inviter refused.
    #[error("the inviting node refused: {0}")]
    Refused(String),
    /// The connection broke, or something came that does not belong there.
    #[error("the inviting node broke off: {0}; try the same token again")]
    Broken(String),
    /// What came could not be stored.
    #[error("what the inviting node sent could not be stored: {0}")]
    NotStored(String),
}

/// How far the log has been fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records here.
    pub fetched: u64,
    /// Records there when the node was admitted.
    pub total: u64,
}

/// A node that was admitted and has not fetched everything yet.
pub struct Joining {
    admitted: Admitted,
    endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

/// Asks the inviter to be admitted under this name, reachable at `advertise`.
pub async fn join(
    environment: &dyn Environment,
    token: &Token,
    key: &NodeKey,
    name: &str,
    advertise: &str,
) -> Result<Joining, JoinError> {
    let unreachable = |why| JoinError::Unreachable { address: token.address.clone(), why };
    let address = resolve(environment, &token.address, 0, None).await.map_err(unreachable)?;
    let endpoint = client_endpoint(environment, address).map_err(|why| unreachable(why.to_string()))?;
    let config = client(key, token.key, JOIN_PROTOCOL).map_err(unreachable)?;
    let connected = tokio::time::timeout(REQUEST_LIMIT, connect(&endpoint, config, address)).await;
    let connection = connected.unwrap_or_else(|_| Err("no answer".into())).map_err(unreachable)?;
    let request = JoinRequest {
        secret: token.secret,
        name: name.to_owned(),
        key: key.fingerprint(),
        advertise: advertise.to_owned(),
    };
    let asking = async {
        let (mut send, mut receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
        write(&mut send, &JoinFrame::Request(request)).await?;
        let answer = read(&mut receive, LONGEST_FRAME).await?;
        Ok::<_, String>((send, receive, answer))
    };
    let asked = tokio::time::timeout(ANSWER_LIMIT, asking).await.unwrap_or_else(|_| Err("no answer".into()));
    let closed = |why: String| match connection.close_reason() {
        // The handshake ends on this side before the other has looked at the key.
        Some(quinn::ConnectionError::ConnectionClosed(_)) => JoinError::Refused(
            "no invitation is open there: the token was used, or is too old; ask for a new one".into(),
        ),
        Some(other) => JoinError::Broken(other.to_string()),
        None => JoinError::Broken(why),
    };
    match asked.map_err(closed)? {
        (send, receive, JoinFrame::Accepted(admitted)) => check(token, admitted).map(|admitted| Joining {
            admitted,
            endpoint,
            connection: connection.clone(),
            send,
            receive,
        }),
        (_, _, JoinFrame::Refused { reason }) => Err(JoinError::Refused(reason)),
        _ => Err(JoinError::Broken("an answer that does not belong here".into())),
    }
}

/// The inviter proved its key; that it speaks of what the token says is checked all the same.
fn check(token: &Token, admitted: Admitted) -> Result<Admitted, JoinError> {
    let same: (ClusterId, _) = (admitted.cluster, admitted.slot);
    if same == (token.cluster, token.slot) {
        Ok(admitted)
    } else {
        Err(JoinError::Broken("it admitted this node to another cluster or slot than the token says".into()))
    }
}

impl Joining {
    /// What the node was given.
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Fetches the log until everything is here that the inviter had. `have` is what is here already; `apply` stores
    /// records durably and gives what is here then. Both closures may block for a moment.
    pub async fn fetch(
        mut self,
        have: Vector,
        mut apply: impl FnMut(Vec<Record>) -> Result<Vector, String>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Admitted, JoinError> {
        let mut have = have;
        let total = self.admitted.vector.ahead_of(&Vector::new());
        while !have.covers(&self.admitted.vector) {
            let fetched = total.saturating_sub(self.admitted.vector.ahead_of(&have));
            progress(Progress { fetched, total });
            let records = self.more(&have).await.map_err(JoinError::Broken)?;
            if records.is_empty() {
                return Err(JoinError::Broken("it does not have what it said it has".into()));
            }
            let before = have.clone();
            have.join(&apply(records).map_err(JoinError::NotStored)?);
            if have == before {
                return Err(JoinError::Broken("it sends what is here already".into()));
            }
        }
        progress(Progress { fetched: total, total });
        self.connection.close(VarInt::from_u32(0), b"joined");
        let _ = tokio::time::timeout(REFUSAL_DELAY, self.endpoint.wait_idle()).await;
        Ok(self.admitted)
    }

    async fn more(&mut self, have: &Vector) -> Result<Vec<Record>, String> {
        write(&mut self.send, &JoinFrame::DeltaRequest { vector: have.clone() }).await?;
        let answer = tokio::time::timeout(ANSWER_LIMIT, read(&mut self.receive, LONGEST_FRAME)).await;
        match answer.map_err(|_| "no answer".to_owned())?? {
            JoinFrame::Delta { records } => Ok(records),
            _ => Err("an answer that does not belong here".into()),
        }
    }
}

/// A socket of the same family as the address, on a free port.
fn client_endpoint(environment: &dyn Environment, address: SocketAddr) -> Result<Endpoint, std::io::Error> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    environment.endpoint(EndpointConfig::default(), None, any)
}

async fn read(stream: &mut RecvStream, longest: usize) -> Result<JoinFrame, String> {
    match read_frame(stream, longest).await {
        Ok(Some(octets)) => decode(&octets),
        Ok(None) => Err("the connection ended".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn decode(octets: &[u8]) -> Result<JoinFrame, String> {
    JoinFrame::decode(octets).map_err(|error: FrameError| error.to_string())
}

async fn write(stream: &mut SendStream, frame: &JoinFrame) -> Result<(), String> {
    let octets = frame.encode().map_err(|error| error.to_string())?;
    stream.write_all(&octets).await.map_err(|error| error.to_string())
}
