//! Files of transcripts: one for each RFC. docs/conformance.md says how they are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::pattern;
use super::texts::Texts;

/// A server that transcripts are played against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Peerpost,
    Dovecot,
    Cyrus,
}

impl Target {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "dovecot" => Some(Target::Dovecot),
            "cyrus" => Some(Target::Cyrus),
            _ => None,
        }
    }

    /// As it is called in transcripts.
    pub fn name(self) -> &'static str {
        match self {
            Target::Peerpost => "peerpost",
            Target::Dovecot => "dovecot",
            Target::Cyrus => "cyrus",
        }
    }
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Imap,
    Pop3,
    Lmtp,
}

/// How far a connection is when a case begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Its greeting was read.
    Connected,
    #[default]
    LoggedIn,
    /// This mailbox was selected.
    Selected(String),
}

/// A mailbox that stands when a case begins, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    pub mailbox: String,
    pub messages: Vec<Message>,
}

/// A message of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of its text.
    pub text: String,
    pub flags: Vec<String>,
    pub date: Option<String>,
}

/// A line of a transcript.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: usize,
    pub connection: char,
    pub kind: Kind,
    pub body: String,
    /// What stands in its place for another server.
    pub instead: BTreeMap<Target, Vec<(Kind, String)>>,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client sends a line, or without its end.
    Send { line_end: bool },
    /// The server answers this, in this place.
    Answer,
    /// The server answers this, somewhere among such lines.
    AnswerSomewhere,
    /// The server does not answer this.
    Never,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// `rfc9051/6.3.1-enable-...`.
    pub name: String,
    pub protocol: Protocol,
    pub needs: Vec<String>,
    /// Whether the account has INBOX alone and no subscriptions before its fixtures are made.
    pub bare: bool,
    /// The most octets, with a unit, and the most messages of the account.
    pub quota: Option<(String, String)>,
    pub fixtures: Vec<Fixture>,
    pub state: State,
    pub lines: Vec<Line>,
    /// Why another server answers differently.
    pub differs: BTreeMap<Target, String>,
    /// Why the case cannot be played against another server.
    pub skipped: BTreeMap<Target, String>,
}

impl Case {
    /// The lines for a server.
    pub fn lines_for(&self, target: Target) -> Vec<Line> {
        let instead = |line: &Line| match line.instead.get(&target) {
            None => vec![line.clone()],
            Some(lines) => {
                let other =
                    |(kind, body): &(Kind, String)| Line { kind: *kind, body: body.clone(), ..line.clone() };
                lines.iter().map(other).collect()
            }
        };
        self.lines.iter().flat_map(instead).collect()
    }

    /// Whether a line names the mod-sequence of a mailbox that was prepared.
    pub fn names_modseq(&self) -> bool {
        self.lines.iter().any(|line| line.body.contains("modseq"))
    }

    /// Whether lines stand beside others for this server.
    pub fn has_lines_of_its_own(&self, target: Target) -> bool {
        self.lines.iter().any(|line| line.instead.contains_key(&target))
    }
}

/// All cases of a directory, and the texts that they name.
pub fn read_all(directory: &Path) -> (Vec<Case>, Texts) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let (mut cases, mut texts) = (Vec::new(), Texts::default());
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let mut reader = Reader {
            file: name,
            protocol: Protocol::default(),
            needs: Vec::new(),
            text: None,
            in_case: false,
            cases: &mut cases,
            texts: &mut texts,
        };
        for (place, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            if let Err(reason) = reader.line(place + 1, line) {
                panic!("{}:{}: {reason}: {line}", file.display(), place + 1);
            }
        }
        reader.end_text();
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert!(pair[0] != pair[1], "two cases are called {}", pair[0]);
    }
    (cases, texts)
}

struct Reader<'a> {
    file: String,
    protocol: Protocol,
    needs: Vec<String>,
    /// A text of which lines are being read.
    text: Option<(String, Vec<u8>)>,
    in_case: bool,
    cases: &'a mut Vec<Case>,
    texts: &'a mut Texts,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some((_, text)) = &mut self.text
            && let Some(content) = line.strip_prefix('|')
        {
            text.extend(unescaped(content.strip_prefix(' ').unwrap_or(content))?);
            text.extend(b"\r\n");
            return Ok(());
        }
        self.end_text();
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(name) = line.strip_prefix("text ") {
            self.text = Some((name.to_owned(), Vec::new()));
            return Ok(());
        }
        if let Some(title) = line.strip_prefix("== ") {
            self.begin_case(title);
            return Ok(());
        }
        match self.cases.last_mut().filter(|_| self.in_case) {
            None => self.head(line),
            Some(case) => case_line(case, number, line),
        }
    }

    fn end_text(&mut self) {
        if let Some((name, octets)) = self.text.take() {
            self.texts.add(&name, octets);
        }
    }

    fn head(&mut self, line: &str) -> Result<(), String> {
        match line.split_once(' ') {
            Some(("RFC", _)) => {}
            Some(("protocol", "POP3")) => self.protocol = Protocol::Pop3,
            Some(("protocol", "LMTP")) => self.protocol = Protocol::Lmtp,
            Some(("needs", names)) => self.needs.extend(names.split(' ').map(str::to_owned)),
            _ => return Err("unknown".to_owned()),
        }
        Ok(())
    }

    fn begin_case(&mut self, title: &str) {
        let slug: String = title
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
            .collect();
        self.in_case = true;
        self.cases.push(Case {
            name: format!("{}/{}", self.file, slug.to_ascii_lowercase()),
            protocol: self.protocol,
            needs: self.needs.clone(),
            bare: false,
            quota: None,
            fixtures: Vec::new(),
            state: State::default(),
            lines: Vec::new(),
            differs: BTreeMap::new(),
            skipped: BTreeMap::new(),
        });
    }
}

