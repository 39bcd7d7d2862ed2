//! The time of the sessions: wall time at the start of the service, and from then on a clock that is never set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailstore::crdt::clock::Millis;
use tokio::time::Instant;

/// Turns moments of the runtime into the milliseconds that sessions count in, and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    instant: Instant,
    millis: Millis,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { instant: Instant::now(), millis: Millis(milliseconds(since)) }
    }

    pub(super) fn now(self) -> Millis {
        self.millis.after(milliseconds(self.instant.elapsed()))
    }

    /// The moment of the runtime at which sessions count `millis`.
    pub(super) fn instant(self, millis: Millis) -> Instant {
        self.instant + Duration::from_millis(millis.0.saturating_sub(self.millis.0))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
