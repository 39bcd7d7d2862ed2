//! One connection: a task for each stream, and one that waits for the end.

#![allow(clippy::disallowed_methods, reason = "shell")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;

use crate::event::{Departure, Event, LinkId, Reason};
use crate::frame::{Channel, Frame, FrameError, LENGTH_PREFIX, announced_length};
use crate::limits::{DELTA_WINDOW_BYTES, LONGEST_FRAME};

/// The most octets that wait to be taken by QUIC: everything that a peer may make us send at once, and a longest frame.
const MOST_QUEUED_BYTES: usize = 16 * DELTA_WINDOW_BYTES + LONGEST_FRAME;
/// How much of a frame is read at a time, so that memory follows what has come and not what was announced.
const READ_STEP: usize = 64 * 1024;

/// The driver's end of a connection.
pub(super) struct LinkHandle {
    connection: Connection,
    control: mpsc::UnboundedSender<Vec<u8>>,
    bodies: mpsc::UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
}

/// Why a frame could not be queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the peer does not take what is sent to it")]
    TooSlow,
    #[error("the connection is closed")]
    Closed,
    #[error("a frame cannot be sent: {0}")]
    Frame(#[from] FrameError),
}

impl LinkHandle {
    /// Starts the tasks of a connection; they tell `events` what comes and end with the connection.
    pub(super) fn start(link: LinkId, connection: Connection, events: mpsc::Sender<Event>) -> Self {
        let queued = Arc::new(AtomicUsize::new(0));
        let (control, control_queue) = mpsc::unbounded_channel();
        let (bodies, bodies_queue) = mpsc::unbounded_channel();
        tokio::spawn(write(connection.clone(), 1, control_queue, Arc::clone(&queued)));
        tokio::spawn(write(connection.clone(), 0, bodies_queue, Arc::clone(&queued)));
        tokio::spawn(accept(link, connection.clone(), events.clone()));
        tokio::spawn(watch(link, connection.clone(), events));
        LinkHandle { connection, control, bodies, queued }
    }

    /// Queues a frame for its stream.
    pub(super) fn send(&self, frame: &Frame) -> Result<(), SendError> {
        let octets = frame.encode()?;
        if self.queued.fetch_add(octets.len(), Ordering::Relaxed) > MOST_QUEUED_BYTES {
            return Err(SendError::TooSlow);
        }
        let queue = match frame.channel() {
            Channel::Control => &self.control,
            Channel::Bodies => &self.bodies,
        };
        queue.send(octets).map_err(|_| SendError::Closed)
    }

    /// Closes the connection; the reason travels in the closing packet.
    pub(super) fn close(&self, reason: &Reason) {
        self.connection.close(VarInt::from_u32(1), &reason.encode());
    }
}

/// Closes a connection that never became a link.
pub(super) fn refuse(connection: &Connection, reason: &Reason) {
    connection.close(VarInt::from_u32(1), &reason.encode());
}

/// Writes what is queued to a stream of its own, opened with the first frame.
async fn write(
    connection: Connection,
    priority: i32,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
) {
    let mut stream: Option<SendStream> = None;
    while let Some(octets) = queue.recv().await {
        if stream.is_none() {
            let Ok(opened) = connection.open_uni().await else { return };
            // It fails on closed streams alone, and then so does the write.
            let _ = opened.set_priority(priority);
            stream = Some(opened);
        }
        if let Some(stream) = stream.as_mut()
            && stream.write_all(&octets).await.is_err()
        {
            return;
        }
        queued.fetch_sub(octets.len(), Ordering::Relaxed);
    }
}

/// Reads every stream that the peer opens; the transport allows two.
async fn accept(link: LinkId, connection: Connection, events: mpsc::Sender<Event>) {
    while let Ok(stream) = connection.accept_uni().await {
        tokio::spawn(read(link, stream, events.clone()));
    }
}

async fn read(link: LinkId, mut stream: RecvStream, events: mpsc::Sender<Event>) {
    loop {
        let octets = match read_frame(&mut stream, LONGEST_FRAME).await {
            Ok(Some(octets)) => octets,
            // The connection ended, or will: `watch` tells.
            Ok(None) => return,
            Err(why) => {
                let _ = events.send(Event::BadFrame { link, why: why.to_string() }).await;
                return;
            }
        };
        let event = match Frame::decode(&octets) {
            Ok(frame) => Event::Frame { link, frame },
            Err(why) => Event::BadFrame { link, why: why.to_string() },
        };
        let bad = matches!(event, Event::BadFrame { .. });
        // A full queue holds the stream back, and QUIC the peer.
        if events.send(event).await.is_err() || bad {
            return;
        }
    }
}

/// Reads one frame without its length; `None` at the end of the stream.
pub(super) async fn read_frame(
    stream: &mut RecvStream,
    longest: usize,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; LENGTH_PREFIX];
    if stream.read_exact(&mut prefix).await.is_err() {
        return Ok(None);
    }
    let length = announced_length(prefix, longest)?;
    let mut octets = Vec::with_capacity(length.min(READ_STEP));
    while octets.len() < length {
        match stream.read_chunk((length - octets.len()).min(READ_STEP), true).await {
            Ok(Some(chunk)) => octets.extend_from_slice(&chunk.bytes),
            Ok(None) | Err(_) => return Ok(None),
        }
    }
    Ok(Some(octets))
}

/// Waits for the end of the connection and tells how it ended.
async fn watch(link: LinkId, connection: Connection, events: mpsc::Sender<Event>) {
    let departure = match connection.closed().await {
        ConnectionError::LocallyClosed => return,
        ConnectionError::ApplicationClosed(close) => match Reason::decode(&close.reason) {
            Some(reason) => Departure::Goodbye(reason),
            None => Departure::Lost("the peer closed the connection".into()),
        },
        other => Departure::Lost(other.to_string()),
    };
    let _ = events.send(Event::Disconnected { link, departure }).await;
}
