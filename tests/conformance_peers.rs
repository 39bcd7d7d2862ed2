//! The cases of tests/conformance against Dovecot and Cyrus, where they are installed. A case that either answers differently
//! says so, with the reason. docs/conformance.md tells more.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;
mod transcripts;

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use kit::programs::{Program, is_required};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use transcripts::document::{self, Case, Target};
use transcripts::peers::{cyrus, dovecot};
use transcripts::server::Server;
use transcripts::texts::Texts;
use transcripts::trial::{against_other, name_for};

const CASES_AT_A_TIME: usize = 8;

/// A server that is started by the first case that needs it.
type Lazy = Arc<OnceLock<Option<Running>>>;

/// A server, and whatever has to be dropped to end it.
struct Running {
    server: Server,
    process: std::sync::Mutex<Option<Box<dyn Any + Send>>>,
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of the time a case waits for the server.
    arguments.test_threads.get_or_insert(CASES_AT_A_TIME);
    let (cases, texts) =
        document::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance"));
    let (cases, texts) = (Arc::new(cases), Arc::new(texts));
    let servers = [(Target::Dovecot, Lazy::default()), (Target::Cyrus, Lazy::default())];
    let mut trials = Vec::new();
    for (target, lazy) in &servers {
        for place in 0..cases.len() {
            trials.push(trial(*target, lazy.clone(), cases.clone(), place, texts.clone()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (_, lazy) in &servers {
        if let Some(Some(running)) = lazy.get() {
            drop(running.process.lock().unwrap().take());
        }
    }
    conclusion.exit();
}

fn trial(target: Target, lazy: Lazy, cases: Arc<Vec<Case>>, place: usize, texts: Arc<Texts>) -> Trial {
    Trial::ignorable_test(name_for(target, &cases[place]), move || match lazy.get_or_init(|| start(target)) {
        Some(running) => against_other(&running.server, &cases[place], &texts),
        None => missing(target),
    })
}

fn start(target: Target) -> Option<Running> {
    let (server, process): (Server, Box<dyn Any + Send>) = match target {
        Target::Dovecot => {
            let (peer, server) = dovecot::start(&dovecot::find()?);
            (server, Box::new(peer))
        }
        Target::Cyrus => {
            let (peer, server) = cyrus::start(&cyrus::find()?);
            (server, Box::new(peer))
        }
        Target::Peerpost => return None,
    };
    Some(Running { server, process: std::sync::Mutex::new(Some(process)) })
}

fn missing(target: Target) -> Result<Completion, Failed> {
    let Program { name, package } = if target == Target::Cyrus { cyrus::CYRUS } else { dovecot::DOVECOT };
    let text = format!("needs {name}: install the Debian package {package} (docs/conformance.md)");
    if is_required() { Err(Failed::from(text)) } else { Ok(Completion::ignored_with(text)) }
}
