//! Which account and mailbox a recipient is.

use mailstore::crdt::identity::AccountId;

/// Where mail without a detail goes.
const INBOX: &str = "INBOX";
/// What separates the name of an account from the detail.
const DETAIL_SEPARATOR: char = '+';

/// An account and the mailbox in it that mail is meant for. The store takes INBOX where there is no such mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub account: AccountId,
    pub mailbox: String,
}

/// Looks a local part up: as the name of an account, then with the detail cut off, each as it is written and in lower
/// case. A name that contains the separator thus keeps its own mail.
pub(crate) fn resolve(local: &str, account: impl Fn(&str) -> Option<AccountId>) -> Option<Target> {
    let known = |name: &str| account(name).or_else(|| account(&name.to_lowercase()));
    if let Some(account) = known(local) {
        return Some(Target { account, mailbox: INBOX.to_owned() });
    }
    let (name, detail) = local.split_once(DETAIL_SEPARATOR)?;
    let mailbox = if detail.is_empty() { INBOX } else { detail };
    known(name).map(|account| Target { account, mailbox: mailbox.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountId {
        AccountId([number; 16])
    }

    fn resolved(local: &str) -> Option<(AccountId, String)> {
        let accounts = [("alice", 1), ("Bob", 2), ("two+parts", 3), ("j\u{f6}rg", 4)];
        let known =
            |name: &str| accounts.iter().find(|(known, _)| *known == name).map(|(_, id)| account(*id));
        resolve(local, known).map(|target| (target.account, target.mailbox))
    }

    #[test]
    fn names_details_and_case() {
        let inbox = |number| Some((account(number), "INBOX".to_owned()));
        assert_eq!(resolved("alice"), inbox(1));
        assert_eq!(resolved("ALICE"), inbox(1));
        assert_eq!(resolved("Bob"), inbox(2));
        assert_eq!(resolved("alice+"), inbox(1));
        assert_eq!(resolved("Alice+Lists/Rust"), Some((account(1), "Lists/Rust".to_owned())));
        assert_eq!(resolved("alice+a+b"), Some((account(1), "a+b".to_owned())));
        assert_eq!(resolved("two+parts"), inbox(3));
        assert_eq!(resolved("J\u{d6}RG"), inbox(4));
        assert_eq!(resolved("mallory"), None);
        assert_eq!(resolved("+alice"), None);
        assert_eq!(resolved(""), None);
    }
}
