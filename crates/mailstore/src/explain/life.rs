//! What happened to one entry, and what it is now.

use std::collections::{BTreeMap, BTreeSet};

use crdt::clock::{Millis, Stamp};
use crdt::flag::Flag;
use crdt::identity::{EmailId, EntryId, MailboxId, Uid};
use crdt::operation::{Addition, DocumentId, FoundedRun, Operation, PlacedRun};
use crdt::replica::ArchiveError;
use storage::Reader;

use super::{Acceptance, Asked, Explanation, LifeEvent, MOST_EVENTS, Now, Subject, What};

/// Tells the life of the entry that was asked for.
pub(super) fn tell(
    reader: &Reader,
    subject: &Subject,
    asked: &Asked,
    other_epochs: Vec<u32>,
) -> Result<Explanation, ArchiveError> {
    let state = subject.account.entry(&asked.entry);
    let facts = state
        .and_then(|state| state.facts())
        .ok_or_else(|| ArchiveError(format!("the message {} has a UID and is not here yet", asked.entry)))?;
    let (events, events_left_out) = events(reader, subject, &asked.entry)?;
    Ok(Explanation {
        account: subject.account.head().name().to_owned(),
        mailbox: asked.unit.name.clone(),
        uid: asked.uid.0,
        uid_validity: asked.validity.0,
        other_epochs,
        entry: asked.entry.to_string(),
        email_id: facts.email.to_string(),
        body: facts.body.to_string(),
        octets: facts.size,
        events,
        events_left_out,
        now: now(subject, asked),
    })
}

/// The entries that a run of a founding record numbers.
pub(super) fn entries_of_run(run: &FoundedRun) -> impl Iterator<Item = EntryId> + use<> {
    let (segment, index) = (run.segment, run.index);
    (0..run.count).map(move |i| EntryId { segment, index: index.saturating_add(i) })
}

/// Everything that happened to the entry and to others of the same delivery, by stamp.
fn events(
    reader: &Reader,
    subject: &Subject,
    entry: &EntryId,
) -> Result<(Vec<LifeEvent>, usize), ArchiveError> {
    let twins = subject.account.entries_of_delivery(entry);
    let entries: BTreeSet<EntryId> = twins.iter().chain([entry]).copied().collect();
    let mut found: BTreeMap<(Stamp, usize), What> = BTreeMap::new();
    let mut left_out = 0;
    subject.each_operation(reader, |document, stamp, operation| {
        for (number, what) in happened(subject, entry, &entries, document, operation).into_iter().enumerate()
        {
            found.insert((stamp, number), what);
            if found.len() > MOST_EVENTS {
                found.pop_last();
                left_out += 1;
            }
        }
    })?;
    let event = |((stamp, _), what): ((Stamp, usize), What)| LifeEvent {
        at: moment(stamp.timestamp.millis()),
        node: subject.node(&stamp),
        what,
    };
    Ok((found.into_iter().map(event).collect(), left_out))
}

/// What an operation did to the entry; flags, moves and expunges count for all entries of its delivery.
fn happened(
    subject: &Subject,
    entry: &EntryId,
    entries: &BTreeSet<EntryId>,
    document: &DocumentId,
    operation: &Operation,
) -> Vec<What> {
    if let (DocumentId::Mailbox(_, mailbox), Operation::Found { validity, numbering, .. }) =
        (document, operation)
    {
        let place = numbering.iter().flat_map(entries_of_run).position(|numbered| numbered == *entry);
        let numbered = |place: usize| What::Numbered {
            mailbox: subject.mailbox_name(*mailbox),
            uid_validity: validity.0,
            uid: place as u32 + 1,
        };
        return place.map(numbered).into_iter().collect();
    }
    let DocumentId::Segment(_, segment) = document else { return vec![] };
    let here = |index: u16| EntryId { segment: *segment, index };
    match operation {
        Operation::Add(addition) => {
            let added = here(addition.index);
            if added == *entry {
                vec![accepted(subject, &added, addition)]
            } else if entries.contains(&added) {
                let mailbox = subject.mailbox_name(addition.mailbox);
                vec![What::AcceptedAgain { mailbox, entry: added.to_string() }]
            } else {
                vec![]
            }
        }
        Operation::Place { mailbox, validity, runs } => {
            let placed = |uid: Uid| What::Placed {
                mailbox: subject.mailbox_name(*mailbox),
                uid_validity: validity.0,
                uid: uid.0,
            };
            uids(runs, here, entry).map(placed).collect()
        }
        Operation::Hold { mailbox, validity, runs } => {
            let held = |uid: Uid| What::Held {
                mailbox: subject.mailbox_name(*mailbox),
                uid_validity: validity.0,
                uid: uid.0,
            };
            uids(runs, here, entry).map(held).collect()
        }
        Operation::ChangeFlags { entries: of, set, clear }
            if of.iter().any(|i| entries.contains(&here(i))) =>
        {
            vec![What::FlagsChanged { set: spelled(set), cleared: spelled(clear) }]
        }
        Operation::Move { entries: of, to } if of.iter().any(|i| entries.contains(&here(i))) => {
            vec![What::Moved { to: subject.mailbox_name(*to) }]
        }
        Operation::Expunge { entries: of, deleted, .. } if of.iter().any(|i| entries.contains(&here(i))) => {
            vec![What::Expunged { because_deleted: deleted.is_some() }]
        }
        _ => vec![],
    }
}

