//! Knows what clients saw and what was accepted, over all nodes and their lives, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::fold::mailbox::Epoch;
use peerpost_crdt::identity::{EntryId, Incarnation, NodeSlot, SLOTS, Uid, Validity};
use peerpost_crdt::vector::{Sequence, Vector};

use super::node::{Node, inbox};
use super::word::{Timed, Word, word_of};

/// What one node's clients saw of one epoch, by what is on its disk.
#[derive(Clone, Debug, Default, Hash)]
struct SeenOfEpoch {
    /// Every UID that was ever visible.
    ever: BTreeMap<Uid, EntryId>,
    visible: BTreeSet<Uid>,
    /// What was told last.
    uid_next: Uid,
    highest_modseq: Timestamp,
}

/// What lives that a disk has lost had shown of one epoch.
#[derive(Clone, Debug, Default, Hash)]
struct Lost {
    /// What clients saw before may come back as what it was.
    ever: BTreeMap<Uid, EntryId>,
    /// What comes new must lie above the UIDNEXT of a lost life all the same.
    uid_next: Uid,
}

/// What one node's clients saw.
#[derive(Clone, Debug, Default, Hash)]
pub struct Seen {
    epochs: BTreeMap<Validity, SeenOfEpoch>,
    validity: Option<Validity>,
    lost: BTreeMap<Validity, Lost>,
}

/// A change that a client was told is done, with the record that says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Done {
    entry: EntryId,
    life: Incarnation,
    sequence: Sequence,
}

/// Knows what clients saw and what was accepted.
#[derive(Clone, Default)]
pub struct Witness {
    /// U1: what each UID names, and who placed it.
    named: BTreeMap<(Validity, Uid), (EntryId, NodeSlot)>,
    seen: BTreeMap<usize, Seen>,
    accepted: BTreeSet<Done>,
    expunged: BTreeSet<Done>,
    word: OnceLock<Word>,
    state: OnceLock<Timed>,
}

impl Witness {
    /// A word for everything that it knows.
    pub fn word(&self) -> Word {
        let all = || word_of(&(&self.named, &self.seen, &self.accepted, &self.expunged));
        *self.word.get_or_init(all)
    }

    /// The same, moments apart.
    pub fn state(&self) -> &Timed {
        self.state.get_or_init(|| Timed::of(&(&self.named, &self.seen, &self.accepted, &self.expunged)))
    }

    /// What clients of a node saw until now.
    pub fn seen(&self, node: usize) -> Seen {
        self.seen.get(&node).cloned().unwrap_or_default()
    }

    /// The same, to be changed.
    pub fn next(&self) -> Witness {
        Witness { word: OnceLock::new(), state: OnceLock::new(), ..self.clone() }
    }

    /// A message was accepted, and is in the node's last record.
    pub fn accepted(&mut self, entry: EntryId, node: &Node) {
        self.accepted.insert(Done { entry, life: node.life(), sequence: node.replica.sequence() });
    }

    /// A message was expunged, which is in the node's last record.
    pub fn expunged(&mut self, entry: EntryId, node: &Node) {
        self.expunged.insert(Done { entry, life: node.life(), sequence: node.replica.sequence() });
    }

    /// A disk was rolled back: what these lives did on it, and nobody else has (`kept`), is lost. Its clients are shown what they
    /// had seen when the copy was made.
    pub fn rolled_back(&mut self, node: usize, lives: [Incarnation; 2], kept: &[&Vector], copied: &Seen) {
        for lost in lives {
            let has = |vector: &Vector, done: &Done| vector.last(&lost) >= done.sequence;
            let stays = |done: &Done| done.life != lost || kept.iter().any(|vector| has(vector, done));
            self.accepted.retain(stays);
            self.expunged.retain(stays);
        }
        let seen = self.seen.entry(node).or_default();
        let before = std::mem::replace(seen, copied.clone());
        for (validity, epoch) in before.epochs {
            let lost = seen.lost.entry(validity).or_default();
            lost.ever.extend(epoch.ever);
            lost.uid_next = lost.uid_next.max(epoch.uid_next);
        }
    }

