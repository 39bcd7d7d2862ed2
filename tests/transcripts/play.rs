//! Plays a transcript against a server.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::document::{Case, Line, Protocol, State};
use super::fixture;
use super::matching::{self, Names};
use super::pattern::{Named, Pattern};
use super::server::Server;
use super::steps::{self, Action, End, Expectation, Group, Piece, Step};
use super::texts::Texts;
use super::value::{self, Value};
use super::wire::Wire;
use super::{lines, segment};

/// The most untagged responses to one command that are read.
const MOST_RESPONSES: usize = 10_000;

/// A response as it came, and its values.
pub struct Response {
    pub octets: Vec<u8>,
    pub values: Vec<Value>,
}

/// Plays the lines of a case on an account of its own; `patience` is how long it waits for each answer.
///
/// # Errors
/// What differs, after what was said up to there.
pub fn play(
    server: &Server,
    case: &Case,
    lines: &[Line],
    texts: &Texts,
    patience: Duration,
) -> Result<(), String> {
    let steps = steps::steps(lines, case.protocol, texts)?;
    let account = server.new_account();
    if let (Some((octets, messages)), Some(set)) = (&case.quota, &server.quotas) {
        set(&account, octets, messages);
    }
    let mut names = Names::from([
        ("account".to_owned(), account.name.clone()),
        ("password".to_owned(), account.password.clone()),
    ]);
    names.extend(server.tokens.iter().flat_map(|tokens| tokens.names(&account)));
    let ready = fixture::prepare(server, &account, case, texts, &mut names)?;
    let mut player =
        Player { server, case, texts, patience, names, wires: BTreeMap::new(), log: String::new() };
    if case.protocol == Protocol::Imap && case.state != State::Connected {
        let mut wire = ready;
        wire.be_patient(patience);
        fixture::bring_to(&mut wire, &case.state, server.target)?;
        player.wires.insert('1', wire);
    }
    for step in &steps {
        player.step(step).map_err(|reason| format!("line {}: {reason}\n{}", step.number, player.log))?;
    }
    Ok(())
}

