//! One account: folded from its first operation and compared with the stored rows.

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::dirty::{Dirty, ENTRY_CHUNK};
use crdt::account::{Account, AccountHead};
use crdt::fold::entry::EntryState;
use crdt::identity::{AccountId, EntryId, MailboxId, SegmentId};
use crdt::operation::DocumentId;
use crdt::replica::ArchiveError;
use storage::Table;

use super::log::Index;
use super::{Verification, VerifyStep, account_name};
use crate::rows::{self, failed};

impl Verification<'_> {
    /// Compares everything that is kept of an account.
    pub(super) fn compare_account(
        &mut self,
        index: &Index,
        id: AccountId,
        number: usize,
        of: usize,
    ) -> Result<(), ArchiveError> {
        let name = account_name(&self.reader, id);
        (self.progress)(VerifyStep::Account { name: name.clone(), number, of });
        self.account = Some(name);
        let Some(folded) = self.refold(index, id)? else {
            // The findings about its log say what to do; views that follow from a damaged log prove nothing.
            return Ok(());
        };
        self.compare_head(&folded)?;
        self.compare_mailboxes(&folded)?;
        self.compare_entries(&folded)?;
        self.compare_shown(&folded)?;
        self.compare_bodies(&folded)
    }

    /// Folds the account document by document, each in the order of its stamps; none where its log is not sound.
    fn refold(&mut self, index: &Index, id: AccountId) -> Result<Option<Account>, ArchiveError> {
        let mut sound = true;
        let documents = index.documents(Some(id));
        let operations = documents.into_iter().flat_map(|document| {
            let operations = self.document(index, &document);
            let operations = operations.map(|operations| {
                sound &= operations.is_some();
                operations.unwrap_or_default()
            });
            of_document(document, operations)
        });
        let folded = Account::refold(id, operations)?;
        Ok(sound.then_some(folded))
    }

    fn compare_head(&mut self, folded: &Account) -> Result<(), ArchiveError> {
        let id = folded.id();
        let stored = self.reader.get(Table::Accounts, &id.0).map_err(failed)?;
        let stored = stored.map(|row| rows::decode_head(&row));
        let what = match stored {
            Some(Ok(stored)) if stored == *folded.head() => return Ok(()),
            None if *folded.head() == AccountHead::default() => return Ok(()),
            Some(Ok(_)) => {
                "table accounts: name, password, subscriptions, annotations, quota or UIDVALIDITYs differ from the log".into()
            }
            Some(Err(error)) => error.to_string(),
            None => "table accounts: its row is missing".into(),
        };
        if self.find_repairable(what) {
            self.rewrite(folded, &Dirty { head: true, ..Dirty::default() });
        }
        Ok(())
    }

    fn compare_mailboxes(&mut self, folded: &Account) -> Result<(), ArchiveError> {
        let stored = match rows::read_mailboxes(&self.reader, folded.id()) {
            Ok(stored) => stored,
            Err(error) => return self.rewrite_mailboxes(folded, error.to_string()),
        };
        let expected: BTreeMap<MailboxId, _> =
            folded.mailbox_states().map(|(id, state)| (*id, state)).collect();
        let identities: BTreeSet<MailboxId> = stored.keys().chain(expected.keys()).copied().collect();
        for mailbox in identities {
            let name = mailbox_name(folded, mailbox);
            let what = match (stored.get(&mailbox), expected.get(&mailbox)) {
                (Some(stored), Some(expected)) if stored == *expected => continue,
                (Some(_), Some(_)) => format!("table mailboxes: the state of {name} differs from the log"),
                (Some(_), None) => format!("table mailboxes: {name} is stored, and the log does not know it"),
                (None, _) => format!("table mailboxes: the row of {name} is missing"),
            };
            if self.find_repairable(what) {
                self.batch.remove(Table::Mailboxes, rows::key(&[&folded.id().0, &mailbox.0]));
                self.rewrite(folded, &Dirty { mailboxes: [mailbox].into(), ..Dirty::default() });
            }
        }
        Ok(())
    }

    fn rewrite_mailboxes(&mut self, folded: &Account, what: String) -> Result<(), ArchiveError> {
        if self.find_repairable(what) {
            self.clear(Table::Mailboxes, &folded.id().0)?;
            let mailboxes = folded.mailbox_states().map(|(mailbox, _)| *mailbox).collect();
            self.rewrite(folded, &Dirty { mailboxes, ..Dirty::default() });
        }
        Ok(())
    }

    fn compare_entries(&mut self, folded: &Account) -> Result<(), ArchiveError> {
        let stored = match rows::read_segments(&self.reader, folded.id()) {
            Ok(stored) => stored,
            Err(error) => {
                if self.find_repairable(error.to_string()) {
                    self.clear(Table::Entries, &folded.id().0)?;
                    folded.segments().for_each(|(segment, _)| self.rewrite_segment(folded, *segment));
                }
                return Ok(());
            }
        };
        let expected = folded.segments().map(|(segment, _)| *segment);
        let segments: BTreeSet<SegmentId> = stored.keys().copied().chain(expected).collect();
        for segment in segments {
            let stored = stored.get(&segment).map_or(&[][..], Vec::as_slice);
            let mut repair = false;
            for (index, what) in differences(stored, folded.segment(&segment)) {
                let entry = EntryId { segment, index };
                let place = place(folded, &entry);
                repair |=
                    self.find_repairable(format!("table entries: {what} of the message {entry}{place}"));
            }
            if repair {
                let prefix = [&folded.id().0[..], &segment.incarnation.0, &segment.number.to_be_bytes()];
                self.clear(Table::Entries, &rows::key(&prefix))?;
                self.rewrite_segment(folded, segment);
            }
        }
        Ok(())
    }

    fn rewrite_segment(&mut self, folded: &Account, segment: SegmentId) {
        let chunks = folded.segment(&segment).len().div_ceil(usize::from(ENTRY_CHUNK)) as u16;
        let entries = (0..chunks).map(|chunk| (segment, chunk)).collect();
        self.rewrite(folded, &Dirty { entries, ..Dirty::default() });
    }

    fn rewrite(&mut self, folded: &Account, dirty: &Dirty) {
        rows::write_account(&mut self.batch, folded, dirty);
    }
}

