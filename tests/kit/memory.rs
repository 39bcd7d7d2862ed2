//! What a process holds in memory, as Linux counts it (proc(5)).

use std::fs;

use super::node::Node;

/// The peak of a node's resident memory, counted from a moment on.
pub struct Peak {
    process: u32,
    before: u64,
}

impl Peak {
    /// Lets the peak begin at what is held now.
    #[track_caller]
    pub fn from_now(node: &Node) -> Self {
        let process = node.process_id().unwrap();
        fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Peak { process, before: kib(process, "status", "VmHWM:") }
    }

    /// How much more than at that moment was held at the most since, in KiB.
    #[track_caller]
    pub fn added(&self) -> u64 {
        kib(self.process, "status", "VmHWM:") - self.before
    }
}

/// The proportional set size, in KiB: what is shared with other processes counts by its share.
#[track_caller]
pub fn pss(process: u32) -> u64 {
    kib(process, "smaps_rollup", "Pss:")
}

fn kib(process: u32, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}
