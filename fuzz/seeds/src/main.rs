//! Writes the seeds of all targets where libFuzzer looks for them: `fuzz/corpus`.

use std::path::Path;

use peerpost_fuzz_seeds::{TARGETS, of};

fn main() -> std::io::Result<()> {
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
        std::fs::create_dir_all(&directory)?;
        let seeds = of(target);
        for (place, seed) in seeds.iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{place:03}")), seed)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}
