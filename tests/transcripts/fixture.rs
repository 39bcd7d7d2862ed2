//! What stands before a case begins: mailboxes with messages, and connections that are logged in.

use std::collections::BTreeMap;

use super::document::{Case, Fixture, Message, Protocol, State, Target};
use super::matching::Names;
use super::server::{Account, Server};
use super::texts::Texts;
use super::value::{self, Value};
use super::wire::{LONGEST_SILENCE, Wire};

/// Makes the mailboxes of a case, and lets names stand for what they are told: `uid1`, `uid2`, ..., `uidvalidity`, `uidnext` and
/// `modseq` of INBOX, `drafts.uid1` of a mailbox `Drafts`. Gives a connection that is logged in and has nothing selected.
///
/// # Errors
/// Where the server does not do as it is told.
pub fn prepare(
    server: &Server,
    account: &Account,
    case: &Case,
    texts: &Texts,
    names: &mut Names,
) -> Result<Wire, String> {
    let mut wire = Wire::open(server.address(Protocol::Imap)?, LONGEST_SILENCE);
    wire.response()?.ok_or("no greeting")?;
    names.insert("account".to_owned(), account.name.clone());
    log_in(&mut wire, names)?;
    if case.bare {
        strip(&mut wire)?;
    }
    for fixture in &case.fixtures {
        if fixture.mailbox != "INBOX" {
            command(&mut wire, &format!("CREATE \"{}\"", fixture.mailbox))?;
        }
        append(&mut wire, fixture, texts)?;
    }
    let with_messages = case.fixtures.iter().filter(|fixture| !fixture.messages.is_empty());
    // To ask for mod-sequences enables CONDSTORE, which a case may have to begin without.
    if case.names_modseq() {
        let mut other = Wire::open(server.address(Protocol::Imap)?, LONGEST_SILENCE);
        other.response()?.ok_or("no greeting")?;
        log_in(&mut other, names)?;
        for fixture in with_messages {
            learn(&mut other, fixture, " (CONDSTORE)", names)?;
        }
    } else {
        for fixture in with_messages {
            learn(&mut wire, fixture, "", names)?;
        }
    }
    Ok(wire)
}

/// Logs a connection in.
///
/// # Errors
/// Where the server refuses.
pub fn log_in(wire: &mut Wire, names: &Names) -> Result<(), String> {
    let name = |name: &str| names.get(name).cloned().unwrap_or_default();
    command(wire, &format!("LOGIN {} \"{}\"", name("account"), name("password"))).map(drop)
}

/// Brings a new connection of POP3 or LMTP to where its cases begin, unless they read the greeting themselves.
///
/// # Errors
/// Where the server refuses.
pub fn enter(wire: &mut Wire, protocol: Protocol, names: &Names) -> Result<(), String> {
    let name = |name: &str| names.get(name).cloned().unwrap_or_default();
    let mut answer = |command: String, accepted: &str| {
        wire.send(command.as_bytes())?;
        loop {
            let line = wire.line()?.ok_or("the end")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            match line.strip_prefix(accepted) {
                // Another line of the reply follows.
                Some(rest) if rest.starts_with('-') => {}
                Some(_) => return Ok(()),
                None => return Err(format!("{command}: {line}")),
            }
        }
    };
    match protocol {
        Protocol::Imap => Ok(()),
        Protocol::Pop3 => {
            answer(String::new(), "+OK")?;
            answer(format!("USER {}\r\n", name("account")), "+OK")?;
            answer(format!("PASS {}\r\n", name("password")), "+OK")
        }
        Protocol::Lmtp => {
            answer(String::new(), "220")?;
            answer("LHLO client.example.org\r\n".to_owned(), "250")
        }
    }
}

/// Brings a connection that is logged in to the state in which a case begins.
///
/// # Errors
/// Where the server refuses.
pub fn bring_to(wire: &mut Wire, state: &State, target: Target) -> Result<(), String> {
    match state {
        State::Selected(mailbox) => command(wire, &format!("SELECT \"{mailbox}\"")).map(drop),
        // Cyrus creates the INBOX of an account when it is first asked for it.
        _ if target == Target::Cyrus => command(wire, "STATUS INBOX (MESSAGES)").map(drop),
        _ => Ok(()),
    }
}