type Folding = Result<(crdt::clock::Stamp, DocumentId, crdt::operation::Operation), ArchiveError>;

fn of_document(
    document: DocumentId,
    operations: Result<super::documents::Operations, ArchiveError>,
) -> Vec<Folding> {
    match operations {
        Ok(operations) => {
            operations.into_iter().map(|(stamp, operation)| Ok((stamp, document, operation))).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

/// Where the states of a segment's entries differ, and in what.
fn differences(stored: &[EntryState], expected: &[EntryState]) -> Vec<(u16, &'static str)> {
    let nothing = EntryState::default();
    let count = stored.len().max(expected.len());
    let compare = |index: usize| {
        let stored = stored.get(index).unwrap_or(&nothing);
        let expected = expected.get(index).unwrap_or(&nothing);
        Some((index as u16, difference(stored, expected)?))
    };
    (0..count).filter_map(compare).collect()
}

fn difference(stored: &EntryState, expected: &EntryState) -> Option<&'static str> {
    if stored == expected {
        return None;
    }
    Some(if stored.facts().is_none() {
        "the row is missing"
    } else if expected.facts().is_none() {
        "the log knows nothing"
    } else if stored.facts() != expected.facts() {
        "body, size, date or EMAILID differs from the log: the row"
    } else if stored.flags() != expected.flags() {
        "the flags differ from the log: the row"
    } else if stored.is_live() != expected.is_live() {
        "whether it is expunged differs from the log: the row"
    } else if stored.mailbox() != expected.mailbox() {
        "the mailbox differs from the log: the row"
    } else {
        "placements, holds or stamps differ from the log: the row"
    })
}

/// A mailbox in words.
pub(super) fn mailbox_name(folded: &Account, mailbox: MailboxId) -> String {
    match folded.unit(mailbox) {
        Some(unit) => format!("the mailbox {:?}", unit.name),
        None => format!("the former mailbox {mailbox}"),
    }
}

/// Where a message is to be found, in words that follow its name.
pub(super) fn place(folded: &Account, entry: &EntryId) -> String {
    let Some(mailbox) = folded.mailbox_of(entry) else { return ", which is not to be seen".into() };
    let uid = folded.uid_of(entry, mailbox);
    let name = mailbox_name(folded, mailbox);
    uid.map_or_else(|| format!(" in {name}"), |uid| format!(" in {name}, UID {uid}"))
}
