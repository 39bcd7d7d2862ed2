//! Why a command did not do what it was asked for, in words for whoever asked.

use std::fmt;

/// What was tried, on what, why it failed, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Failure(words.into())
    }

    /// Puts before an error what was tried.
    pub fn of<E: fmt::Display>(tried: impl fmt::Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure(format!("{tried}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! from_errors {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure(error.to_string())
            }
        })*
    };
}

from_errors!(
    crate::config::ConfigError,
    mailstore::RequestError,
    mailstore::crdt::replica::ArchiveError,
    mailstore::ReadError,
    storage::OpenError,
    storage::CommitError,
    storage::LockError,
    imap::shell::ListenError,
    pop3::shell::ListenError,
    lmtp::shell::ListenError,
    replication::identity::KeyError,
    replication::join::TokenError
);
