//! From a line to a command (RFC 1939, RFC 2449 section 3).

use std::fmt;

/// A command that a session carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `CAPA` (RFC 2449 section 5).
    Capa,
    /// `STLS` (RFC 2595 section 4).
    Stls,
    /// `USER` (RFC 1939 section 7).
    User(String),
    /// `PASS` (RFC 1939 section 7).
    Pass(Secret),
    /// `AUTH` (RFC 5034 section 4).
    Auth {
        /// The mechanism.
        mechanism: String,
        /// The initial response as it was written: base64, or `=` for an empty one.
        initial: Option<Secret>,
    },
    /// `STAT`.
    Stat,
    /// `LIST`, of one message or of all.
    List(Option<Number>),
    /// `UIDL`, of one message or of all.
    Uidl(Option<Number>),
    /// `RETR`.
    Retr(Number),
    /// `TOP`, with the number of lines of the text.
    Top(Number, u64),
    /// `DELE`.
    Dele(Number),
    /// `NOOP`.
    Noop,
    /// `RSET`.
    Rset,
    /// `QUIT`.
    Quit,
}

/// What no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The number of a message. They are counted from 1; what is beyond every maildrop is a number, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    place: usize,
}

impl Number {
    /// The place of the message, counted from 0.
    pub fn place(self) -> usize {
        self.place
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        match digits(text) {
            Some(0) => Err(Mistake("Messages are numbered from 1")),
            Some(number) => Ok(Number { place: usize::try_from(number - 1).unwrap_or(usize::MAX) }),
            None => Err(Mistake("The number of a message is written in digits")),
        }
    }
}

