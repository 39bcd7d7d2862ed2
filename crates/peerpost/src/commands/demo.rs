//! `peerpost demo`: what a merge looks like, told step by step.

use tokio::signal::unix::{SignalKind, signal};

use crate::demo::{Words, tell};
use crate::failure::Failure;

/// Tells the story; then goes on for the reader's own mail client, unless it is to `exit`.
pub fn run(exit: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::of("cannot start the runtime"))?;
    let mut words = Words::new();
    let told = runtime.block_on(until_interrupted(&mut words, exit));
    match told {
        // A reader that went away has seen enough.
        Err(_) if words.are_unread() => Ok(()),
        told => told,
    }
}

/// Whatever ends the story, the processes of the demo end with it: their owner is dropped.
async fn until_interrupted(words: &mut Words, exit: bool) -> Result<(), Failure> {
    let failed = || Failure::of::<std::io::Error>("cannot listen for signals");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
    let interrupted = async {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(interrupted);
    let demo = tokio::select! {
        biased;
        () = &mut interrupted => return if exit { Err(Failure::new("interrupted")) } else { Ok(()) },
        demo = tell(words) => demo?,
    };
    if !exit {
        demo.invite_the_reader(words)?;
        interrupted.await;
    }
    demo.end()
}
