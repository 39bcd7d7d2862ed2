//! Plays many seeds on all processors: `cargo run --release -p peerpost-simulation --example seeds -- 1..1000`. Exits with
//! 1 if one fails. `-- 17..17 trace` writes the whole trace of one; `-- 1..100 nodes 5` gives all of them five nodes;
//! `-- 1..9999 seconds 240 least 200` begins none after 240 seconds, but for the first 200.

#![allow(
    clippy::disallowed_methods,
    reason = "shell: threads, each with seeds of its own, and the time they take"
)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use peerpost_simulation::{Counts, Settings, run, seeds_from};

/// How many failures are told in full.
const MOST_FAILURES: usize = 10;
/// After how many seeds a line tells how far it is.
const PROGRESS: u64 = 100;

struct Arguments {
    whole: bool,
    nodes: Option<usize>,
    /// After how many seconds no more seeds are begun, and how many are played all the same.
    seconds: f64,
    least: u64,
}

/// What came of the seeds that were played.
#[derive(Default)]
struct Tally {
    played: u64,
    counts: Counts,
    failed: Vec<u64>,
    slowest: (f64, u64),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(seeds) = words.first().and_then(|text| seeds_from(text)) else {
        eprintln!("usage: seeds FIRST..LAST [trace] [nodes COUNT] [seconds COUNT] [least COUNT]");
        return ExitCode::from(2);
    };
    let number =
        |name: &str| -> Option<u64> { words.iter().skip_while(|word| *word != name).nth(1)?.parse().ok() };
    let nodes = number("nodes").and_then(|count| usize::try_from(count).ok());
    let arguments = Arguments {
        whole: words.iter().any(|word| word == "trace"),
        nodes: nodes.filter(|count| (2..=16).contains(count)),
        seconds: number("seconds").map_or(f64::INFINITY, |seconds| seconds as f64),
        least: number("least").unwrap_or(0),
    };
    let first = *seeds.start();
    let began = Instant::now();
    let (seeds, tally) = (Mutex::new(seeds), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
                let begins = |seed: u64| {
                    seed - first < arguments.least || began.elapsed().as_secs_f64() < arguments.seconds
                };
                while let Some(seed) = next().filter(|seed| begins(*seed)) {
                    play(seed, &arguments, &tally);
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failed.sort_unstable();
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", tally.counts);
    println!(
        "{} seeds in {seconds:.1} s, the slowest {} in {:.2} s, failed: {:?}",
        tally.played, tally.slowest.1, tally.slowest.0, tally.failed
    );
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(seed: u64, arguments: &Arguments, tally: &Mutex<Tally>) {
    let settings = Settings::of_seed(seed);
    let nodes = arguments.nodes.unwrap_or(settings.nodes);
    let settings = Settings { nodes, joining: settings.joining.min(nodes - 1), ..settings };
    let began = Instant::now();
    let outcome = run(seed, settings);
    let seconds = began.elapsed().as_secs_f64();
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.played += 1;
    if seconds > tally.slowest.0 {
        tally.slowest = (seconds, seed);
    }
    let trace = match &outcome {
        Ok(report) => &report.trace,
        Err(failure) => &failure.trace,
    };
    if arguments.whole {
        trace.lines().iter().for_each(|line| println!("{line}"));
    }
    match &outcome {
        Ok(report) => {
            tally.counts = tally.counts.plus(report.counts);
            if arguments.whole {
                println!("{report}");
            }
        }
        Err(failure) => {
            if tally.failed.len() < MOST_FAILURES {
                println!("{failure}\n");
            }
            tally.failed.push(seed);
        }
    }
    if tally.played.is_multiple_of(PROGRESS) {
        println!("{} seeds, {} failed", tally.played, tally.failed.len());
    }
}
