//! APPEND, REPLACE, COPY and MOVE: accepted in one batch, and answered once their messages have UIDs, in the same batch or in a later one.

use std::collections::BTreeMap;

use crdt::identity::{AccountId, EntryId, MailboxId, Uid};
use crdt::replica::{CommandError, Placed, Wanted};
use storage::Batch;

use super::carry_out::{explain, keep, view};
use super::{Committer, Finished};
use crate::job::Answer;
use crate::request::{NewMessage, Reply, RequestError};

/// What makes the answer of the messages' UIDs.
type Make = Box<dyn FnOnce(&mut Finished<'_>, Placed) -> Result<Reply, RequestError> + Send>;

/// A request that is accepted and not answered.
pub(super) struct Unanswered {
    wanted: Wanted,
    answer: Answer<Reply, RequestError>,
    make: Make,
}

impl Unanswered {
    pub(super) fn refuse(self, error: RequestError) {
        (self.answer)(Err(error));
    }
}

impl Committer {
    pub(super) fn append(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
        answer: Answer<Reply, RequestError>,
        batch: &mut Batch,
    ) {
        // Staged bodies join the batch only with entries that name them.
        let (entries, bodies): (Vec<_>, Vec<_>) =
            messages.into_iter().map(|message| self.entry(message, None)).unzip();
        let wanted = self.replica.append_in_turn(account, mailbox, entries);
        if wanted.is_ok() {
            bodies.into_iter().for_each(|(hash, structure, staged)| keep(batch, &hash, &structure, staged));
        }
        let entries: Vec<EntryId> = wanted.iter().flat_map(Wanted::sources).collect();
        self.accepted(wanted, answer, move |finished, placed| {
            let uids: BTreeMap<EntryId, Uid> = placed.pairs.into_iter().collect();
            let uids: Option<Vec<Uid>> = entries.iter().map(|entry| uids.get(entry).copied()).collect();
            let (validity, view) = (placed.validity, view(finished, account, mailbox)?);
            Ok(Reply::Appended { validity, uids: uids.unwrap_or_default(), view })
        });
    }

    /// The new message, its octets and the end of the old one are in one commit.
    pub(super) fn replace(
        &mut self,
        (account, from, replaced): (AccountId, MailboxId, EntryId),
        to: MailboxId,
        message: NewMessage,
        answer: Answer<Reply, RequestError>,
        batch: &mut Batch,
    ) {
        let (entry, (hash, structure, staged)) = self.entry(message, None);
        let wanted = self.replica.replace(account, (from, replaced), to, entry);
        if wanted.is_ok() {
            keep(batch, &hash, &structure, staged);
        }
        self.accepted(wanted, answer, move |finished, placed| {
            let source = view(finished, account, from)?;
            let uid = placed.pairs.first().map(|(_, uid)| *uid);
            Ok(Reply::Replaced { validity: placed.validity, uid, source })
        });
    }

    /// Takes the outcome of a COPY or MOVE from this mailbox.
    pub(super) fn relocated(
        &mut self,
        account: AccountId,
        from: MailboxId,
        wanted: Result<Wanted, CommandError>,
        answer: Answer<Reply, RequestError>,
    ) {
        self.accepted(wanted, answer, move |finished, placed| {
            let source = view(finished, account, from)?;
            Ok(Reply::Copied { validity: placed.validity, pairs: placed.pairs, gone: placed.gone, source })
        });
    }

    fn accepted(
        &mut self,
        wanted: Result<Wanted, CommandError>,
        answer: Answer<Reply, RequestError>,
        make: impl FnOnce(&mut Finished<'_>, Placed) -> Result<Reply, RequestError> + Send + 'static,
    ) {
        match wanted {
            Ok(wanted) => self.accepted.push(Unanswered { wanted, answer, make: Box::new(make) }),
            // Nothing was done that would have to be durable.
            Err(error) => answer(Err(explain(error, ""))),
        }
    }

    /// Shows what is wanted as far as its turn has come, unless it is not settled whether this life may.
    pub(super) fn place_wanted(&mut self) {
        if self.replica.waits_until().is_none() {
            for unanswered in self.unanswered.iter().chain(&self.accepted) {
                self.replica.place_wanted(&unanswered.wanted);
            }
        }
    }

    /// Answers what has UIDs, and whose time is over, everything being durable.
    pub(super) fn answer_placed(&mut self) {
        self.unanswered.append(&mut self.accepted);
        if self.replica.waits_until().is_some() {
            return;
        }
        for unanswered in std::mem::take(&mut self.unanswered) {
            match self.replica.answer(&unanswered.wanted) {
                None => self.unanswered.push(unanswered),
                Some(placed) => {
                    let Unanswered { answer, make, .. } = unanswered;
                    let mut finished = Finished { replica: &mut self.replica, published: &self.published };
                    let placed = placed.map_err(|error| explain(error, ""));
                    answer(placed.and_then(|placed| make(&mut finished, placed)));
                }
            }
        }
    }

    /// When the next one is answered whatever the placer does.
    pub(super) fn answers_until(&self) -> Option<crdt::clock::Millis> {
        self.unanswered.iter().map(|unanswered| unanswered.wanted.until()).min()
    }
}