fn case_line(case: &mut Case, number: usize, line: &str) -> Result<(), String> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first {
        "needs" => case.needs.extend(rest.split(' ').map(str::to_owned)),
        "mail" => case.fixtures.push(fixture(rest)?),
        "quota" => {
            let (octets, messages) = rest.split_once(' ').ok_or("how many octets, how many messages")?;
            case.quota = Some((octets.to_owned(), messages.to_owned()));
        }
        "bare" => case.bare = true,
        "connected" => case.state = State::Connected,
        "selected" => case.state = State::Selected(if rest.is_empty() { "INBOX" } else { rest }.to_owned()),
        "dovecot" | "cyrus" => {
            let target = Target::parse(first).ok_or("no such server")?;
            let (what, why) = rest.split_once(": ").ok_or("differs: or skipped: and a reason")?;
            let reasons = match what {
                "differs" => &mut case.differs,
                "skipped" => &mut case.skipped,
                _ => return Err("differs: or skipped: and a reason".to_owned()),
            };
            reasons.insert(target, why.to_owned());
        }
        _ => return transcript_line(case, number, line),
    }
    Ok(())
}

/// `C: `, `S2: `, `S@dovecot: `, `C-: `.
fn transcript_line(case: &mut Case, number: usize, line: &str) -> Result<(), String> {
    let (mark, body) = line.split_once(':').ok_or("no line of a transcript")?;
    let body = body.strip_prefix(' ').unwrap_or(body);
    let (mark, targets) = mark.split_once('@').unwrap_or((mark, ""));
    let mut letters = mark.chars();
    let kind = match letters.next() {
        Some('C') => Kind::Send { line_end: !mark.ends_with('-') },
        Some('S') => Kind::Answer,
        Some('U') => Kind::AnswerSomewhere,
        Some('N') => Kind::Never,
        _ => return Err("no line of a transcript".to_owned()),
    };
    let connection = letters.next().filter(char::is_ascii_digit).unwrap_or('1');
    if targets.is_empty() {
        let (body, instead) = (body.to_owned(), BTreeMap::new());
        case.lines.push(Line { number, connection, kind, body, instead });
        return Ok(());
    }
    let line = case.lines.last_mut().ok_or("no line that it could stand for")?;
    for target in targets.split(',') {
        let target = Target::parse(target).ok_or("no such server")?;
        let lines = line.instead.entry(target).or_default();
        if body != "-" {
            lines.push((kind, body.to_owned()));
        }
    }
    Ok(())
}

/// `INBOX: plain, plain*3 \Seen "17-Jul-1996 02:44:25 -0700"`.
fn fixture(text: &str) -> Result<Fixture, String> {
    let (mailbox, messages) = text.split_once(':').unwrap_or((text, ""));
    let several = |text: &str| {
        let (words, date) = text.split_once('"').unwrap_or((text, ""));
        let mut words = words.split_whitespace().map(str::to_owned);
        let date = date.strip_suffix('"').map(str::to_owned);
        let first = words.next().ok_or("a message without text")?;
        let (text, count) = first.split_once('*').unwrap_or((&first, "1"));
        let count: usize = count.parse().map_err(|_| format!("{count} is no number"))?;
        let message = Message { text: text.to_owned(), flags: words.collect(), date };
        Ok(vec![message; count])
    };
    let messages = messages.split(',').map(str::trim).filter(|text| !text.is_empty());
    let messages = messages.map(several).collect::<Result<Vec<_>, String>>()?;
    Ok(Fixture { mailbox: mailbox.trim().to_owned(), messages: messages.concat() })
}

/// A line of a text, in which `\xHH` is an octet.
fn unescaped(line: &str) -> Result<Vec<u8>, String> {
    if !line.contains("\\x") {
        return Ok(line.as_bytes().to_vec());
    }
    pattern::quoted(&format!("\"{}\"", line.replace('"', "\\\""))).map(|(octets, _)| octets)
}
