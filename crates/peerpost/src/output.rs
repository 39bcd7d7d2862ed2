//! What commands print: text that is finished before its first octet goes out, and goes out once.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes to standard output. A reader that has seen enough (`peerpost status | head`) has what it wanted: the rest is
/// dropped, and that is no failure.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::of("cannot write to standard output")),
    }
}

/// Writes one line to standard output, as [`write`] does.
pub fn line(text: impl fmt::Display) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Tells on standard error how far the work is, or why it failed. Where nobody can be told, there is nobody to tell that.
pub fn tell(text: impl fmt::Display) {
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}
