//! Goes through all states of a world, on as many threads as there are processors.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::word::Known;
use super::world::{Setting, World};

/// What the threads share.
#[derive(Default)]
struct Search {
    known: Known,
    spare: Mutex<Spare>,
    changed: Condvar,
    hungry: AtomicBool,
    finals: AtomicU64,
    steps: AtomicU64,
}

/// Worlds for threads that have none.
#[derive(Default)]
struct Spare {
    open: VecDeque<World>,
    idle: usize,
    failed: bool,
}

/// Says what had happened when an assertion fails, and has the other threads stop.
struct Story<'a> {
    search: &'a Search,
    world: &'a World,
    next: String,
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}, then {}", self.world.history(), self.next);
            if let Ok(mut spare) = self.search.spare.lock() {
                spare.failed = true;
            }
            self.search.hungry.store(true, Relaxed);
            self.search.changed.notify_all();
        }
    }
}

/// Leaves the rule out that `LEFT_OUT` names, in this thread: to see that the model can fail.
fn leave_out_what_is_asked_for() {
    #[cfg(debug_assertions)]
    {
        use peerpost_crdt::left_out::{LeftOut, leave_out};
        let asked = std::env::var("LEFT_OUT").ok();
        leave_out(LeftOut::ALL.iter().copied().find(|what| asked == Some(format!("{what:?}"))));
    }
}

/// Goes through every state, and from every final one to rest.
pub fn explore(name: &str, setting: Setting) {
    let started = Instant::now();
    leave_out_what_is_asked_for();
    let search = Search::default();
    let world = World::new(setting);
    search.known.insert(world.word());
    search.spare.lock().expect("no thread yet").open.push_back(world.clone());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                leave_out_what_is_asked_for();
                search.work(threads);
            });
        }
    });
    println!(
        "model {name}: {} states, {} of them final, {} steps, {} acts of nodes worked out, {:.1} s",
        search.known.len(),
        search.finals.load(Relaxed),
        search.steps.load(Relaxed),
        world.library().acts(),
        started.elapsed().as_secs_f64()
    );
}

impl Search {
    /// One thread: the newest state first, so that few are open at a time.
    fn work(&self, threads: usize) {
        let mut open: Vec<World> = Vec::new();
        while let Some(world) = open.pop().or_else(|| self.take(threads)) {
            self.expand(&world, &mut open);
            if self.hungry.load(Relaxed) && open.len() > 1 {
                let mut spare = self.spare.lock().expect("no other thread has failed");
                spare.open.extend(open.drain(..open.len().div_ceil(2)));
                self.hungry.store(false, Relaxed);
                self.changed.notify_all();
                if spare.failed {
                    break;
                }
            }
        }
    }

    /// What another thread can spare; none when all are done, or one has failed.
    fn take(&self, threads: usize) -> Option<World> {
        let mut spare = self.spare.lock().expect("no other thread has failed");
        spare.idle += 1;
        loop {
            if spare.failed || (spare.open.is_empty() && spare.idle == threads) {
                self.changed.notify_all();
                return None;
            }
            if let Some(world) = spare.open.pop_front() {
                spare.idle -= 1;
                return Some(world);
            }
            self.hungry.store(true, Relaxed);
            spare = self.changed.wait(spare).expect("no other thread has failed");
        }
    }

    /// Counts steps; a line every few million tells how far it is.
    fn tell_progress(&self, more: u64) {
        const PROGRESS: u64 = 2_000_000;
        let before = self.steps.fetch_add(more, Relaxed);
        if before / PROGRESS < (before + more) / PROGRESS {
            eprintln!("{} states after {} steps", self.known.len(), before + more);
        }
    }

    fn expand(&self, world: &World, open: &mut Vec<World>) {
        let steps = world.steps();
        if steps.is_empty() {
            self.finals.fetch_add(1, Relaxed);
            let _story = Story { search: self, world, next: "rest".to_owned() };
            return world.clone().check_rest();
        }
        self.tell_progress(steps.len() as u64);
        for step in steps {
            let story = Story { search: self, world, next: format!("{step:?}") };
            let mut next = world.clone();
            next.go(step);
            drop(story);
            if self.known.insert(next.word()) {
                open.push(next);
            }
        }
    }
}
