//! U5: clients that come back to a mailbox, here or at another node, with what they remember of it.

use crdt::view::MailboxView;

use super::{Ledger, Violation, flags_text};
use crate::client::Token;
use crate::client::cache::{Cache, Known, Since, known};

/// Whether UIDNEXT and HIGHESTMODSEQ are compared between nodes: since nodes adopt what others have announced (rule 6).
pub(crate) const ANNOUNCEMENTS_ARE_ADOPTED: bool = true;

/// What a node has of another one, whose client comes to it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    /// Every record that the other had when it told the client.
    pub(crate) merged: bool,
    /// And every body, for want of one of which messages above it are shown late.
    pub(crate) whole: bool,
    /// And what it has announced, with everything that belongs to it.
    pub(crate) announced: bool,
    /// Whether an entry of the mailbox waits for octets that no disk holds any more.
    pub(crate) without_octets: bool,
}

impl Ledger {
    /// A client that asks for what changed since the MODSEQ that it remembers, and what vanished, then knows what the node
    /// shows; and none of its UIDs has come to name another message.
    ///
    /// Where the node lacks something that the other had, the client may know more than it: flags that the node is yet to hear
    /// of, an expunge. So only a node that has merged everything, bodies
    /// included, is held to the whole.
    pub(crate) fn resynchronised(
        &self,
        place: &str,
        cache: &Cache,
        view: &MailboxView,
        since: Since,
        moved: Moved,
    ) -> Result<(), Violation> {
        if cache.view.validity != view.validity {
            return Ok(());
        }
        let fail = |what: String, row: Option<&crdt::view::Row>| {
            let message = row.and_then(|row| self.message(&row.facts.body)).map(|token| token.to_string());
            Err(Violation::new("U5 moving clients", format!("{place}: {what}"), message))
        };
        let uid_of = |uid: u32| view.rows.find(crdt::identity::Uid(uid));
        for row in cache.view.rows.iter() {
            if uid_of(row.uid.0).is_some_and(|now| now.facts.entry != row.facts.entry) {
                return fail(format!("the cached UID {} names another message", row.uid), Some(row));
            }
        }
        if !moved.whole {
            return Ok(());
        }
        let after = match cache.resynchronised(view, since) {
            Ok(after) => after,
            Err(uid) => return fail(format!("UID {uid} changed its message"), uid_of(uid)),
        };
        for row in view.rows.iter() {
            let (shown, here) = (known(row), after.get(&row.uid.0));
            if here != Some(&shown) {
                let what =
                    format!("{} is known as {}, not {}", row.uid, self.text(here), self.text(Some(&shown)));
                return fail(what, Some(row));
            }
        }
        if let Some(ghost) = after.keys().find(|uid| uid_of(**uid).is_none()) {
            let row = cache.view.rows.find(crdt::identity::Uid(*ghost));
            return fail(
                format!("the cached UID {ghost} is gone and was not told to be, since {}", since.modseq),
                row,
            );
        }
        let equal = cache.view.highest_modseq == view.highest_modseq;
        if equal && !same_rows(&cache.view, view) {
            return fail(format!("HIGHESTMODSEQ {} stands for two states", view.highest_modseq), None);
        }
        Ok(())
    }

    /// UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ do not go backwards once the node has merged what the other had told.
    pub(crate) fn numbers(
        &self,
        place: &str,
        cache: &Cache,
        view: &MailboxView,
        moved: Moved,
    ) -> Result<(), Violation> {
        let fail = |what: &str, now: u64, before: u64| {
            let what = format!("{place}: {what} {now} after {before}");
            Err(Violation::new("U5 moving clients", what, place.split(' ').nth(2).map(str::to_owned)))
        };
        let validity = |view: &MailboxView| view.validity.map_or(0, |validity| validity.0);
        let (before, now) = (validity(&cache.view), validity(view));
        if moved.merged && now < before {
            return fail("UIDVALIDITY", now.into(), before.into());
        }
        if now != before || !ANNOUNCEMENTS_ARE_ADOPTED || !moved.announced {
            return Ok(());
        }
        if view.uid_next < cache.view.uid_next {
            return fail("UIDNEXT", view.uid_next.0.into(), cache.view.uid_next.0.into());
        }
        if !moved.without_octets && view.highest_modseq < cache.view.highest_modseq {
            return fail("HIGHESTMODSEQ", view.highest_modseq.bits(), cache.view.highest_modseq.bits());
        }
        Ok(())
    }

    fn text(&self, known: Option<&Known>) -> String {
        let Some((entry, flags)) = known else { return "nothing".into() };
        let message = self.entries.get(entry).map(|entry| entry.message);
        format!("{} ({})", message.map_or("m?".into(), |token: Token| token.to_string()), flags_text(flags))
    }
}

fn same_rows(a: &MailboxView, b: &MailboxView) -> bool {
    a.rows.len() == b.rows.len()
        && a.rows.iter().zip(b.rows.iter()).all(|(a, b)| a.uid == b.uid && known(a) == known(b))
}
