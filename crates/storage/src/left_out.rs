//! Whether the checks can fail: a test build leaves a sync out and looks who notices (`docs/uid-mapping.md`).
//!
//! Without debug assertions, as in every release, the condition is a constant and the compiler drops it.

/// What a test build can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The sync of the tables before a commit comes back.
    Tables,
    /// The sync of bodies before the tables name them.
    Bodies,
}

#[cfg(debug_assertions)]
mod chosen {
    use std::cell::Cell;

    use super::LeftOut;

    thread_local! {
        static CHOSEN: Cell<Option<LeftOut>> = const { Cell::new(None) };
    }

    /// Leaves this out from now on, in this thread.
    pub fn leave_out(what: Option<LeftOut>) {
        CHOSEN.set(what);
    }

    pub(crate) fn leaves_out(what: LeftOut) -> bool {
        CHOSEN.get() == Some(what)
    }
}

#[cfg(debug_assertions)]
pub use chosen::leave_out;
#[cfg(debug_assertions)]
pub(crate) use chosen::leaves_out;

/// Whether this is left out: nothing is.
#[cfg(not(debug_assertions))]
pub(crate) const fn leaves_out(_: LeftOut) -> bool {
    false
}
