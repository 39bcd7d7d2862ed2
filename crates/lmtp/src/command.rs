//! From a line to a command. The one place that knows smtp-proto.
//!
//! smtp-proto accepts more than LMTP allows and less than mail stores need: it ignores what follows the commands that
//! take no argument, wants every address to have a domain, and knows no address literals. All that is mended here.

use std::borrow::Cow;
use std::ops::Range;

use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};

use crate::reply::Reply;

/// The longest command line in octets, its line end included: 512 of RFC 5321 section 4.5.3.1.4, with room for the
/// parameters that extensions add.
pub const LONGEST_LINE: usize = 2000;

/// The most digits of a size (RFC 1870 section 4), and so of any number here.
const MOST_DIGITS: usize = 20;

/// Stands for the domain of an address that was given without one, or with an address literal, while smtp-proto parses it.
const ANY_DOMAIN: &str = "@-";

/// A command that a session carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `LHLO` (RFC 2033 section 4.1).
    Lhlo,
    /// `MAIL FROM`.
    Mail(Mail),
    /// `RCPT TO`.
    Rcpt(Address),
    /// `DATA`.
    Data,
    /// `BDAT` (RFC 3030).
    Bdat {
        /// Octets that follow the line.
        octets: u64,
        /// Whether they are the last of the message.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `VRFY`.
    Vrfy,
    /// `HELP`.
    Help,
    /// `QUIT`.
    Quit,
}

/// What `MAIL FROM` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The reverse path as it was written, without angle brackets and source route; empty for notifications.
    pub sender: String,
    /// The size of the message in octets as the client expects it (RFC 1870); 0 where it did not say.
    pub size: u64,
    /// Whether addresses may be of UTF-8 (RFC 6531).
    pub utf8: bool,
}

/// A recipient: what stands before the domain, which is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The local part, quoting removed: the name of an account, with or without `+detail`.
    pub local: String,
}

/// A line that is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reply.
    pub reply: Reply,
    /// Whether the session cannot go on: of a BDAT that was not understood nobody knows where its octets end, and they
    /// must not be taken for commands.
    pub fatal: bool,
}

/// Parses one line, given without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let is_bdat = line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"BDAT"));
    parse_text(line).map_err(|reply| Refusal { reply, fatal: is_bdat })
}

fn parse_text(line: &[u8]) -> Result<Command, Reply> {
    let syntax = |text: &str| Err(Reply::new(500, (5, 5, 2), text));
    let Ok(text) = std::str::from_utf8(line) else {
        return syntax("The line is not UTF-8");
    };
    if text.bytes().any(|octet| octet.is_ascii_control()) {
        return syntax("The line contains a control character");
    }
    if text.split_ascii_whitespace().any(is_endless_number) {
        return Err(Reply::new(501, (5, 5, 4), format!("A number has more than {MOST_DIGITS} digits")));
    }
    let path = Path::find(text);
    let mut given = path.with_domain_name(text);
    given.push('\n');
    let request = Request::parse(&mut given.as_bytes().iter()).map_err(|error| refusal(&error))?;
    if matches!(request, Request::Data | Request::Rset | Request::Quit) && text.trim_end().len() != 4 {
        return Err(Reply::new(501, (5, 5, 4), format!("{} takes no argument", request.name())));
    }
    match request {
        Request::Lhlo { .. } => Ok(Command::Lhlo),
        Request::Helo { .. } | Request::Ehlo { .. } => {
            Err(Reply::new(500, (5, 5, 1), "This is LMTP: say LHLO (RFC 2033)"))
        }
        Request::Mail { from } => mail(&from, &path).map(Command::Mail),
        Request::Rcpt { to } => recipient(&to, &path).map(Command::Rcpt),
        Request::Data => Ok(Command::Data),
        Request::Bdat { chunk_size, is_last } => {
            // No 128-bit machine runs this; were there one, the largest chunk would be refused like every large one.
            let octets = u64::try_from(chunk_size).unwrap_or(u64::MAX);
            Ok(Command::Bdat { octets, last: is_last })
        }
        Request::Rset => Ok(Command::Rset),
        Request::Noop { .. } => Ok(Command::Noop),
        Request::Vrfy { .. } => Ok(Command::Vrfy),
        Request::Help { .. } => Ok(Command::Help),
        Request::Quit => Ok(Command::Quit),
        Request::Auth { .. }
        | Request::Expn { .. }
        | Request::Etrn { .. }
        | Request::Atrn { .. }
        | Request::Burl { .. }
        | Request::StartTls => Err(Reply::new(502, (5, 5, 1), format!("{} is not offered", request.name()))),
    }
}

/// Whether a word, or the value of a parameter, is a number longer than any that means something. smtp-proto begins again at
/// nothing where a number goes on beyond the greatest it knows: a size without bounds would pass for a small one, and the
/// octets of such a BDAT for commands.
fn is_endless_number(word: &str) -> bool {
    let value = word.rsplit_once('=').map_or(word, |(_, value)| value);
    value.len() > MOST_DIGITS && value.bytes().all(|octet| octet.is_ascii_digit())
}