struct Player<'a> {
    server: &'a Server,
    case: &'a Case,
    texts: &'a Texts,
    patience: Duration,
    names: Names,
    wires: BTreeMap<char, Wire>,
    /// What was said so far.
    log: String,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.open(step.connection)?;
        match &step.action {
            Action::Send(pieces) => self.send(step.connection, pieces),
            Action::Expect(expectation) => self.expect(step.connection, expectation),
            Action::ExpectLines(expected) => {
                let wire = self.wires.get_mut(&step.connection).ok_or("no connection")?;
                lines::expect(wire, expected, &mut self.names, &mut self.log, self.texts)
            }
        }
    }

    /// Opens a connection that is used for the first time.
    fn open(&mut self, connection: char) -> Result<(), String> {
        if self.wires.contains_key(&connection) {
            return Ok(());
        }
        let mut wire = Wire::open(self.server.address(self.case.protocol)?, self.patience);
        if self.case.protocol != Protocol::Imap {
            if self.case.state != State::Connected {
                fixture::enter(&mut wire, self.case.protocol, &self.names)?;
            }
        } else {
            wire.response()?.ok_or("no greeting")?;
            if self.case.state != State::Connected {
                fixture::log_in(&mut wire, &self.names)?;
                fixture::bring_to(&mut wire, &self.case.state, self.server.target)?;
            }
        }
        self.wires.insert(connection, wire);
        Ok(())
    }

    /// Sends it in one write, but for what waits for the server.
    fn send(&mut self, connection: char, pieces: &[Piece]) -> Result<(), String> {
        let mut octets = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Octets(more) => octets.extend_from_slice(more),
                Piece::Name(named) => octets.extend(self.named(named)?.into_bytes()),
                Piece::Base64(text) => octets.extend(text.encode(&mut self.names)?.into_bytes()),
                Piece::Literal { octets: literal, waits } => {
                    let plus = if *waits { "" } else { "+" };
                    octets.extend(format!("{{{}{plus}}}\r\n", literal.len()).into_bytes());
                    if *waits {
                        self.write(connection, &mem::take(&mut octets))?;
                        self.expect_continuation(connection)?;
                    }
                    octets.extend_from_slice(literal);
                }
                Piece::Deflate => {
                    self.write(connection, &mem::take(&mut octets))?;
                    self.wire(connection)?.start_deflate()?;
                }
                Piece::Tls => {
                    self.write(connection, &mem::take(&mut octets))?;
                    self.wire(connection)?.start_tls()?;
                }
            }
        }
        self.write(connection, &octets)
    }

    fn expect_continuation(&mut self, connection: char) -> Result<(), String> {
        let response = self.read(connection)?.ok_or("the end instead of a continuation request")?;
        if !response.octets.starts_with(b"+") {
            return Err("expected a continuation request".to_owned());
        }
        Ok(())
    }

    fn wire(&mut self, connection: char) -> Result<&mut Wire, String> {
        self.wires.get_mut(&connection).ok_or_else(|| "no connection".to_owned())
    }

    fn named(&self, named: &Named) -> Result<String, String> {
        let unknown = || format!("<{}> stands for nothing", named.name);
        match named.plus {
            0 => self.names.get(&named.name).cloned().ok_or_else(unknown),
            _ => matching::resolve(named, &self.names).map(|number| number.to_string()).ok_or_else(unknown),
        }
    }

    fn write(&mut self, connection: char, octets: &[u8]) -> Result<(), String> {
        if octets.is_empty() {
            return Ok(());
        }
        self.log.push_str(&format!("C{connection}: {}\n", readable(octets)));
        self.wire(connection)?.send(octets)
    }

    fn read(&mut self, connection: char) -> Result<Option<Response>, String> {
        let wire = self.wire(connection)?;
        let Some(octets) = wire.response()? else {
            self.log.push_str(&format!("S{connection}: <closed>\n"));
            return Ok(None);
        };
        self.log.push_str(&format!("S{connection}: {}\n", readable(&octets)));
        let values = value::parse(&octets)?;
        Ok(Some(Response { octets, values }))
    }

    fn expect(&mut self, connection: char, expectation: &Expectation) -> Result<(), String> {
        let mut untagged = Vec::new();
        let wanted = || describe(expectation);
        if let End::Open = expectation.end {
            loop {
                if let Some(names) = segment::place(expectation, &untagged, &self.names) {
                    self.names = names;
                    return segment::nothing_forbidden(expectation, &untagged, &self.names);
                }
                match self.read(connection) {
                    Ok(Some(response)) if untagged.len() < MOST_RESPONSES => untagged.push(response),
                    Ok(_) => return Err(format!("expected{}", wanted())),
                    Err(reason) => return Err(format!("{reason}; expected{}", wanted())),
                }
            }
        }
        let answer = loop {
            match self.read(connection).map_err(|reason| format!("{reason}; expected{}", wanted()))? {
                None => break None,
                Some(response) if response.values.first().is_some_and(|word| word.is_word("*")) => {
                    if untagged.len() >= MOST_RESPONSES {
                        return Err("too many responses".to_owned());
                    }
                    untagged.push(response);
                }
                Some(response) => break Some(response),
            }
        };
        let names = segment::place(expectation, &untagged, &self.names)
            .ok_or_else(|| format!("expected{}", wanted()))?;
        segment::nothing_forbidden(expectation, &untagged, &names)?;
        let names = match (&expectation.end, answer) {
            (End::Closed, None) => Some(names),
            (End::Answer(patterns), Some(answer)) => matching::response(patterns, &answer.values, &names),
            _ => None,
        };
        self.names = names.ok_or_else(|| format!("expected{}", wanted()))?;
        Ok(())
    }
}

/// Octets in one line, the long ones cut.
pub fn readable(octets: &[u8]) -> String {
    const LONGEST: usize = 1_500;
    let shown = &octets[..octets.len().min(LONGEST)];
    let more = if octets.len() > LONGEST { "[...]" } else { "" };
    let text = String::from_utf8_lossy(shown.strip_suffix(b"\r\n").unwrap_or(shown)).into_owned();
    format!("{}{more}", text.replace('\r', "\\r").replace('\n', "\\n"))
}

fn describe(expectation: &Expectation) -> String {
    let pattern = |patterns: &Vec<Pattern>| format!("\n    {}", super::describe::line(patterns));
    let mut text = String::new();
    for group in &expectation.groups {
        match group {
            Group::InPlace(patterns) => text.push_str(&pattern(patterns)),
            Group::Expunged(numbers) => text.push_str(&format!("\n    * <expunges {numbers:?}>")),
            Group::Somewhere(several) => text.extend(several.iter().map(pattern)),
        }
    }
    if expectation.more {
        text.push_str("\n    ...");
    }
    match &expectation.end {
        End::Open => {}
        End::Answer(patterns) => text.push_str(&pattern(patterns)),
        End::Closed => text.push_str("\n    <closed>"),
    }
    text
}
