//! Waiting with a limit.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub const LONGEST: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Tries until the attempt succeeds, up to 30 s; prints the time it took. Panics with the last reason.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let from = Instant::now();
    loop {
        match attempt() {
            Ok(value) => {
                println!("{what}: after {:.3} s", from.elapsed().as_secs_f64());
                return value;
            }
            Err(reason) if from.elapsed() >= LONGEST => {
                panic!("{what}: not within {} s: {reason}", LONGEST.as_secs())
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// What a program that has ended leaves behind.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Panics unless the exit status is 0.
    #[track_caller]
    pub fn success(self, what: &str) -> Self {
        assert!(self.status.success(), "{what}: {}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// Runs a program to its end, with `input` as its standard input; ends it and panics when it takes longer than `limit`.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends without reading its input breaks the pipe; its exit status tells what matters.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let from = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if from.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    writer.join().unwrap();
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    match status {
        Some(status) => Outcome { status, stdout, stderr },
        None => panic!("{command:?}: no end after {} s\n{stdout}\n{stderr}", limit.as_secs()),
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
