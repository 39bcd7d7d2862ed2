//! How fast batches become durable here, beside a bare append with `fdatasync` in the same run.
//!
//! `cargo run --release -p peerpost-storage --example commit_speed [DIRECTORY]`
//!
//! Each case is measured in turns with its bare counterpart, which writes the same bytes in one append and syncs once,
//! so that what else the machine does meets both. Figures are medians. Without a directory a temporary one beside
//! the current one is used: a directory in memory would measure nothing.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerpost_storage::{Batch, RealDisk, Storage, Table};

const ROUNDS: u64 = 300;
const VALUE_BYTES: usize = 200;

struct Case {
    name: &'static str,
    values: u64,
    /// Over how many tables the values are spread.
    tables: usize,
    bodies: u64,
    body_bytes: usize,
    /// Keys that ascend, as those of a log do; otherwise they fall all over their table.
    ascending: bool,
}

const CASES: [Case; 9] = [
    Case { name: "1 value", values: 1, tables: 1, bodies: 0, body_bytes: 0, ascending: false },
    Case { name: "16 values", values: 16, tables: 1, bodies: 0, body_bytes: 0, ascending: false },
    Case { name: "128 values", values: 128, tables: 1, bodies: 0, body_bytes: 0, ascending: false },
    Case { name: "128 values in order", values: 128, tables: 1, bodies: 0, body_bytes: 0, ascending: true },
    Case { name: "16 values in 8 tables", values: 16, tables: 8, bodies: 0, body_bytes: 0, ascending: false },
    Case {
        name: "1 body of 4 KiB, 4 values in 4 tables",
        values: 4,
        tables: 4,
        bodies: 1,
        body_bytes: 4 << 10,
        ascending: false,
    },
    Case {
        name: "16 bodies of 4 KiB, 16 values",
        values: 16,
        tables: 1,
        bodies: 16,
        body_bytes: 4 << 10,
        ascending: false,
    },
    Case {
        name: "16 bodies of 64 KiB, 16 values",
        values: 16,
        tables: 1,
        bodies: 16,
        body_bytes: 64 << 10,
        ascending: false,
    },
    Case { name: "1 body of 8 MiB", values: 1, tables: 1, bodies: 1, body_bytes: 8 << 20, ascending: false },
];

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let directory = tempfile::tempdir_in(Path::new(&parent))?;
    println!(
        "{:<40} {:>10} {:>10} {:>7} {:>11} {:>9}",
        "one commit of", "commit ms", "bare ms", "ratio", "commits/s", "MB/s"
    );
    for (number, case) in CASES.iter().enumerate() {
        measure(case, &directory.path().join(number.to_string()))?;
    }
    Ok(())
}

fn measure(case: &Case, directory: &Path) -> Result<(), Box<dyn Error>> {
    let storage = Storage::open(Arc::new(RealDisk::open(directory)?))?;
    let bare = OpenOptions::new()
        .create(true)
        .append(false)
        .write(true)
        .truncate(true)
        .open(directory.join("bare"))?;
    let bytes = case.values as usize * (VALUE_BYTES + 32) + case.bodies as usize * case.body_bytes;
    let rounds = if bytes > 1 << 20 { ROUNDS / 10 } else { ROUNDS };
    let (mut commits, mut appends) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        commits.push(commit(case, &storage, round)?);
        appends.push(append(&bare, round, bytes)?);
    }
    let (commit, append) = (median(&mut commits), median(&mut appends));
    let seconds = commit.as_secs_f64();
    println!(
        "{:<40} {:>10.3} {:>10.3} {:>7.2} {:>11.0} {:>9.1}",
        case.name,
        seconds * 1e3,
        append.as_secs_f64() * 1e3,
        seconds / append.as_secs_f64(),
        1.0 / seconds,
        bytes as f64 / seconds / 1e6,
    );
    storage.close()?;
    Ok(())
}

fn commit(case: &Case, storage: &Storage, round: u64) -> Result<Duration, Box<dyn Error>> {
    let mut pieces = Vec::new();
    for number in 0..case.bodies {
        let mut piece = vec![0; case.body_bytes];
        blake3::Hasher::new()
            .update(&[round, number].map(u64::to_le_bytes).concat())
            .finalize_xof()
            .fill(&mut piece);
        pieces.push(piece);
    }
    let started = Instant::now();
    let mut batch = Batch::new();
    for number in 0..case.values {
        let position = [round, number].map(u64::to_be_bytes).concat();
        let key = if case.ascending { position } else { blake3::hash(&position).as_bytes().to_vec() };
        let table = Table::ALL[number as usize % case.tables];
        batch.put(table, key, vec![7; VALUE_BYTES]);
    }
    for piece in pieces {
        let mut writer = storage.body_writer();
        writer.write(&piece)?;
        batch.add_body(writer.finish()?);
    }
    storage.commit(batch)?;
    Ok(started.elapsed())
}

fn append(file: &File, round: u64, bytes: usize) -> Result<Duration, Box<dyn Error>> {
    let data = vec![7; bytes];
    let started = Instant::now();
    file.write_all_at(&data, round * bytes as u64)?;
    file.sync_data()?;
    Ok(started.elapsed())
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
