//! Plays many seeds: `cargo run --release -p peerpost-simulation --example seeds -- 1..1000`. Exits with 1 if one fails.
//! `-- 17..17 trace` writes the whole trace of one.

use std::process::ExitCode;

use peerpost_simulation::{Settings, run, seeds_from};

/// How many failures are told in full.
const MOST_FAILURES: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(seeds) = arguments.first().and_then(|text| seeds_from(text)) else {
        eprintln!("usage: seeds FIRST..LAST [trace]");
        return ExitCode::from(2);
    };
    let whole = arguments.get(1).is_some_and(|word| word == "trace");
    let (mut played, mut commands, mut kills, mut failed) = (0u64, 0u64, 0u64, Vec::new());
    for seed in seeds {
        match run(seed, Settings::of_seed(seed)) {
            Ok(report) => {
                commands += report.commands;
                kills += report.kills;
                if whole {
                    report.trace.lines().iter().for_each(|line| println!("{line}"));
                    println!("{report}");
                }
            }
            Err(failure) => {
                if whole {
                    failure.trace.lines().iter().for_each(|line| println!("{line}"));
                }
                if failed.len() < MOST_FAILURES {
                    println!("{failure}\n");
                }
                failed.push(seed);
            }
        }
        played += 1;
        if played.is_multiple_of(50) {
            println!("{played} seeds, {commands} commands, {kills} kills, {} failed", failed.len());
        }
    }
    println!("{played} seeds, {commands} commands, {kills} kills, failed: {failed:?}");
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