/// The parameters of RFC 1870, RFC 6152 and RFC 6531 are carried out; others were not offered, and some of them
/// (REQUIRETLS, BY) ask for what a silent acceptance would not give.
fn mail(from: &MailFrom<Cow<'_, str>>, path: &Path<'_>) -> Result<Mail, Reply> {
    let offered = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;
    let others = from.trans_id.is_some()
        || from.env_id.is_some()
        || from.solicit.is_some()
        || from.mtrk.is_some()
        || from.auth.is_some();
    let numbers = from.hold_for != 0 || from.hold_until != 0 || from.by != 0 || from.mt_priority != 0;
    if from.flags & !offered != 0 || others || numbers {
        return Err(not_offered());
    }
    let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
    if !utf8 && !path.written.is_ascii() {
        return Err(Reply::new(
            553,
            (5, 6, 7),
            "The reverse path is not ASCII and SMTPUTF8 was not asked for",
        ));
    }
    let size = u64::try_from(from.size).unwrap_or(u64::MAX);
    Ok(Mail { sender: path.written.to_owned(), size, utf8 })
}

fn recipient(to: &RcptTo<Cow<'_, str>>, path: &Path<'_>) -> Result<Address, Reply> {
    if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
        return Err(not_offered());
    }
    // smtp-proto makes nothing of `<>`, and would of `<postmaster>`, had that not been given a domain.
    let local = to.address.rsplit_once('@').map_or("", |(local, _)| local);
    if path.written.is_empty() || local.is_empty() {
        return Err(Reply::new(501, (5, 1, 3), "The forward path is empty"));
    }
    Ok(Address { local: local.to_owned() })
}

fn not_offered() -> Reply {
    Reply::new(555, (5, 5, 4), "A parameter was not offered in the answer to LHLO")
}

fn refusal(error: &Error) -> Reply {
    match error {
        Error::UnknownCommand => Reply::new(500, (5, 5, 1), "Unknown command"),
        Error::InvalidSenderAddress => Reply::new(501, (5, 1, 7), "The reverse path is not an address"),
        Error::InvalidRecipientAddress => Reply::new(501, (5, 1, 3), "The forward path is not an address"),
        Error::SyntaxError { syntax } => Reply::new(501, (5, 5, 4), format!("Syntax: {syntax}")),
        Error::InvalidParameter { param } => {
            Reply::new(501, (5, 5, 4), format!("The value of {param} is not allowed"))
        }
        Error::UnsupportedParameter { .. } => not_offered(),
        Error::NeedsMoreData { .. } | Error::ResponseTooLong | Error::InvalidResponse { .. } => {
            Reply::new(500, (5, 5, 2), "The line is not a command")
        }
    }
}

/// Where the path of MAIL or RCPT stands in a line.
struct Path<'a> {
    /// What stands between the angle brackets, without a source route.
    written: &'a str,
    /// Where a source route stands.
    route: Range<usize>,
    /// Where [`ANY_DOMAIN`] is to be put in, and what it replaces.
    replaced: Option<Range<usize>>,
}

impl<'a> Path<'a> {
    /// Finds the first `<…>`, quoted strings respected (RFC 5321 section 4.1.2). A line without one has an empty path.
    fn find(line: &'a str) -> Self {
        let none = Self { written: "", route: 0..0, replaced: None };
        let Some(opened) = line.find('<') else { return none };
        let (mut quoted, mut escaped, mut domain) = (false, false, None);
        // Source routes are ignored (RFC 5321 appendix C); they have `@` in front and `:` behind.
        let mut start = opened + 1;
        for (offset, octet) in line.bytes().enumerate().skip(start) {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b':' if !quoted && domain == Some(start) => (start, domain) = (offset + 1, None),
                b'@' if !quoted => domain = domain.or(Some(offset)),
                b'>' if !quoted => {
                    let written = line.get(start..offset).unwrap_or_default();
                    let at = domain.unwrap_or(offset);
                    let lacks_name =
                        domain.is_none() || is_literal(line.get(at + 1..offset).unwrap_or_default());
                    let replaced = (lacks_name && !written.is_empty()).then_some(at..offset);
                    return Self { written, route: opened + 1..start, replaced };
                }
                _ => {}
            }
        }
        none
    }

    /// The line, without a source route, and with the name of a domain in its path in any case.
    fn with_domain_name(&self, line: &str) -> String {
        let mut line = line.to_owned();
        if let Some(range) = &self.replaced {
            line.replace_range(range.clone(), ANY_DOMAIN);
        }
        line.replace_range(self.route.clone(), "");
        line
    }
}

/// Whether a domain is an address literal (RFC 5321 section 4.1.3), such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
fn is_literal(domain: &str) -> bool {
    let inner = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']'));
    let allowed = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'[' | b'\\' | b']');
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(allowed))
}

#[cfg(test)]
mod tests;