/// A decimal number; the greatest there is where it is even greater.
fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    all.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Why a line is no command, in words for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake(pub &'static str);

/// Parses one line, given without its end.
///
/// `keyword *(SP argument)` (RFC 2449 section 3). More spaces than one, and some at the end, are let pass. A password is
/// everything after the first space (RFC 1939 section 7: it may contain spaces).
pub fn parse(line: &[u8]) -> Result<Command, Mistake> {
    let text = std::str::from_utf8(line).map_err(|_| Mistake("The line is not UTF-8"))?;
    if text.contains('\0') {
        return Err(Mistake("The line contains a NUL octet"));
    }
    let (keyword, rest) = text.split_once(' ').unwrap_or((text, ""));
    let keyword = keyword.to_ascii_uppercase();
    if keyword == "PASS" {
        return match rest {
            "" => Err(Mistake("PASS takes a password")),
            password => Ok(Command::Pass(Secret(password.to_owned()))),
        };
    }
    let arguments: Vec<&str> = rest.split_ascii_whitespace().collect();
    match keyword.as_str() {
        "CAPA" => none(&arguments, Command::Capa),
        "STLS" => none(&arguments, Command::Stls),
        "STAT" => none(&arguments, Command::Stat),
        "NOOP" => none(&arguments, Command::Noop),
        "RSET" => none(&arguments, Command::Rset),
        "QUIT" => none(&arguments, Command::Quit),
        "USER" => match arguments[..] {
            [name] => Ok(Command::User(name.to_owned())),
            _ => Err(Mistake("USER takes the name of an account")),
        },
        "AUTH" => auth(&arguments),
        "LIST" => some_or_all(&arguments).map(Command::List),
        "UIDL" => some_or_all(&arguments).map(Command::Uidl),
        "RETR" => one(&arguments).map(Command::Retr),
        "DELE" => one(&arguments).map(Command::Dele),
        "TOP" => match arguments[..] {
            [number, lines] => {
                let lines = digits(lines).ok_or(Mistake("The number of lines is written in digits"))?;
                Ok(Command::Top(Number::parse(number)?, lines))
            }
            _ => Err(Mistake("TOP takes the number of a message and a number of lines")),
        },
        "APOP" => Err(Mistake("APOP is not offered: passwords are kept as hashes only")),
        _ => Err(Mistake("There is no such command")),
    }
}

fn none(arguments: &[&str], command: Command) -> Result<Command, Mistake> {
    if arguments.is_empty() { Ok(command) } else { Err(Mistake("This command takes no argument")) }
}

fn one(arguments: &[&str]) -> Result<Number, Mistake> {
    match arguments {
        [number] => Number::parse(number),
        _ => Err(Mistake("This command takes the number of a message")),
    }
}

fn some_or_all(arguments: &[&str]) -> Result<Option<Number>, Mistake> {
    match arguments {
        [] => Ok(None),
        [number] => Number::parse(number).map(Some),
        _ => Err(Mistake("This command takes the number of one message, or none")),
    }
}

fn auth(arguments: &[&str]) -> Result<Command, Mistake> {
    let (mechanism, initial) = match arguments {
        [mechanism] => (mechanism, None),
        [mechanism, initial] => (mechanism, Some(Secret((*initial).to_owned()))),
        _ => return Err(Mistake("AUTH takes a mechanism; CAPA lists them")),
    };
    Ok(Command::Auth { mechanism: (*mechanism).to_owned(), initial })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Result<Command, Mistake> {
        parse(line.as_bytes())
    }

    fn number(number: usize) -> Number {
        Number { place: number - 1 }
    }

    /// RFC 1939 section 3: keywords are case-insensitive; arguments are separated by single spaces.
    #[test]
    fn commands_are_read() {
        for (line, command) in [
            ("stat", Command::Stat),
            ("LIST", Command::List(None)),
            ("List 1", Command::List(Some(number(1)))),
            ("RETR 0012", Command::Retr(number(12))),
            ("DELE  3 ", Command::Dele(number(3))),
            ("TOP 1 0", Command::Top(number(1), 0)),
            ("UIDL 2", Command::Uidl(Some(number(2)))),
            ("NOOP", Command::Noop),
            ("RSET", Command::Rset),
            ("QUIT ", Command::Quit),
            ("USER alice@example.com", Command::User("alice@example.com".to_owned())),
            ("PASS  a b ", Command::Pass(Secret(" a b ".to_owned()))),
            ("CAPA", Command::Capa),
            ("STLS", Command::Stls),
            ("auth plain", Command::Auth { mechanism: "plain".to_owned(), initial: None }),
            (
                "AUTH PLAIN =",
                Command::Auth { mechanism: "PLAIN".to_owned(), initial: Some(Secret("=".to_owned())) },
            ),
        ] {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_told() {
        for line in [
            "",
            " ",
            "STAT 1",
            "RETR",
            "RETR 0",
            "RETR -1",
            "RETR +1",
            "RETR 1 2",
            "RETR x",
            "LIST 1 2",
            "TOP 1",
            "TOP 1 -1",
            "TOP 0 1",
            "USER",
            "USER a b",
            "PASS",
            "AUTH",
            "AUTH PLAIN a b",
            "APOP a b",
            "XYZZY",
            "NOOP\0",
            "QUIT now",
            "LIST\t1",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
        assert!(parse(b"USER \xff").is_err());
    }

    /// A number without bounds must not come to mean a message.
    #[test]
    fn numbers_beyond_all_are_numbers_of_no_message() {
        let Ok(Command::Retr(number)) = parsed("RETR 99999999999999999999999999") else { panic!("a RETR") };
        assert!(number.place() > u32::MAX as usize);
        assert_eq!(parsed("TOP 1 99999999999999999999999"), Ok(Command::Top(self::number(1), u64::MAX)));
    }

    #[test]
    fn passwords_are_not_for_logs() {
        assert!(!format!("{:?}", parsed("PASS secret")).contains("secret"));
        assert!(!format!("{:?}", parsed("AUTH PLAIN c2VjcmV0")).contains("c2VjcmV0"));
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_are_parsed_or_refused(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&line);
        }
    }
}
