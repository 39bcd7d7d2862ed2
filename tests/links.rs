//! A link that is cut is noticed, and comes back by itself.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::time::{Duration, Instant};

use kit::cluster::Cluster;
use kit::wait::eventually;

/// Nobody may believe longer than this in a link that is cut.
const LONGEST_BELIEF: Duration = Duration::from_secs(3);

/// Each node, and the name of the other.
const SIDES: [(usize, &str); 2] = [(0, "b"), (1, "a")];

fn is_up(cluster: &Cluster, (node, peer): (usize, &str)) -> bool {
    !cluster.nodes[node].peer(peer)["connected_since"].is_null()
}

fn up_on_both(what: &str, cluster: &Cluster) {
    eventually(what, || {
        let up = SIDES.map(|side| is_up(cluster, side));
        if up == [true, true] { Ok(()) } else { Err(format!("up on a and on b: {up:?}")) }
    });
}

/// `cut` breaks the link; both nodes must say so. What was asked before the time was over may have been true.
fn cut_is_noticed(what: &str, cluster: &Cluster, cut: impl FnOnce(&Cluster)) {
    up_on_both(&format!("up before {what}"), cluster);
    let from = Instant::now();
    cut(cluster);
    for side in SIDES {
        eventually(&format!("{what} is noticed on {}", cluster.nodes[side.0].name), || {
            let asked = from.elapsed();
            let up = is_up(cluster, side);
            assert!(!up || asked < LONGEST_BELIEF, "{what}: still taken for up after {asked:?}");
            if up { Err("up".to_owned()) } else { Ok(()) }
        });
    }
    let error = cluster.nodes[0].peer("b")["last_error"].clone();
    assert!(error.is_string(), "no reason is told: {error}");
    cluster.meet();
    up_on_both(&format!("up again after {what}"), cluster);
}

#[test]
fn a_cut_is_noticed_within_three_seconds_and_mended() {
    let cluster = Cluster::two();
    cut_is_noticed("a cut", &cluster, Cluster::part);
    cut_is_noticed("a second cut", &cluster, Cluster::part);
}

/// The side that still hears the other must notice too.
#[test]
fn a_cut_in_one_direction_is_noticed_within_three_seconds_and_mended() {
    let cluster = Cluster::two();
    cut_is_noticed("a cut from a to b", &cluster, |cluster| cluster.relay.cut_one_way(0, 1));
    cut_is_noticed("a cut from b to a", &cluster, |cluster| cluster.relay.cut_one_way(1, 0));
}

#[test]
fn a_peer_that_was_killed_is_noticed_and_comes_back() {
    let mut cluster = Cluster::two();
    up_on_both("up before", &cluster);
    cluster.nodes[1].kill();
    eventually("the end of b is noticed on a", || {
        if is_up(&cluster, SIDES[0]) { Err("up".to_owned()) } else { Ok(()) }
    });
    cluster.nodes[1].start();
    up_on_both("up after b came back", &cluster);
}