    /// What cannot be promised (rule 8): a disk was rolled back behind what no other node had heard of, and all members
    /// confirmed the life that followed. What only the lost life placed and showed may be given again.
    pub fn nobody_witnessed(&mut self, node: usize, slot: NodeSlot) {
        self.seen.entry(node).or_default().lost.clear();
        let seen = &self.seen;
        let saw = |seen: &Seen, (validity, uid): &(Validity, Uid)| {
            seen.epochs.get(validity).is_some_and(|epoch| epoch.ever.contains_key(uid))
        };
        self.named.retain(|at, (_, placer)| *placer != slot || seen.values().any(|seen| saw(seen, at)));
    }

    /// Takes note of what a node shows now.
    pub fn observe(&mut self, node: &Node) {
        let Some(account) = node.replica.loaded().next() else { return };
        let view = account.view(inbox());
        let epoch = account.mailbox_state(&inbox()).and_then(|state| state.epoch());
        let (Some(validity), Some(epoch)) = (view.validity, epoch) else { return };
        let number = node.number;
        let seen = self.seen.entry(number).or_default();
        assert!(
            Some(validity) >= seen.validity,
            "U6: UIDVALIDITY fell on node {number} from {:?} to {validity}",
            seen.validity
        );
        seen.validity = Some(validity);
        let lost = seen.lost.get(&validity);
        let lost_next = lost.map_or(Uid::default(), |lost| lost.uid_next);
        let seen = seen.epochs.entry(validity).or_default();
        let rows: BTreeMap<Uid, EntryId> = view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
        for (uid, entry) in &rows {
            let (named, _) = *self
                .named
                .entry((validity, *uid))
                .or_insert_with(|| (*entry, placer(epoch, validity, *uid)));
            assert_eq!(named, *entry, "U1: {validity} {uid} names two messages, now on node {number}");
            let (known, before) =
                (seen.ever.insert(*uid, *entry), lost.and_then(|lost| lost.ever.get(uid)).copied());
            let same = known.into_iter().chain(before).all(|known| known == *entry);
            assert!(same, "U3: {uid} named another message on node {number}");
            let next = seen.uid_next.max(lost_next);
            let timely = seen.visible.contains(uid) || before.is_some() || *uid >= next;
            assert!(timely, "U2: {uid} is shown late on node {number}, after UIDNEXT {next}");
        }
        assert!(view.uid_next >= seen.uid_next, "UIDNEXT fell on node {number}");
        assert!(view.highest_modseq >= seen.highest_modseq, "HIGHESTMODSEQ fell on node {number}");
        assert!(rows.keys().all(|uid| *uid < view.uid_next), "UIDNEXT is not above what is visible");
        seen.visible = rows.into_keys().collect();
        seen.uid_next = view.uid_next;
        seen.highest_modseq = view.highest_modseq;
    }

    /// At rest every node shows what was accepted and not expunged, all the same (U4).
    pub fn observe_rest(&self, nodes: &[&Node]) {
        let expected: BTreeSet<EntryId> = {
            let expunged = |entry: &EntryId| self.expunged.iter().any(|done| done.entry == *entry);
            self.accepted.iter().map(|done| done.entry).filter(|entry| !expunged(entry)).collect()
        };
        let pictures: Vec<_> = nodes
            .iter()
            .map(|node| {
                let account = node.replica.loaded().next().expect("alice");
                assert_eq!(account.pending(), 0, "U4: something waits for ever on node {}", node.number);
                let view = account.view(inbox());
                let rows: BTreeMap<Uid, EntryId> =
                    view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
                let shown: BTreeSet<EntryId> = rows.values().copied().collect();
                assert_eq!(shown, expected, "what node {} shows is not what was accepted", node.number);
                (view.validity, rows, view.uid_next, view.highest_modseq)
            })
            .collect();
        for (node, picture) in nodes.iter().zip(&pictures) {
            assert_eq!(Some(picture), pictures.first(), "U4: node {} differs from the first", node.number);
        }
    }
}

/// Whose number a UID is: of its founder, or of the owner of its block.
fn placer(epoch: &Epoch, validity: Validity, uid: Uid) -> NodeSlot {
    let founder = || NodeSlot::new((validity.0 % u32::from(SLOTS)) as u8);
    let owner = || (0..SLOTS).filter_map(NodeSlot::new).find(|slot| epoch.dealing.owns(*slot, uid));
    let placer = if uid.0 <= epoch.founded { founder() } else { owner() };
    placer.expect("every UID is somebody's")
}
