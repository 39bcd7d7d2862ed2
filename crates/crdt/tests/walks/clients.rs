//! Clients that keep a cache, go to another node and resynchronise there (RFC 7162): U5.

use std::collections::BTreeMap;
use std::sync::Arc;

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::flag::FlagSet;
use peerpost_crdt::identity::{EntryId, MailboxId, NodeSlot, Uid, Validity};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::vector::Vector;
use peerpost_crdt::view::MailboxView;

use super::step::NAMES;
use super::world::{Checked, Node, Violation, World, account, violated};

type Known = BTreeMap<Uid, (EntryId, Arc<FlagSet>)>;

/// What a client knows of one mailbox.
#[derive(Clone)]
struct Cache {
    validity: Validity,
    uid_next: Uid,
    highest: Timestamp,
    known: Known,
    /// What the node had announced by then that told this, and what it had.
    source: Source,
}

#[derive(Clone)]
struct Source {
    slot: NodeSlot,
    mailbox: MailboxId,
    vector: Vector,
    /// None where it had not told its peers what it told this client.
    announced: Option<Timestamp>,
}

/// A client, by the names of the mailboxes that it has seen.
#[derive(Clone, Default)]
pub struct Client(BTreeMap<usize, Cache>);

impl World {
    /// A client comes to a node and looks at a mailbox.
    pub fn visit(&mut self, client: usize, node: usize, name: usize) -> Checked {
        let Some(mailbox) = self.nodes[node].named(name) else { return Ok(()) };
        self.glance(node, mailbox)?;
        let at = &self.nodes[node];
        // The mailbox may have been resolved anew in the meantime.
        let Some(mailbox) = at.named(name) else { return Ok(()) };
        let Some(view) = at.account().map(|account| account.view(mailbox)) else { return Ok(()) };
        let Some(validity) = view.validity else { return Ok(()) };
        let cache = self.clients[client].0.remove(&name);
        if let Some(cache) = cache {
            let place = format!("client {client}, {} of n{node}", NAMES[name]);
            check_moved(at, &cache, &view, &place)?;
            if cache.validity == validity && !self.is_doubtful(cache.highest, node) {
                resynchronise(at, &cache, &view, &place)?;
            }
        }
        let cache = Cache {
            validity,
            uid_next: view.uid_next,
            highest: view.highest_modseq,
            known: known(&view),
            source: source(at, &view),
        };
        self.clients[client].0.insert(name, cache);
        Ok(())
    }

    pub fn glance(&mut self, node: usize, mailbox: MailboxId) -> Checked {
        self.wake(node).glance(account(), mailbox).map_err(|error| Violation(error.to_string()))?;
        self.commit_seen(node, Some(mailbox))
    }
}

fn known(view: &MailboxView) -> Known {
    view.rows.iter().map(|row| (row.uid, (row.facts.entry, Arc::clone(&row.flags)))).collect()
}

fn source(at: &Node, view: &MailboxView) -> Source {
    let slot = at.slot();
    let announcement = at.disk.kept.announcements.get(&(view.mailbox, slot));
    let told = announcement.filter(|announcement| {
        (Some(announcement.validity), announcement.uid_next, announcement.modseq)
            == (view.validity, view.uid_next, view.highest_modseq)
    });
    Source {
        slot,
        mailbox: view.mailbox,
        vector: at.life.vector().clone(),
        announced: told.map(|announcement| announcement.at),
    }
}

/// Whether a node has merged everything that another had, and what it had announced, and nothing waits.
fn has_merged(at: &Node, source: &Source) -> bool {
    let heard = at.disk.kept.announcements.get(&(source.mailbox, source.slot));
    let told = |announcement: &&Announcement| Some(announcement.at) >= source.announced;
    // A later announcement stands in place of those before it, with all that was visible by then: it is adopted as a whole.
    let announced = source.announced.is_some()
        && heard.filter(told).is_some_and(|later| at.life.vector().covers(&later.visible));
    let rests = at.account().is_some_and(|account| account.pending() == 0);
    let firm = at.life.waits_until().is_none() && at.life.may_place();
    announced && rests && firm && at.life.vector().covers(&source.vector)
}

/// Nothing goes backwards for a client that moves to a node which has merged what the other had.
fn check_moved(at: &Node, cache: &Cache, view: &MailboxView, place: &str) -> Checked {
    let same_node = cache.source.slot == at.slot();
    if same_node || !has_merged(at, &cache.source) {
        return Ok(());
    }
    if view.validity < Some(cache.validity) {
        return violated(format!("U5: {place} went back from UIDVALIDITY {}", cache.validity));
    }
    if view.validity > Some(cache.validity) {
        return Ok(());
    }
    if view.uid_next < cache.uid_next || view.highest_modseq < cache.highest {
        return violated(format!(
            "U5: {place} came from slot {} with UIDNEXT {} and HIGHESTMODSEQ {}, and found {} and {}",
            cache.source.slot, cache.uid_next, cache.highest, view.uid_next, view.highest_modseq
        ));
    }
    Ok(())
}

/// What a value that a client brings stands for here.
fn since(at: &Node, brought: Timestamp, view: &MailboxView) -> Timestamp {
    let is_own = brought.slot() == at.slot();
    let (last_before, certain) = at.life.unknown_values();
    if is_own && last_before < brought && brought < certain {
        return Timestamp::ZERO;
    }
    if is_own || brought == view.highest_modseq { brought } else { view.foreign.translate(brought) }
}

/// After what it is told the client knows exactly what is there.
fn resynchronise(at: &Node, cache: &Cache, view: &MailboxView, place: &str) -> Checked {
    let since = since(at, cache.highest, view);
    let elsewhere = since != cache.highest;
    let told = view.vanished_since(since.bits());
    let of_known: Vec<_> = cache.known.keys().map(|uid| *uid..=*uid).collect();
    let asked = view.not_visible(&of_known);
    let merged = has_merged(at, &cache.source);
    // A client from elsewhere is told of everything that it knows and that is not here. Where all is merged, what
    // vanished since is enough.
    for (vanished, rule) in [(&asked, "what it knows"), (&told, "what vanished")] {
        let own_words = rule == "what vanished";
        if (elsewhere && own_words && !merged) || (!elsewhere && !own_words) {
            continue;
        }
        let mut now = cache.known.clone();
        now.retain(|uid, _| !vanished.iter().any(|range| range.contains(uid)));
        for row in view.rows.iter().filter(|row| row.modseq > since) {
            now.insert(row.uid, (row.facts.entry, Arc::clone(&row.flags)));
        }
        if now != known(view) {
            let list = |known: &Known| {
                let one = |(uid, (_, flags)): (&Uid, &(EntryId, Arc<FlagSet>))| {
                    let flags: Vec<_> = flags.iter().map(|flag| flag.to_string()).collect();
                    format!("{uid}({})", flags.join(" "))
                };
                known.iter().map(one).collect::<Vec<_>>().join(" ")
            };
            return violated(format!(
                "U5: {place}: by {rule} since {} (brought {}, HIGHESTMODSEQ {}) it knows [{}], there is [{}]; it knew [{}]",
                since,
                cache.highest,
                view.highest_modseq,
                list(&now),
                list(&known(view)),
                list(&cache.known)
            ));
        }
    }
    Ok(())
}
