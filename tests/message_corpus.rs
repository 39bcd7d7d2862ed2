//! The corpus of odd messages (`crates/message/tests/corpus`) over the wire: on a node of our own, and on Dovecot and Cyrus where
//! they are installed. Where one of them answers otherwise, the entry says so, and why; what it says and is not so fails as well.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "message_corpus/canonical.rs"]
mod canonical;
#[path = "../crates/message/tests/common/corpus.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod corpus;
mod kit;
#[path = "message_corpus/mailbox.rs"]
mod mailbox;
mod transcripts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use corpus::{Entry, escape, unescape};
use kit::cluster::{ACCOUNT, Cluster, PASSWORD, Setup};
use kit::programs::{Program, is_required};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mailbox::{Answers, Mailbox, sections_of};
use mailstore::message::{Scanner, Structure, preview};
use transcripts::peers::{cyrus, dovecot};
use transcripts::server::{Account, Server};

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("peerpost_tells_of_every_message_what_is_expected", || {
            let details = |mailbox: &mut Mailbox, structure: &Structure, answers: &mut Answers| {
                mailbox.check_details(&sections_of(structure), answers);
            };
            ask_ours(details).iter().for_each(check_ours);
            Ok(())
        }),
        Trial::ignorable_test("dovecot_answers_alike_or_says_the_entry_why", || {
            let Some(program) = dovecot::find() else { return missing(dovecot::DOVECOT) };
            let (_peer, server) = dovecot::start(&program);
            compare("dovecot", &server)
        }),
        Trial::ignorable_test("cyrus_answers_alike_or_says_the_entry_why", || {
            let Some(root) = cyrus::find() else { return missing(cyrus::CYRUS) };
            let (_peer, server) = cyrus::start(&root);
            compare("cyrus", &server)
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn missing(program: Program) -> Result<Completion, Failed> {
    let Program { name, package } = program;
    let text = format!("needs {name}: install the Debian package {package}");
    if is_required() { Err(Failed::from(text)) } else { Ok(Completion::ignored_with(text)) }
}

/// A message that was given to a server, and what the server tells of it.
struct Told {
    entry: Entry,
    structure: Structure,
    answers: Answers,
    /// What it tells of the message once every line ends with CRLF, where that is another message.
    with_line_ends: Option<Answers>,
}

/// The messages that can be appended: one without octets is refused by all three.
fn entries() -> Vec<Entry> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../message/tests/corpus");
    corpus::read(&corpus).into_iter().filter(|entry| !entry.message.is_empty()).collect()
}

fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// What the server that the mailbox is on tells of the whole corpus; `more` asks for more of each message.
fn ask(mut mailbox: Mailbox, more: impl Fn(&mut Mailbox, &Structure, &mut Answers)) -> Vec<Told> {
    let mut told = Vec::new();
    for entry in entries() {
        let structure = scan(&entry.message);
        let mut answers = mailbox.ask(&entry, &sections_of(&structure));
        more(&mut mailbox, &structure, &mut answers);
        told.push(Told { entry, structure, answers, with_line_ends: None });
    }
    told
}

/// The message with a CR before each LF that has none.
fn with_line_ends(message: &[u8]) -> Vec<u8> {
    let mut mended = Vec::new();
    for octet in message {
        if *octet == b'\n' && mended.last() != Some(&b'\r') {
            mended.push(b'\r');
        }
        mended.push(*octet);
    }
    mended
}

/// What a node of our own tells of the whole corpus.
fn ask_ours(more: impl Fn(&mut Mailbox, &Structure, &mut Answers)) -> Vec<Told> {
    let mut cluster = Cluster::start(Setup { nodes: 1, ..Setup::default() });
    let account = Account { name: ACCOUNT.to_owned(), password: PASSWORD.to_owned() };
    let mut told = ask(Mailbox::open(cluster.nodes[0].imap, account.clone()), more);
    let mut mailbox = Mailbox::open(cluster.nodes[0].imap, account);
    mailbox.skip(told.len());
    for told in &mut told {
        let mended = with_line_ends(&told.entry.message);
        if mended != told.entry.message {
            let sections = sections_of(&scan(&mended));
            told.with_line_ends = Some(mailbox.ask_octets(&mended, &sections, &told.entry.name));
        }
    }
    cluster.nodes[0].assert_alive();
    told
}

/// What our own node tells is what the entry expects, and the octets are those of the message.
fn check_ours(told: &Told) {
    let Told { entry, structure, answers, .. } = told;
    let place = format!("{}: {}", entry.theme, entry.name);
    assert_eq!(answers["size"], structure.size.to_string(), "{place}");
    assert_eq!(answers["[]"], escape(&entry.message), "{place}");
    assert_eq!(answers["[]"], format!("{}{}", answers["[HEADER]"], answers["[TEXT]"]), "{place}");
    let read = |range: std::ops::Range<u64>| {
        Ok::<_, std::convert::Infallible>(entry.message[range.start as usize..range.end as usize].to_vec())
    };
    assert_eq!(answers["preview"], escape(preview(structure, read).unwrap().as_bytes()), "{place}");
    for (key, expected) in &entry.expected {
        let Some(told) = answers.get(key) else { continue };
        let expected = match key.starts_with(['[', '~']) || key == "preview" || key == "size" {
            true if expected == b"unknown" => "NO [UNKNOWN-CTE]".to_owned(),
            true => escape(expected),
            false => canonical::of_text(key, expected),
        };
        assert_eq!(*told, expected, "{place}, {key}");
    }
}

/// Compares a server's answers with ours. Whatever differs stands in the entry with its reason, and nothing else stands there.
fn compare(name: &str, server: &Server) -> Result<Completion, Failed> {
    let theirs = ask(Mailbox::open(server.imap, server.new_account()), |_, _, _| {});
    let ours = ask_ours(|_, _, _| {});
    let mut wrong = Vec::new();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let recorded = ours.entry.differences.iter().filter(|difference| difference.server == name);
        let recorded: BTreeMap<&str, &[u8]> =
            recorded.map(|difference| (difference.key.as_str(), difference.answer.as_slice())).collect();
        let found = found_in(ours, &theirs.answers);
        let place = format!("{}: {}", ours.entry.theme, ours.entry.name);
        for (key, answer) in &found {
            if !recorded.get(key.as_str()).is_some_and(|recorded| is_recorded(answer, recorded)) {
                let ours = ours.answers.get(key).map_or("accepted", String::as_str);
                wrong.push(format!("{place}\n{name} {key}: {answer}\n# ours is {ours}"));
            }
        }
        for key in recorded.keys().filter(|key| !found.contains_key(**key)) {
            wrong.push(format!("{place}\n{name} {key} is recorded, but does not differ"));
        }
    }
    match wrong.is_empty() {
        true => Ok(Completion::Completed),
        false => {
            Err(Failed::from(format!("{} differences are not explained\n{}", wrong.len(), wrong.join("\n"))))
        }
    }
}

