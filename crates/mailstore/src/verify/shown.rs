//! What this node has shown and announced, against the entries: it is primary data, so a repair leaves it alone.

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::Account;
use crdt::account::dirty::ROW_CHUNK;
use crdt::clock::Timestamp;
use crdt::identity::{MailboxId, Uid};
use crdt::placement::shown::{RowImage, ShownHead};
use crdt::replica::ArchiveError;
use storage::Table;

use super::account::mailbox_name;
use super::{Remedy, Verification};
use crate::rows::{self, failed};

impl Verification<'_> {
    /// Every shown row names a message that is there, under a UID that it has or had.
    pub(super) fn compare_shown(&mut self, folded: &Account) -> Result<(), ArchiveError> {
        let heads = self.read_announced(folded)?;
        let mut before: Option<(MailboxId, Uid)> = None;
        let mut seen = BTreeSet::new();
        for row in self.reader.prefixed(Table::Shown, &folded.id().0).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let Some((mailbox, chunk)) = parse_key(&key) else {
                self.find(format!("table shown: a key has {} octets", key.len()), Remedy::JoinAnew);
                continue;
            };
            let name = mailbox_name(folded, mailbox);
            let images = match rows::decode::<Vec<RowImage>>(Table::Shown, &value) {
                Ok(images) => images,
                Err(error) => {
                    self.find(format!("{name}: {error}"), Remedy::JoinAnew);
                    continue;
                }
            };
            let Some(head) = heads.get(&mailbox) else {
                self.find(format!("table announced: the row of {name} is missing"), Remedy::JoinAnew);
                continue;
            };
            for image in images {
                if image.uid.0 / ROW_CHUNK != chunk {
                    self.shown(&name, &image, "lies in a chunk of other UIDs");
                }
                if before.is_some_and(|(of, uid)| of == mailbox && uid >= image.uid) {
                    self.shown(&name, &image, "does not lie above the one before it");
                }
                before = Some((mailbox, image.uid));
                if !seen.insert(image.entry) {
                    self.shown(&name, &image, "is shown twice");
                }
                self.compare_row(folded, mailbox, head, &image);
            }
        }
        self.compare_vanished(folded, &heads)
    }

    /// What vanished did so at moments that ascend, up to HIGHESTMODSEQ.
    fn compare_vanished(
        &mut self,
        folded: &Account,
        heads: &BTreeMap<MailboxId, ShownHead>,
    ) -> Result<(), ArchiveError> {
        let mut before: Option<(MailboxId, Timestamp)> = None;
        for row in self.reader.prefixed(Table::Vanished, &folded.id().0).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let Some((mailbox, last)) = parse_vanished_key(&key) else {
                self.find(format!("table vanished: a key has {} octets", key.len()), Remedy::JoinAnew);
                continue;
            };
            let name = mailbox_name(folded, mailbox);
            let highest = heads.get(&mailbox).map(|head| head.highest_modseq);
            let what = match rows::decode::<Vec<(Timestamp, Uid)>>(Table::Vanished, &value) {
                Err(error) => error.to_string(),
                Ok(_) if highest.is_none() => "the row of table announced is missing".to_owned(),
                Ok(uids) if uids.last().map(|(modseq, _)| *modseq) != Some(last) => {
                    "a row does not end with its key".to_owned()
                }
                Ok(uids) => {
                    let mut moments = uids.iter().map(|(modseq, _)| *modseq);
                    let floor = before.filter(|(of, _)| *of == mailbox).map(|(_, modseq)| modseq);
                    let ascend = moments
                        .try_fold(floor, |before, modseq| (before < Some(modseq)).then_some(Some(modseq)));
                    before = Some((mailbox, last));
                    if ascend.is_some() && Some(last) <= highest {
                        continue;
                    }
                    "a UID vanished out of order, or above HIGHESTMODSEQ".to_owned()
                }
            };
            self.find(format!("table vanished: {name}: {what}"), Remedy::JoinAnew);
        }
        Ok(())
    }

    fn compare_row(&mut self, folded: &Account, mailbox: MailboxId, head: &ShownHead, image: &RowImage) {
        let name = mailbox_name(folded, mailbox);
        if image.uid >= head.announced {
            self.shown(&name, image, "is not below the announced UIDNEXT");
        }
        if image.modseq > head.highest_modseq {
            self.shown(&name, image, "has a MODSEQ above HIGHESTMODSEQ");
        }
        let there = folded.mailbox_of(&image.entry);
        if there != Some(mailbox) {
            let what = match there {
                Some(_) => "is shown where it is no longer",
                None => "is shown and is not there (expunged, or never accepted)",
            };
            self.shown(&name, image, what);
        }
        let epoch =
            folded.mailbox_state(&mailbox).and_then(|state| state.epoch()).map(|epoch| epoch.validity);
        if head.validity.is_none() || head.validity != epoch {
            self.shown(&name, image, "is shown in an epoch that is not the current one");
        } else if folded.uid_of(&image.entry, mailbox).is_none_or(|greatest| greatest < image.uid) {
            // The greatest placement alone is known: the shown one is it, or an older one below it.
            self.shown(&name, image, "is shown at a UID that nobody gave it");
        }
    }

    fn shown(&mut self, name: &str, image: &RowImage, what: &str) {
        let what = format!("table shown: {name}, UID {}: the message {} {what}", image.uid, image.entry);
        self.find(what, Remedy::JoinAnew);
    }

    fn read_announced(&mut self, folded: &Account) -> Result<BTreeMap<MailboxId, ShownHead>, ArchiveError> {
        let mut heads = BTreeMap::new();
        for row in self.reader.prefixed(Table::Announced, &folded.id().0).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let mailbox = key.get(16..).and_then(MailboxId::from_slice);
            match (mailbox, rows::decode(Table::Announced, &value)) {
                (Some(mailbox), Ok(head)) => {
                    heads.insert(mailbox, head);
                }
                (Some(mailbox), Err(error)) => {
                    self.find(format!("{}: {error}", mailbox_name(folded, mailbox)), Remedy::JoinAnew);
                }
                (None, _) => {
                    self.find(format!("table announced: a key has {} octets", key.len()), Remedy::JoinAnew);
                }
            }
        }
        Ok(heads)
    }
}

fn parse_vanished_key(key: &[u8]) -> Option<(MailboxId, Timestamp)> {
    let (mailbox, last) = key.get(16..)?.split_at_checked(MailboxId::LENGTH)?;
    let last = Timestamp::from_bits(u64::from_be_bytes(last.try_into().ok()?))?;
    Some((MailboxId::from_slice(mailbox)?, last))
}

fn parse_key(key: &[u8]) -> Option<(MailboxId, u32)> {
    let (mailbox, chunk) = key.get(16..)?.split_at_checked(MailboxId::LENGTH)?;
    Some((MailboxId::from_slice(mailbox)?, u32::from_be_bytes(chunk.try_into().ok()?)))
}
