//! The side of a command: it asks the serving node, or opens the store itself where nobody serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use mailstore::Storage;
use serde_json::Value;

use super::answer::{Context, answer};
use super::{LONGEST_LINE, Line, Question};
use crate::config::Config;
use crate::failure::Failure;
use crate::node::{self, Files};
use crate::output;

/// How often a node that has its store, but takes no commands, is tried: it starts, or ends.
const TRIES: u32 = 50;
/// How long to wait between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Has a question answered.
pub fn ask(config: &Config, question: Question) -> Result<Value, Failure> {
    let files = Files::of(config);
    let mut tries = 0;
    loop {
        if let Ok(stream) = UnixStream::connect(files.control_socket()) {
            return ask_serving(stream, &question);
        }
        match files.open_storage() {
            Ok(storage) => return answer_here(config, &files, storage, question),
            Err(_) if tries < TRIES && files.are_in_use() => {
                tries += 1;
                #[allow(clippy::disallowed_methods, reason = "a command of the binary waits for the node")]
                std::thread::sleep(BETWEEN_TRIES);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn ask_serving(mut stream: UnixStream, question: &Question) -> Result<Value, Failure> {
    let lost = || Failure::of::<std::io::Error>("the node went away before it answered; see its log");
    let mut text = serde_json::to_string(question).map_err(Failure::of("cannot ask the node"))?;
    text.push('\n');
    stream.write_all(text.as_bytes()).map_err(lost())?;
    let mut reading = BufReader::new(stream).take(LONGEST_LINE as u64);
    loop {
        let mut text = String::new();
        if reading.read_line(&mut text).map_err(lost())? == 0 {
            return Err(Failure::new("the node ended the conversation without an answer; see its log"));
        }
        match serde_json::from_str(&text).map_err(Failure::of("the node's answer cannot be read"))? {
            Line::Progress(step) => show_progress(&step),
            Line::Done(value) => return Ok(value),
            Line::Failed(words) => return Err(Failure::new(words)),
        }
    }
}

fn answer_here(
    config: &Config,
    files: &Files,
    storage: Arc<Storage>,
    question: Question,
) -> Result<Value, Failure> {
    let identity = files.identity(&storage)?;
    let key = files.read_key()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Failure::of("cannot start the runtime"))?;
    let (store, running) = match question.only_reads() {
        true => (None, None),
        false => {
            let (store, running) = node::start(Arc::clone(&storage), identity.clone())?;
            (Some(store), Some(running))
        }
    };
    let context = Context {
        config: Arc::new(config.clone()),
        identity,
        key: key.fingerprint(),
        storage,
        store,
        links: None,
    };
    let answer = runtime.block_on(answer(&context, question, |step| show_progress(&step)));
    if let Some(running) = running {
        running.stop();
    }
    answer
}

fn show_progress(step: &str) {
    output::tell(format_args!("{step}\n"));
}