/// Whether this is the answer that an entry records; of a long one it records the beginning, and three dots.
fn is_recorded(answer: &str, recorded: &[u8]) -> bool {
    let answer = unescape(answer, "an answer");
    match recorded.strip_suffix(b"...") {
        Some(beginning) => answer.starts_with(beginning),
        None => answer == recorded,
    }
}

/// What a server tells otherwise than we do. A message that it refuses differs in that alone, and so does one that it answers as we
/// would if its lines ended with CRLF.
fn found_in(ours: &Told, theirs: &Answers) -> Answers {
    if let Some(refusal) = theirs.get("append") {
        return [("append".to_owned(), refusal.clone())].into();
    }
    let found = differences(&ours.answers, theirs);
    let mended = ours.with_line_ends.as_ref().map(|answers| differences(answers, theirs));
    match mended.is_some_and(|left| left.is_empty()) && !found.is_empty() {
        true => [("line-ends".to_owned(), "as if every line ended with CRLF".to_owned())].into(),
        false => found,
    }
}

/// The keys whose answers differ. What follows from another one is left out: BODY from BODYSTRUCTURE, the whole message from its
/// header and text, and whatever differs exactly as something before it, as Sender does where it stands for From.
fn differences(ours: &Answers, theirs: &Answers) -> Answers {
    let mut seen = BTreeSet::new();
    let differ = theirs.iter().filter(|(key, answer)| {
        let other = ours.get(*key).filter(|ours| ours != answer);
        !["body", "[]"].contains(&key.as_str())
            && other.is_some_and(|other| seen.insert((other.clone(), (*answer).clone())))
    });
    differ.map(|(key, answer)| (key.clone(), answer.clone())).collect()
}
