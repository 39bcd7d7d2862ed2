//! How the story is told: headings, paragraphs, tables, and that it still goes on.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Paragraphs are broken before this column.
const WIDTH: usize = 78;
/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The storyteller.
#[derive(Debug)]
pub struct Words {
    terminal: bool,
    colour: bool,
    unread: bool,
}

impl Words {
    /// Tells on standard output; with bold headings where that is a terminal.
    pub fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        Words { terminal, colour: terminal && std::env::var_os("NO_COLOR").is_none(), unread: false }
    }

    /// Whether the reader went away.
    pub fn are_unread(&self) -> bool {
        self.unread
    }

    /// The beginning of a step.
    pub fn heading(&mut self, text: &str) -> Result<(), Failure> {
        let (bold, plain) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.write(&format!("{bold}== {text}{plain}\n\n"))
    }

    /// A paragraph, broken into lines.
    pub fn paragraph(&mut self, text: &str) -> Result<(), Failure> {
        let mut lines = String::new();
        let mut column = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > WIDTH {
                lines.push('\n');
                column = 0;
            }
            if column > 0 {
                lines.push(' ');
                column += 1;
            }
            lines.push_str(word);
            column += length;
        }
        self.write(&format!("{lines}\n\n"))
    }

    /// A line that more lines will follow, indented.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(&format!("  {text}\n"))
    }

    /// Lines as they stand, indented.
    pub fn lines(&mut self, text: &str) -> Result<(), Failure> {
        let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
        self.write(&format!("{lines}\n"))
    }

    /// A table; the first row is its head.
    pub fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &'_ Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, width)| format!("{:<width$}", cell(row, column)))
                .collect();
            text += &format!("  {}\n", cells.join("  ").trim_end());
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                text += &format!("  {}\n", rules.join("  "));
            }
        }
        self.write(&format!("{text}\n"))
    }

    /// The beginning of a wait.
    pub fn waiting(&self, what: &str, longest: Duration) -> Waiting {
        Waiting { what: what.to_owned(), longest, since: Instant::now() }
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| {
            self.unread = error.kind() == io::ErrorKind::BrokenPipe;
            Failure::new(format!("cannot write to standard output: {error}"))
        })
    }
}

/// Something that is waited for.
pub struct Waiting {
    what: String,
    longest: Duration,
    since: Instant,
}

impl Waiting {
    /// Shows that it goes on, and waits a little; fails when it has taken too long. `state` says what is there instead.
    pub async fn a_little(&self, words: &mut Words, state: &str) -> Result<(), Failure> {
        let elapsed = self.since.elapsed();
        if elapsed > self.longest {
            // What is told of it begins on a line of its own.
            words.write(if words.terminal { "\n" } else { "" })?;
            let (what, longest) = (&self.what, self.longest.as_secs());
            return Err(Failure::new(format!("waited {longest} s for this: {what}; {state}")));
        }
        if words.terminal {
            words.write(&format!("\r  {} … {:.1} s", self.what, elapsed.as_secs_f64()))?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }

    /// It is there.
    pub fn over(self, words: &mut Words) -> Result<(), Failure> {
        // Over what was shown while it went on, which is no longer than this.
        let back = if words.terminal { "\r" } else { "" };
        words.write(&format!("{back}  {}, after {:.1} s\n\n", self.what, self.since.elapsed().as_secs_f64()))
    }
}
