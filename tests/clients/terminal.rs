//! A program that wants a terminal, and somebody who types and looks.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use vt100::Parser;

use crate::kit::wait::eventually;

/// The size of the terminal that `terminal.py` makes.
const LINES: NonZero<u16> = NonZero::new(30).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// A program that `terminal.py` runs.
pub struct Terminal {
    bridge: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// `command` runs `terminal.py` with the program.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        command.env("TERM", "vt100").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bridge = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let screen = Arc::new(Mutex::new(Parser::new(LINES, COLUMNS, 0)));
        let (mut shown, filled) = (bridge.stdout.take().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = shown.read(&mut buffer) {
                filled.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..count]);
            }
        });
        let keyboard = bridge.stdin.take();
        Self { bridge, keyboard, screen }
    }

    /// Types.
    #[track_caller]
    pub fn types(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// What stands on the screen.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.is(&format!("{text:?} on the screen"), |screen| screen.contains(text));
    }

    /// Waits until the screen is as it has to be.
    #[track_caller]
    pub fn is(&self, what: &str, as_wanted: impl Fn(&str) -> bool) {
        eventually(what, || {
            let screen = self.screen();
            if as_wanted(&screen) { Ok(()) } else { Err(format!("there is\n{screen}\n")) }
        });
    }

    /// Types, and waits until the screen shows a text.
    #[track_caller]
    pub fn does(&mut self, keys: &str, text: &str) {
        self.types(keys);
        self.shows(text);
    }

    /// Waits until the program has ended, with success.
    #[track_caller]
    pub fn ends(mut self) {
        eventually("the program ends", || match self.bridge.try_wait().unwrap() {
            Some(status) if status.success() => Ok(()),
            other => Err(format!("{other:?}, there is\n{}\n", self.screen())),
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The end of what is typed hangs the program up.
        self.keyboard = None;
        let _ = self.bridge.wait();
    }
}
