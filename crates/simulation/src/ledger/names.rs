//! UIDVALIDITY of the names of mailboxes: it rises (U6), and only where there is a reason for it (rule 9).

use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::{MailboxId, Validity};
use crdt::operation::FoundingReason;
use crdt::view::MailboxView;
use mailstore::account::DEFAULT_MAILBOXES;

use super::losses::{Records, What};
use super::{Ledger, Violation};

/// What is known of names.
pub(super) struct Names {
    /// The greatest UIDVALIDITY that each node has told of each name.
    pub(super) greatest: BTreeMap<(usize, String), u32>,
    /// All that any node has told.
    borne: BTreeMap<String, BTreeSet<u32>>,
    /// How many times a mailbox may have come to a name (with the account, created, by a rename), and how often an operator
    /// asked for a new value.
    arrivals: BTreeMap<String, u32>,
}

impl Names {
    pub(super) fn new() -> Self {
        let arrivals = DEFAULT_MAILBOXES.iter().map(|(name, _)| ((*name).to_owned(), 1)).collect();
        Names { greatest: BTreeMap::new(), borne: BTreeMap::new(), arrivals }
    }

    /// The founding of this epoch is lost: nobody can know of it.
    pub(super) fn forget(&mut self, name: &str, validity: u32) {
        if let Some(borne) = self.borne.get_mut(name) {
            borne.remove(&validity);
        }
    }
}

impl Ledger {
    /// A client asks for something that brings mailboxes to these names.
    pub(crate) fn arrives(&mut self, names: &[String]) {
        for name in names {
            *self.names.arrivals.entry(name.clone()).or_default() += 1;
        }
    }

    /// It was refused.
    pub(crate) fn does_not_arrive(&mut self, names: &[String]) {
        for name in names {
            if let Some(arrivals) = self.names.arrivals.get_mut(name) {
                *arrivals = arrivals.saturating_sub(1);
            }
        }
    }

    /// An operator was told that a name has this UIDVALIDITY now.
    pub(super) fn promised_validity(&mut self, name: &str, validity: Validity, records: &Records) {
        if self.names.borne.entry(name.to_owned()).or_default().insert(validity.0) {
            self.stands_on(records, What::Validity(name.to_owned(), validity.0));
        }
    }

    /// At rest the record that founded a mailbox's present epoch names a reason that the run has had: somebody brought a second
    /// mailbox to a name, or an operator asked. None of the others can come up in one.
    pub(crate) fn check_reason(
        &self,
        node: usize,
        mailbox: MailboxId,
        validity: Validity,
        reason: FoundingReason,
    ) -> Result<(), Violation> {
        let there_was = match reason {
            FoundingReason::First => true,
            FoundingReason::NameBorne => self.names.arrivals.values().any(|arrivals| *arrivals > 1),
            FoundingReason::Operator => self.bumps_asked,
            FoundingReason::SpaceUsedUp
            | FoundingReason::LongAsleep
            | FoundingReason::ReissueLimit
            | FoundingReason::Policy => false,
        };
        if there_was {
            return Ok(());
        }
        let name = self.names.borne.iter().find(|(_, borne)| borne.contains(&validity.0));
        let subject = name.map(|(name, _)| name.clone());
        let what = format!("n{node}: UIDVALIDITY {validity} of {mailbox} was founded because of {reason:?}");
        Err(Violation::new("a bump has a reason", what, subject))
    }

    /// At rest a name has the greatest UIDVALIDITY that any node ever told of it, or one above (U6): every bump has come about.
    pub(super) fn check_validity(
        &self,
        node: usize,
        name: &str,
        view: &MailboxView,
    ) -> Result<(), Violation> {
        let greatest = self.names.borne.get(name).and_then(|borne| borne.last()).copied().unwrap_or(0);
        let shown = view.validity.map_or(0, |validity| validity.0);
        if shown >= greatest {
            return Ok(());
        }
        let what =
            format!("n{node} shows {name} with UIDVALIDITY {shown} at rest, {greatest} was told of it");
        Err(Violation::new("U6 validity rises", what, [name.to_owned()]))
    }

    /// A client that selects a name finds a UIDVALIDITY that only grows; its founding is among `records`. Says whether it is new at a name that had another.
    ///
    /// No run uses up the UIDs of an epoch or reissues most of a large mailbox. So the reason for a second value can only be
    /// that another mailbox came to the name, on this side or on another, or that an operator asked for it.
    pub(crate) fn selected(
        &mut self,
        node: usize,
        name: &str,
        view: &MailboxView,
        records: &Records,
    ) -> Result<bool, Violation> {
        let Some(validity) = view.validity.map(|validity| validity.0) else { return Ok(false) };
        let greatest = self.names.greatest.entry((node, name.to_owned())).or_default();
        if validity < *greatest {
            let what = format!("n{node} shows {name} with UIDVALIDITY {validity} after {greatest}");
            return Err(Violation::new("U6 validity rises", what, [name.to_owned()]));
        }
        *greatest = validity;
        let borne = self.names.borne.entry(name.to_owned()).or_default();
        let new = borne.insert(validity);
        let bumped = new && borne.len() > 1;
        if bumped && self.names.arrivals.get(name) == Some(&1) {
            let what =
                format!("n{node} shows {name} with UIDVALIDITY {validity}, of {borne:?} without a reason");
            return Err(Violation::new("a bump has a reason", what, [name.to_owned()]));
        }
        if new {
            self.stands_on(records, What::Validity(name.to_owned(), validity));
        }
        Ok(bumped)
    }
}
