//! Which names accounts and mailboxes may have.

use crate::account::{HIERARCHY_SEPARATOR, OTHER_USERS, canonical_name};
use crate::request::{DEEPEST_HIERARCHY, LONGEST_LABEL, LONGEST_MAILBOX_NAME, RequestError};

/// The longest name of an account, in octets: the local part and domain of RFC 5321 section 4.5.3.1.
pub const LONGEST_ACCOUNT_NAME: usize = 320;

/// The identifier of an access control list that means every account (RFC 4314 section 2).
pub const ANYONE: &str = "anyone";

/// The name of a mailbox to be made, INBOX in capitals, without a separator at its end.
pub(crate) fn mailbox(name: &str) -> Result<String, RequestError> {
    let name = canonical_name(name.strip_suffix(HIERARCHY_SEPARATOR).unwrap_or(name)).into_owned();
    let bad =
        |why| Err(RequestError::BadName { name: name.chars().take(100).collect(), what: "a mailbox", why });
    if name.is_empty() {
        return bad("it is empty");
    }
    if name.len() > LONGEST_MAILBOX_NAME {
        return bad("it is longer than 1,000 octets");
    }
    if name.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    if name.contains(['*', '%']) {
        return bad("it has a wildcard of LIST");
    }
    if name.starts_with(OTHER_USERS) || OTHER_USERS.strip_suffix(HIERARCHY_SEPARATOR) == Some(name.as_str()) {
        return bad("mailboxes of other users are named like that");
    }
    let levels: Vec<&str> = name.split(HIERARCHY_SEPARATOR).collect();
    if levels.len() > DEEPEST_HIERARCHY {
        return bad("it is nested more than 32 deep");
    }
    if levels.iter().any(|level| level.is_empty()) {
        return bad("a level of its hierarchy is empty");
    }
    Ok(name)
}

/// A name to be subscribed: it need not exist, and is kept as it is.
pub(crate) fn subscription(name: &str) -> Result<(), RequestError> {
    if name.is_empty() || name.len() > LONGEST_MAILBOX_NAME || name.chars().any(char::is_control) {
        let name = name.chars().take(100).collect();
        return Err(RequestError::BadName {
            name,
            what: "a subscription",
            why: "it is empty, too long, or has a control character",
        });
    }
    Ok(())
}

/// The label of an app password to be added.
pub(crate) fn label(label: &str) -> Result<(), RequestError> {
    let bad = |why| {
        let name = label.chars().take(100).collect();
        Err(RequestError::BadName { name, what: "the label of an app password", why })
    };
    if label.is_empty() || label.len() > LONGEST_LABEL {
        return bad("it is empty, or longer than 100 octets");
    }
    if label.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    Ok(())
}

/// The name of an account to be added.
pub(crate) fn account(name: &str) -> Result<(), RequestError> {
    let bad =
        |why| Err(RequestError::BadName { name: name.chars().take(100).collect(), what: "an account", why });
    if name.is_empty() || name.len() > LONGEST_ACCOUNT_NAME {
        return bad("it is empty, or longer than 320 octets");
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || "\"\\/+*%()<>".contains(c)) {
        return bad("it has a space, a control character, or one of \" \\ / + * % ( ) < >");
    }
    // RFC 4314 section 2: in an access control list it means everybody, or takes rights away.
    if name.eq_ignore_ascii_case(ANYONE) || name.starts_with('-') {
        return bad("access control lists have another meaning for it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailbox_names_are_checked() {
        assert_eq!(mailbox("inbox/x/").as_deref(), Ok("INBOX/x"));
        for bad in [
            "",
            "/",
            "Other Users",
            "Other Users/bob",
            "a//b",
            "a\nb",
            "a*",
            "a%b",
            &"x".repeat(1001),
            &"a/".repeat(40),
        ] {
            assert!(mailbox(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn account_names_are_checked() {
        assert!(account("alice@example.com").is_ok());
        for bad in ["", "a b", "a+b", "a/b", "a\0", "Anyone", "-alice"] {
            assert!(account(bad).is_err(), "{bad:?}");
        }
    }
}
