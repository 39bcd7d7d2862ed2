//! What of a delta is checked before anything of it is applied. A member writes whatever it likes; what clients of two honest nodes
//! are told has to fit all the same.

use peerpost_crdt::clock::{Millis, Stamp, Timestamp};
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{Incarnation, Validity};
use peerpost_crdt::operation::{DocumentId, Operation};

use super::*;
use honest::Honest;
use hostile::{Hostile, START, add, in_segment, inbox, place};

#[allow(dead_code, reason = "shared with the test `hostile`")]
#[path = "../common/honest.rs"]
mod honest;
#[allow(dead_code, reason = "shared with the test `hostile`")]
#[path = "../common/hostile.rs"]
mod hostile;

pub const STORIES: &[Story] = &[
    Story { name: "a record is lost on the way", tell: lost_record },
    Story { name: "a good record and a bad one", tell: good_and_bad },
    Story { name: "a member places in another's block", tell: in_anothers_block },
    Story { name: "a member writes into another's segment", tell: in_anothers_segment },
    Story { name: "a member gives another's slots away", tell: anothers_slots },
    Story { name: "an expunge of what is to come", tell: expunge_to_come },
    Story { name: "a UIDVALIDITY of the far future", tell: far_validity },
];

/// Two honest nodes that share an account and look at its INBOX.
fn two() -> (Honest, Honest) {
    let (mut a, mut b) = (Honest::first(), Honest::start(2));
    b.take(&a.log.clone()).expect("honest");
    for node in [&mut a, &mut b] {
        node.replica.look(account(), inbox()).expect("no disk");
        node.commit();
    }
    (a, b)
}

/// Both hear all that the other wrote, as far as they take it.
fn exchange(a: &mut Honest, b: &mut Honest) {
    for _ in 0..3 {
        let (of_a, of_b) = (a.log.clone(), b.log.clone());
        let _ = (a.take(&of_b), b.take(&of_a));
        a.look();
        b.look();
    }
}

/// What one node shows at a UID, or as an entry, another must not show otherwise.
fn same_names(a: &Honest, b: &Honest) -> Checked {
    for (uid, body) in a.picture() {
        for (other, second) in b.picture() {
            expect(uid != other || body == second, || {
                format!("U1: {} names two messages on two nodes", uid.0)
            })?;
        }
    }
    let rows = |node: &Honest| node.account().view(inbox()).rows;
    for here in rows(a).iter() {
        let there = rows(b).iter().find(|there| there.facts.entry == here.facts.entry).cloned();
        let same = there.is_none_or(|there| there.facts.body == here.facts.body);
        expect(same, || "U3: one entry has other octets on another node".to_owned())?;
    }
    Ok(())
}

fn lost_record() -> Checked {
    let (mut a, mut b) = two();
    let before = a.log.len();
    a.deliver(50);
    a.replica.create_mailbox(account(), "work", None).expect("created");
    a.commit();
    let written: Vec<_> = a.log[before..].to_vec();
    // Refused or not: it comes again with what was lost.
    let _ = b.take(&written[1..]);
    exchange(&mut a, &mut b);
    let (here, there) = (a.picture().len(), b.picture().len());
    expect(here == there, || format!("lost: of {here} messages another node shows {there} for good"))
}

fn good_and_bad() -> Checked {
    let (a, mut b) = two();
    let (mut hostile, first) = Hostile::start(1);
    let good = hostile.write(in_segment(2), vec![add(0, inbox(), None)]);
    let lost = hostile.write(in_segment(2), vec![add(1, inbox(), None)]);
    let bad = hostile.write(in_segment(2), vec![add(2, inbox(), None)]);
    let refused = b.take(&[first, good, bad]);
    drop(lost);
    expect(refused.is_err(), || "the story needs a bad record".to_owned())?;
    b.look();
    let here: Vec<_> = b.picture();
    let heard = b.replica.vector().last(&Incarnation([2; 16])).0;
    expect(here == a.picture(), || format!("U4: {} messages of {heard} records are shown", here.len()))
}

fn in_anothers_block() -> Checked {
    let (mut a, mut b) = two();
    let (mut hostile, first) = Hostile::start(1);
    let delta = [first, hostile.write(in_segment(2), vec![add(0, inbox(), None), place(0, a.validity(), 1)])];
    let _ = b.take(&delta);
    b.look();
    a.deliver(50);
    a.look();
    same_names(&a, &b)
}

fn in_anothers_segment() -> Checked {
    let (mut a, mut b) = two();
    a.deliver(50);
    a.look();
    let (mut hostile, first) = Hostile::start(1);
    let delta = [first, hostile.write(in_segment(1), vec![add(0, inbox(), None)])];
    let _ = b.take(&delta);
    b.look();
    same_names(&a, &b)
}

fn anothers_slots() -> Checked {
    let (mut a, mut b) = two();
    let own = a.replica.author().slot;
    let Some((slot, reserve)) = a.replica.cluster().next_grant(own) else { return violated("no slots") };
    let (mut hostile, first) = Hostile::start(1);
    let grant = Operation::Grant { inviter: own, slot, reserve };
    let taken = b.take(&[first, hostile.write(DocumentId::Cluster, vec![grant])]).is_ok();
    // The owner, apart, invites as well.
    let granted = a.replica.grant();
    expect(granted == Some((slot, reserve)), || "the story needs a grant".to_owned())?;
    expect(!taken, || format!("U1: two machines in one slot: {}", slot.number()))
}

/// \Deleted is taken off after the expunge was written, and before what that claims to have seen.
fn expunge_to_come() -> Checked {
    let (mut a, _) = two();
    a.deliver(50);
    a.look();
    let entries: Vec<_> = a.account().view(inbox()).rows.iter().map(|row| row.facts.entry).collect();
    let change = |node: &mut Honest, change| {
        node.replica
            .change_flags(account(), inbox(), &entries, change, &[Flag::Deleted], None)
            .expect("no disk");
        node.commit();
    };
    change(&mut a, FlagChange::Add);
    let moved = Stamp::ZERO;
    let deleted = Some(Stamp {
        timestamp: Timestamp::from_parts(Millis(START + 200_000), 0, NodeSlot::FIRST),
        incarnation: Incarnation([1; 16]),
    });
    let (mut hostile, first) = Hostile::start(1);
    let expunge = Operation::Expunge { entries: [0].into_iter().collect(), moved, deleted };
    let delta = [first, hostile.write(in_segment(1), vec![expunge])];
    change(&mut a, FlagChange::Remove);
    let _ = a.take(&delta);
    a.look();
    let left = a.picture().len();
    expect(left == 1, || "lost: \\Deleted was taken off after the expunge that struck".to_owned())
}

fn far_validity() -> Checked {
    let (mut a, _) = two();
    let far = Some(Validity(u32::MAX));
    let (mut hostile, first) = Hostile::start(1);
    let rename =
        Operation::RenameMailbox { mailboxes: vec![inbox()], name: "INBOX".to_owned(), validity: far };
    let _ = a.take(&[first, hostile.write(DocumentId::Account(account()), vec![rename])]);
    a.look();
    a.deliver(50);
    a.look();
    let shown = a.picture().len();
    expect(shown == 1, || format!("U6: no UIDVALIDITY is left: {shown} messages are shown"))
}
