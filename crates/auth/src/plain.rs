//! PLAIN (RFC 4616).

use crate::exchange::Failure;

/// A name and its password.
pub(crate) struct Plain {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 section 2). Nobody may act for somebody else.
pub(crate) fn parse(message: &[u8]) -> Result<Plain, Failure> {
    let mut parts = message.split(|octet| *octet == 0).map(std::str::from_utf8);
    let (Some(Ok(acting_for)), Some(Ok(name)), Some(Ok(password)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed("The response is not one of PLAIN"));
    };
    if !acting_for.is_empty() && acting_for != name {
        return Err(Failure::ForSomebodyElse);
    }
    Ok(Plain { name: name.to_owned(), password: password.to_owned() })
}
