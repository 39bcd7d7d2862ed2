//! File descriptors: each session holds one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the node needs beside its sessions: listeners, files of the store, links, connections that are being turned away.
const BESIDE_SESSIONS: u64 = 256;

/// Raises the limit of this process as far as it may itself, and warns where that does not suffice for `sessions`.
pub fn allow(sessions: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (sessions as u64).saturating_add(BESIDE_SESSIONS);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    if let Some(most) = getrlimit(Resource::Nofile).current
        && most < wanted
    {
        tracing::warn!(
            "the system lets this process open {most} files, too few for sessions = {sessions} in [limits]: raise the limit \
             (LimitNOFILE= of systemd, ulimit -n) to {wanted} or lower sessions"
        );
    }
}
