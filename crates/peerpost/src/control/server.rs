//! The side of the serving node.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::answer::{Context, answer};
use super::{Line, Question};
use crate::failure::Failure;

/// The longest question, in octets.
const LONGEST_QUESTION: u64 = 64 * 1024;
/// The most questions at one time.
const MOST_AT_ONCE: usize = 16;
/// How long a question may take to come in.
const QUESTION_WITHIN: Duration = Duration::from_secs(10);

/// Listens; a socket that a node left behind when it was killed is replaced. The store's lock says that no other node runs.
pub fn bind(socket: &Path) -> Result<UnixListener, Failure> {
    let failed =
        || Failure::of::<std::io::Error>(format!("cannot listen for commands on {}", socket.display()));
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed())?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(failed())?;
    Ok(listener)
}

/// Answers commands until `shutdown` turns true.
pub async fn serve(listener: UnixListener, context: Arc<Context>, mut shutdown: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|down| *down) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let context = Arc::clone(&context);
        connections.spawn(async move {
            if let Err(error) = converse(stream, &context).await {
                tracing::debug!(%error, "a command ended early");
            }
            drop(place);
        });
    }
}

async fn converse(stream: UnixStream, context: &Context) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut text = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST_QUESTION));
    let read = tokio::time::timeout(QUESTION_WITHIN, reading.read_line(&mut text)).await;
    read.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let question: Question = match serde_json::from_str(&text) {
        Ok(question) => question,
        Err(error) => {
            let words = format!(
                "the node did not understand the command ({error}); use the same version of peerpost for both"
            );
            return write(&mut writing, &Line::Failed(words)).await;
        }
    };
    let (progress, mut steps) = mpsc::channel::<String>(16);
    let report = move |step: String| {
        // A reader that is slow misses steps, not the answer.
        let _ = progress.try_send(step);
    };
    let answering = answer(context, question, report);
    tokio::pin!(answering);
    loop {
        tokio::select! {
            biased;
            Some(step) = steps.recv() => write(&mut writing, &Line::Progress(step)).await?,
            answer = &mut answering => {
                let line = answer.map_or_else(|failure| Line::Failed(failure.to_string()), Line::Done);
                return write(&mut writing, &line).await;
            }
        }
    }
}

async fn write(writing: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await
}
