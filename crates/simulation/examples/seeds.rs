//! Plays many seeds: `cargo run --release -p peerpost-simulation --example seeds -- 1..1000`. Exits with 1 if one fails.
//! `-- 17..17 trace` writes the whole trace of one; `-- 1..100 nodes 5` gives all of them five nodes.

use std::process::ExitCode;

use peerpost_simulation::{Settings, run, seeds_from};

/// How many failures are told in full.
const MOST_FAILURES: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(seeds) = arguments.first().and_then(|text| seeds_from(text)) else {
        eprintln!("usage: seeds FIRST..LAST [trace] [nodes COUNT]");
        return ExitCode::from(2);
    };
    let whole = arguments.iter().any(|word| word == "trace");
    let nodes = arguments.iter().skip_while(|word| *word != "nodes").nth(1);
    let nodes: Option<usize> =
        nodes.and_then(|count| count.parse().ok()).filter(|count| (2..=16).contains(count));
    let (mut played, mut commands, mut kills, mut failed) = (0u64, 0u64, 0u64, Vec::new());
    for seed in seeds {
        let settings = Settings::of_seed(seed);
        match run(seed, Settings { nodes: nodes.unwrap_or(settings.nodes), ..settings }) {
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
