//! What programs that only fetch do while two nodes are apart.

use super::world::{A, B, World};

/// How often each message was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// They came in on both sides, and were seen there.
    pub at_a: usize,
    pub at_b: usize,
    /// It came in at `a` while nothing came in at `b`.
    pub only_at_a: usize,
}

/// Fetches from `a` and then from `b` while they are apart, and from both once they have met again. `name` begins the Message-IDs.
#[track_caller]
pub fn apart(world: &World, name: &str, fetch: &dyn Fn(), fetched: &dyn Fn(&str) -> usize) -> Counts {
    let [at_a, at_b, only_at_a] = ["at-a", "at-b", "only-at-a"].map(|id| format!("{name}-{id}"));
    for came in [vec![(A, at_a.as_str()), (B, at_b.as_str())], vec![(A, only_at_a.as_str())]] {
        world.doors.open(A);
        world.split(&came);
        fetch();
        world.doors.open(B);
        world.doors.shut(A);
        fetch();
        assert!(came.iter().all(|(_, id)| fetched(id) == 1), "while apart");
        world.join(&came.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        for place in [B, A] {
            world.doors.open(place);
            world.doors.shut(1 - place);
            fetch();
        }
    }
    world.doors.open(B);
    Counts { at_a: fetched(&at_a), at_b: fetched(&at_b), only_at_a: fetched(&only_at_a) }
}

/// A message is on both nodes before they part; it is fetched from `a`, and then from `b`. How often in all.
#[track_caller]
pub fn seen_before_they_parted(
    world: &World,
    id: &str,
    fetch: &dyn Fn(),
    fetched: &dyn Fn(&str) -> usize,
) -> usize {
    world.deliver(A, &[id]);
    world.join(&[id]);
    world.split(&[]);
    fetch();
    world.doors.shut(A);
    fetch();
    world.join(&[id]);
    world.doors.open(A);
    fetched(id)
}
