//! `peerpost demo`: it tells its story, and leaves nothing behind however it ends.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use kit::wait;
use tempfile::TempDir;

/// What the demo promises to take at most with `--exit`.
const LONGEST: Duration = Duration::from_secs(30);

/// A demo that makes its directory in one of ours.
fn demo(arguments: &[&str]) -> (Command, TempDir) {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerpost"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary.path());
    (command, temporary)
}

#[track_caller]
fn assert_nothing_left(temporary: &TempDir) {
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "the demo left {left:?}");
}

/// A demo whose lines are read as they come; killed when it is dropped.
struct Reader {
    process: Child,
    lines: BufReader<ChildStdout>,
    temporary: TempDir,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It has ended by itself in every test that passes.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Reader {
    fn start() -> Self {
        let (mut command, temporary) = demo(&[]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Reader { process, lines, temporary }
    }

    /// Reads on to a line that holds these words.
    #[track_caller]
    fn read_to(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the demo ended before {words:?}: {}", self.errors());
        }
        line
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn signal(&self, name: &str) {
        let signal = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    }

    #[track_caller]
    fn ends_well(&mut self) {
        let status = wait::eventually("the demo ends", || {
            self.process.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        });
        assert!(status.success(), "{status}: {}", self.errors());
        assert_nothing_left(&self.temporary);
    }
}

#[test]
fn the_story_is_told_and_names_what_was_reissued() {
    let (mut command, temporary) = demo(&["--exit"]);
    let story = wait::run(&mut command, b"", LONGEST).success("peerpost demo --exit").stdout;
    let reissued = story.split("== What was reissued, and why").nth(1).unwrap();
    for subject in ["Photos", "Server report"] {
        let row: Vec<&str> = reissued
            .lines()
            .find(|line| line.trim_start().starts_with(subject))
            .unwrap()
            .split_whitespace()
            .collect();
        let [.., node, before, now] = row.as_slice() else { panic!("{row:?}") };
        let (before, now): (u32, u32) = (before.parse().unwrap(), now.parse().unwrap());
        assert!(*node == "fra" && now > before, "{row:?}");
        assert!(
            reissued.contains(&format!("UID {before} became {now}")),
            "history does not tell it: {story}"
        );
        assert!(
            reissued.contains(&format!("UID {now}, {subject}, is new")),
            "no session heard of it: {story}"
        );
    }
    assert!(reissued.contains("UIDNEXT"), "{reissued}");
    assert_nothing_left(&temporary);
}

#[test]
fn it_stays_for_the_readers_own_client_until_it_is_interrupted() {
    let mut demo = Reader::start();
    demo.read_to("== Now you");
    let line = demo.read_to("fra");
    let address: SocketAddr = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let mut greeting = String::new();
    BufReader::new(TcpStream::connect(address).unwrap()).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("* OK"), "{greeting}");
    demo.signal("INT");
    demo.ends_well();
    assert!(TcpStream::connect(address).is_err(), "fra still runs");
}

#[test]
fn it_can_be_ended_in_the_middle() {
    let mut demo = Reader::start();
    demo.read_to("== The link is cut");
    demo.signal("TERM");
    demo.ends_well();
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let (mut command, temporary) = demo(&[]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let status =
        wait::eventually("the demo ends", || process.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()));
    let mut errors = String::new();
    process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    assert_nothing_left(&temporary);
}
