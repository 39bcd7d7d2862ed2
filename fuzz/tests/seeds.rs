//! Every seed keeps the properties of its target.

use peerpost_fuzz::TARGETS;

#[test]
fn every_seed_keeps_the_properties() {
    for (name, run) in TARGETS {
        let seeds = peerpost_fuzz_seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            // Shown where it fails.
            println!("{name}: {}", seed.escape_ascii());
            run(&seed);
        }
    }
}

/// A client of POP3 rarely deletes indeed there.
#[test]
fn every_seed_of_pop3_may_delete() {
    for seed in peerpost_fuzz_seeds::of("pop3") {
        println!("{}", seed.escape_ascii());
        peerpost_fuzz::pop3::play(&seed, true);
    }
}
