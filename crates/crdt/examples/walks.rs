//! Random walks of the pure core, as many as are asked for, on all processors:
//! `cargo run --release -p peerpost-crdt --example walks -- 0..1000000`

#![allow(clippy::disallowed_methods, reason = "a measurement: it starts threads and reads the clock")]

#[path = "../tests/walks/mod.rs"]
mod walks;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many failures are told before the rest is left out.
const MOST_FAILURES: usize = 20;
/// How many walks are between two words of progress.
const PROGRESS: u64 = 50_000;

fn main() -> ExitCode {
    let Some(seeds) = std::env::args().nth(1).as_deref().and_then(range) else {
        eprintln!("which seeds? walks FIRST..END");
        return ExitCode::FAILURE;
    };
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let all = Mutex::new(walks::Walked::default());
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match walks::walk(seed) {
                Ok(walked) => all.lock().expect("no holder panics").add(walked),
                Err(story) => {
                    let mut failures = failures.lock().expect("no holder panics");
                    if failures.len() < MOST_FAILURES {
                        println!("{story}\n");
                    }
                    failures.push(seed);
                }
            }
            let done = seed - seeds.start + 1;
            if done % PROGRESS == 0 {
                eprintln!("{done} walks, {:.0} s", start.elapsed().as_secs_f64());
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..processors).for_each(|_| drop(scope.spawn(worker)));
    });
    let failures = failures.into_inner().expect("no holder panics");
    println!(
        "{} walks in {:.1} s: {:?}; {} failed {:?}",
        seeds.end - seeds.start,
        start.elapsed().as_secs_f64(),
        all.into_inner().expect("no holder panics"),
        failures.len(),
        failures.iter().take(MOST_FAILURES).collect::<Vec<_>>(),
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}
