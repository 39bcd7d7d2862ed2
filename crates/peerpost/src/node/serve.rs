//! `peerpost serve`: one node in the foreground.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use mailstore::crdt::identity::NodeSlot;
use mailstore::shell::Running;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Files;
use super::descriptors;
use super::listeners::MailListeners;
use crate::config::Config;
use crate::control::answer::Context;
use crate::control::server;
use crate::failure::Failure;
use crate::output;

pub use super::links::Links;

/// How often the node looks whether its committer still runs.
const LOOK_AFTER_COMMITTER: Duration = Duration::from_millis(250);
/// How long sessions have to end when the node goes down.
const GRACE: Duration = Duration::from_secs(35);

/// Runs the node until it is told to end, or cannot go on.
pub fn run(config: Config) -> Result<(), Failure> {
    init_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("cannot start the runtime"))?;
    let config = Arc::new(config);
    while runtime.block_on(serve(Arc::clone(&config)))? == End::InAnotherSlot {
        tracing::warn!("another member gave this node another slot: it starts again in it");
        runtime.block_on(wait_for_store(&Files::of(&config)));
    }
    Ok(())
}

/// Threads of the ended node may read for a moment yet. A store that stays in use is told of when it is opened.
async fn wait_for_store(files: &Files) {
    let mut look = tokio::time::interval(LOOK_AFTER_COMMITTER);
    let free = async {
        while files.are_in_use() {
            look.tick().await;
        }
    };
    let _ = tokio::time::timeout(GRACE, free).await;
}

/// How a node came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was told to end.
    Told,
    /// Its committer ended.
    Failed,
    /// It has to go on in another slot (rule 8 of `docs/uid-mapping.md`).
    InAnotherSlot,
}

/// Structured logs on standard error; `RUST_LOG` chooses what is told.
fn init_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A log that was set up already stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

async fn serve(config: Arc<Config>) -> Result<End, Failure> {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    descriptors::allow(config.limits.sessions);
    let signals = Signals::listen()?;
    let files = Files::of(&config);
    let storage = files.open_storage()?;
    let identity = files.identity(&storage)?;
    let key = files.read_key()?;
    let mail = MailListeners::bind(&config).await?;
    let control = server::bind(&files.control_socket())?;
    let (store, running) = super::start(Arc::clone(&storage), identity.clone())?;
    store.retain_history(config.history.retention_days);
    store.set_policy(config.uid.policy());
    let moved = store.moved();
    let (down, shutdown) = watch::channel(false);
    let mut tasks = JoinSet::new();
    store.admit(super::member(&config, identity.slot, &key)).await?;
    let fingerprint = key.fingerprint();
    let links = match &config.cluster {
        Some(cluster) => Some(Links::start(cluster, &identity, key, &store)?),
        None => None,
    };
    mail.serve(&store, &config, &shutdown, &mut tasks);
    let context = Context {
        config: Arc::clone(&config),
        identity,
        key: fingerprint,
        storage,
        store: Some(store),
        links: links.clone(),
    };
    tasks.spawn(server::serve(control, Arc::new(context), shutdown));
    output::line("ready")?;
    let end = signals.wait_for_the_end(&running, moved).await;
    tracing::info!("going down");
    let _ = down.send(true);
    let ended = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("some sessions did not end in time and are cut off");
    }
    tasks.shutdown().await;
    if let Some(links) = links {
        links.shutdown().await;
    }
    let _ = std::fs::remove_file(files.control_socket());
    let stopped = tokio::task::block_in_place(|| running.stop());
    match (end, stopped) {
        (End::Failed, reason) => Err(Failure::new(format!(
            "the store stopped and the node cannot go on: {}; check the disk, then start the node again",
            reason.unwrap_or_else(|| "the committer ended".into())
        ))),
        (end, _) => Ok(end),
    }
}

/// The signals that end a node cleanly.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from the system, which would end the process at once. Done before everything else: whoever reads
    /// `ready` may ask the node to end in the same moment, and one that comes before is heeded then.
    fn listen() -> Result<Self, Failure> {
        let failed = || Failure::of::<std::io::Error>("cannot listen for signals");
        let terminate = signal(SignalKind::terminate()).map_err(failed())?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
        Ok(Signals { terminate, interrupt })
    }

    /// Waits for one of them, for the end of the committer, or for another slot.
    async fn wait_for_the_end(
        mut self,
        running: &Running,
        mut moved: watch::Receiver<Option<NodeSlot>>,
    ) -> End {
        let mut look = tokio::time::interval(LOOK_AFTER_COMMITTER);
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return End::Told,
                _ = self.interrupt.recv() => return End::Told,
                Ok(_) = moved.wait_for(Option::is_some) => return End::InAnotherSlot,
                _ = look.tick() => {
                    if running.has_ended() {
                        return End::Failed;
                    }
                }
            }
        }
    }
}