fn accepted(subject: &Subject, entry: &EntryId, addition: &Addition) -> What {
    let by = match addition.delivery {
        Some(_) => Acceptance::Delivery,
        None if addition.email == EmailId::of_entry(*entry) => Acceptance::Append,
        None => Acceptance::Copy,
    };
    What::Accepted { by, mailbox: subject.mailbox_name(addition.mailbox), flags: spelled(&addition.flags) }
}

fn uids(runs: &[PlacedRun], here: impl Fn(u16) -> EntryId, entry: &EntryId) -> impl Iterator<Item = Uid> {
    runs.iter()
        .flat_map(|run| run.iter())
        .filter(move |(index, _)| here(*index) == *entry)
        .map(|(_, uid)| uid)
}

fn spelled<'a>(flags: impl IntoIterator<Item = &'a Flag>) -> Vec<String> {
    flags.into_iter().map(|flag| flag.as_str().to_owned()).collect()
}

/// What the entry is on this node.
fn now(subject: &Subject, asked: &Asked) -> Now {
    let entry = &asked.entry;
    let twins = subject.account.entries_of_delivery(entry);
    if let Some((mailbox, validity, uid)) = subject.shown_at(entry) {
        return visible(subject, asked, mailbox, validity.0, uid);
    }
    if let Some((twin, (mailbox, validity, uid))) =
        twins.iter().find_map(|twin| Some((*twin, subject.shown_at(twin)?)))
    {
        let (mailbox, entry) = (subject.mailbox_name(mailbox), twin.to_string());
        return Now::ShownAs { entry, mailbox, uid_validity: validity.0, uid: uid.0 };
    }
    let first = twins.first().unwrap_or(entry);
    if let Some(mailbox) = subject.account.mailbox_of(first) {
        return waiting(subject, first, mailbox);
    }
    let live = subject.account.entry(first).is_some_and(|state| state.is_live());
    if live && !subject.account.head().exists() { Now::AccountRemoved } else { Now::Expunged }
}

fn visible(subject: &Subject, asked: &Asked, mailbox: MailboxId, uid_validity: u32, uid: Uid) -> Now {
    let flags = subject.account.entry(&asked.entry).map(|state| state.flags()).unwrap_or_default();
    let flags = spelled(flags.iter());
    if !asked.unit.identities.contains(&mailbox) {
        return Now::Moved { mailbox: subject.mailbox_name(mailbox), uid_validity, uid: uid.0, flags };
    }
    match (uid_validity, uid) == (asked.validity.0, asked.uid) {
        true => Now::Visible { flags },
        false => Now::Reissued { uid_validity, uid: uid.0, flags },
    }
}

fn waiting(subject: &Subject, entry: &EntryId, mailbox: MailboxId) -> Now {
    let why = if subject.account.absent().contains(entry) {
        "its body has not come from a peer yet"
    } else {
        "it is shown when a client looks at the mailbox the next time"
    };
    Now::Waiting { mailbox: subject.mailbox_name(mailbox), why: why.to_owned() }
}

/// A moment in RFC 3339, UTC, with milliseconds.
fn moment(millis: Millis) -> String {
    let timestamp = i64::try_from(millis.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| format!("{} ms after 1970", millis.0), |timestamp| format!("{timestamp:.3}"))
}