/// Takes away what a new account has besides INBOX.
fn strip(wire: &mut Wire) -> Result<(), String> {
    let names = |responses: Vec<Vec<Value>>| responses.into_iter().filter_map(|values| values.get(4)?.text());
    for name in names(command(wire, "LSUB \"\" *")?) {
        command(wire, &format!("UNSUBSCRIBE \"{name}\""))?;
    }
    for name in names(command(wire, "LIST \"\" *")?).filter(|name| name != "INBOX") {
        command(wire, &format!("DELETE \"{name}\""))?;
    }
    Ok(())
}

/// Appends all at once.
fn append(wire: &mut Wire, fixture: &Fixture, texts: &Texts) -> Result<(), String> {
    for Message { text, flags, date } in &fixture.messages {
        let octets = texts.text(text)?;
        let flags = if flags.is_empty() { String::new() } else { format!("({}) ", flags.join(" ")) };
        let date = date.as_ref().map_or_else(String::new, |date| format!("\"{date}\" "));
        let head = format!("f APPEND \"{}\" {flags}{date}{{{}+}}\r\n", fixture.mailbox, octets.len());
        wire.send(&[head.as_bytes(), octets, b"\r\n"].concat())?;
    }
    fixture.messages.iter().try_for_each(|_| finish(wire, "APPEND").map(drop))
}

fn learn(wire: &mut Wire, fixture: &Fixture, parameter: &str, names: &mut Names) -> Result<(), String> {
    let prefix = match fixture.mailbox.as_str() {
        "INBOX" => String::new(),
        other => format!("{}.", other.to_ascii_lowercase().replace('/', ".")),
    };
    let mut known = BTreeMap::new();
    for values in command(wire, &format!("EXAMINE \"{}\"{parameter}", fixture.mailbox))? {
        if let Some(Value::Code(code)) = values.get(2)
            && let [Value::Word(name), Value::Word(number)] = code.as_slice()
        {
            known.insert(name.to_ascii_lowercase(), number.clone());
        }
    }
    for (code, name) in [("uidvalidity", "uidvalidity"), ("uidnext", "uidnext"), ("highestmodseq", "modseq")]
    {
        names.extend(known.get(code).map(|number| (format!("{prefix}{name}"), number.clone())));
    }
    for values in command(wire, "UID SEARCH ALL")? {
        let found = values.get(1).is_some_and(|word| word.is_word("SEARCH"));
        for (place, uid) in values.iter().skip(2).filter(|_| found).enumerate() {
            names.insert(format!("{prefix}uid{}", place + 1), uid.text().unwrap_or_default());
        }
    }
    command(wire, "UNSELECT").map(drop)
}

/// The untagged responses to a command that has to succeed.
fn command(wire: &mut Wire, command: &str) -> Result<Vec<Vec<Value>>, String> {
    wire.send(format!("f {command}\r\n").as_bytes())?;
    finish(wire, command)
}

fn finish(wire: &mut Wire, command: &str) -> Result<Vec<Vec<Value>>, String> {
    let mut untagged = Vec::new();
    loop {
        let response = wire.response()?.ok_or_else(|| format!("the end after {command}"))?;
        let values = value::parse(&response)?;
        match values.as_slice() {
            [Value::Word(tag), status, ..] if tag == "f" => {
                let told = String::from_utf8_lossy(&response).into_owned();
                return if status.is_word("OK") { Ok(untagged) } else { Err(format!("{command}: {told}")) };
            }
            _ => untagged.push(values),
        }
    }
}

/// What a server offers, before and after the login.
///
/// # Errors
/// Where it does not tell.
pub fn capabilities(server: &Server) -> Result<Vec<String>, String> {
    let account = server.new_account();
    let mut wire = Wire::open(server.address(Protocol::Imap)?, LONGEST_SILENCE);
    wire.response()?.ok_or("no greeting")?;
    let mut told = command(&mut wire, "CAPABILITY")?;
    let names = [("account".to_owned(), account.name), ("password".to_owned(), account.password)];
    log_in(&mut wire, &names.into())?;
    told.extend(command(&mut wire, "CAPABILITY")?);
    let words = told.iter().filter(|values| values.get(1).is_some_and(|word| word.is_word("CAPABILITY")));
    Ok(words.flat_map(|values| values.iter().skip(2)).filter_map(Value::text).collect())
}
