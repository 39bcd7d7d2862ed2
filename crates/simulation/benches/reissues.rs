//! What the placement of UIDs costs clients, on whole nodes: the table of costs of `docs/uid-mapping.md`.
//!
//! ```text
//! cargo bench -p peerpost-simulation --bench reissues [-- [--json] [--seeds COUNT]]
//! ```
//!
//! The table goes to standard output; with `--json` figures for programs do, and the table goes to standard error, where
//! progress goes too. `--seeds` sets how many seeds each cell is played with.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and uses all processors")]

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use peerpost_simulation::cost::{Cost, Load, Scenario, measure};
use serde_json::{Value, json};

const LOADS: [(Load, &str, u64); 4] = [
    (Load::Quiet, "quiet (a message every 100 s on each node)", 100),
    (Load::Hot, "hot (20 messages a second on each node)", 20),
    (Load::Appended, "the same, appended by clients where there are any", 20),
    (Load::HourApart, "an hour apart, quiet, both sides deliver", 100),
];
const NODES: [usize; 2] = [2, 3];
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A scenario and everything measured of it.
struct Cell {
    scenario: Scenario,
    label: &'static str,
    seeds: u64,
    costs: Vec<Cost>,
    failures: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds = arguments.iter().skip_while(|word| *word != "--seeds").nth(1);
    let json = arguments.iter().any(|word| word == "--json");
    let mut cells = cells(seeds.and_then(|count| count.parse().ok()));
    play(&mut cells);
    let table = table(&cells);
    if json {
        eprint!("{table}");
        println!("{}", Value::Array(cells.iter().map(figures).collect()));
    } else {
        print!("{table}");
    }
    let failures: Vec<&String> = cells.iter().flat_map(|cell| &cell.failures).collect();
    failures.iter().for_each(|failure| eprintln!("! {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cells(seeds: Option<u64>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (load, label, usual) in LOADS {
        for nodes in NODES {
            for clients_everywhere in [false, true] {
                let scenario = Scenario { load, nodes, clients_everywhere };
                let seeds = seeds.unwrap_or(usual);
                cells.push(Cell { scenario, label, seeds, costs: vec![], failures: vec![] });
            }
        }
    }
    cells
}

/// Plays every seed of every cell, on all processors.
fn play(cells: &mut [Cell]) {
    let tasks = |(at, cell): (usize, &Cell)| (1..=cell.seeds).map(move |seed| (at, seed)).collect::<Vec<_>>();
    let tasks: Vec<(usize, u64)> = cells.iter().enumerate().flat_map(tasks).collect();
    let scenarios: Vec<Scenario> = cells.iter().map(|cell| cell.scenario).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Instant::now(), vec![]));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((at, seed)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = measure(scenarios[*at], *seed);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.1.push((*at, *seed, outcome));
                    if done.0.elapsed() >= PROGRESS_INTERVAL {
                        done.0 = Instant::now();
                        let seconds = started.elapsed().as_secs();
                        eprintln!("{} of {} runs after {seconds} s", done.1.len(), tasks.len());
                    }
                }
            });
        }
    });
    for (at, seed, outcome) in done.into_inner().unwrap_or_else(PoisonError::into_inner).1 {
        match outcome {
            Ok(cost) => cells[at].costs.push(cost),
            Err(violation) => {
                cells[at].failures.push(format!("{:?}, seed {seed}: {violation}", scenarios[at]))
            }
        }
    }
    eprintln!("{} runs in {:.0} s", tasks.len(), started.elapsed().as_secs_f64());
}

impl Cell {
    fn total(&self) -> Cost {
        self.costs.iter().fold(Cost::default(), |total, cost| total.plus(cost))
    }

    /// Mean and maximum over the seeds of reissued messages over forced ones.
    fn times_the_forced(&self) -> (f64, f64) {
        let times = self.costs.iter().map(Cost::times_the_forced);
        let (sum, most) = times.fold((0.0, 0.0f64), |(sum, most), times| (sum + times, most.max(times)));
        (sum / self.costs.len().max(1) as f64, most)
    }
}

fn table(cells: &[Cell]) -> String {
    let mut table = "\
        | load | nodes | clients on | reissues per message and node | UIDs per message | times the forced: mean, maximum | seeds |\n\
        |---|---|---|---|---|---|---|\n"
        .to_owned();
    for cell in cells {
        let (total, (mean, most)) = (cell.total(), cell.times_the_forced());
        let clients = if cell.scenario.clients_everywhere { "every node" } else { "one node" };
        let times = match cell.scenario.load {
            Load::HourApart => format!("{mean:.2}, {most:.2}"),
            Load::Quiet | Load::Hot | Load::Appended => String::new(),
        };
        table += &format!(
            "| {} | {} | {clients} | {:.4} | {:.1} | {times} | {} |\n",
            cell.label,
            cell.scenario.nodes,
            total.reissues_per_message_and_node(),
            total.uids_per_message(),
            cell.costs.len(),
        );
    }
    table
}

fn figures(cell: &Cell) -> Value {
    let total = cell.total();
    let mut figures = json!({
        "load": format!("{:?}", cell.scenario.load),
        "nodes": cell.scenario.nodes,
        "clients_everywhere": cell.scenario.clients_everywhere,
        "seeds": cell.costs.len(),
        "messages": total.messages,
        "reissues": total.reissues,
        "reissues_per_message_and_node": total.reissues_per_message_and_node(),
        "uids_per_message": total.uids_per_message(),
        "bumps": total.bumps,
        "failures": cell.failures,
    });
    if cell.scenario.load == Load::HourApart {
        let (mean, most) = cell.times_the_forced();
        figures["forced"] = json!(total.forced);
        figures["reissued_after_the_cut"] = json!(total.reissued);
        // JSON knows no infinity: null where something was reissued without need.
        figures["times_the_forced_mean"] = json!(mean);
        figures["times_the_forced_maximum"] = json!(most);
    }
    figures
}
