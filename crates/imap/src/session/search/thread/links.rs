//! Which message is whose parent by what the messages refer to (RFC 5256 section 3, step 1 of REFERENCES).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use message::MessageId;

use super::subjects::ENTRY_COST;

/// What a message says of itself and of others.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    pub(super) own: Option<MessageId>,
    /// Eldest first.
    pub(super) referred: Vec<MessageId>,
}

/// Stands for a message, or for an identifier of which no message was found.
pub(super) type Node = usize;

/// What every node is: the number of the message, in the order of adding, or a dummy.
pub(super) struct Linked {
    pub(super) messages: Vec<Option<usize>>,
    pub(super) parents: Vec<Option<Node>>,
}

/// The references of the messages that were found.
#[derive(Default)]
pub(super) struct Links {
    ids: BTreeMap<MessageId, Node>,
    messages: Vec<Option<usize>>,
    count: usize,
    /// The node of each message, and where its references begin in `referred`.
    own: Vec<(Node, usize)>,
    referred: Vec<Node>,
    octets: usize,
}

impl Links {
    /// Takes the next message. One without an identifier, or with one that another message has, stands for itself.
    pub(super) fn add(&mut self, references: References) {
        let message = self.count;
        self.count += 1;
        let named = references.own.map(|id| self.node_of(id));
        let node = match named {
            Some(node) if self.messages.get(node).is_some_and(Option::is_none) => node,
            _ => self.new_node(),
        };
        if let Some(slot) = self.messages.get_mut(node) {
            *slot = Some(message);
        }
        self.own.push((node, self.referred.len()));
        for id in references.referred {
            let referred = self.node_of(id);
            // What a message says of itself is no reference; a name that another message has is not it either.
            if referred != node && Some(referred) != named {
                self.referred.push(referred);
            }
        }
        self.octets += ENTRY_COST;
    }

    /// About what is kept.
    pub(super) fn octets(&self) -> usize {
        self.octets + self.referred.len() * size_of::<Node>()
    }

    fn node_of(&mut self, id: MessageId) -> Node {
        let next = self.messages.len();
        let length = id.len();
        match self.ids.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                new.insert(next);
                self.octets += length + ENTRY_COST;
                self.new_node()
            }
        }
    }

    fn new_node(&mut self) -> Node {
        self.messages.push(None);
        self.messages.len() - 1
    }

    /// Links all nodes, without loops.
    ///
    /// What a message says of its own parent counts before what others say of it (step 1 B), so those links are made
    /// first: then no link has to be broken, and whether one would close a loop is quickly known. Links that others tell
    /// follow in their order (step 1 A).
    pub(super) fn link(self) -> Linked {
        let Links { messages, own, referred, .. } = self;
        let mut trees = Trees::new(messages.len());
        let ends = own.iter().skip(1).map(|(_, start)| *start).chain([referred.len()]);
        let of_message = |start: usize, end: usize| referred.get(start..end).unwrap_or_default();
        for ((node, start), end) in own.iter().zip(ends.clone()) {
            if let Some(parent) = of_message(*start, end).last() {
                trees.link(*parent, *node);
            }
        }
        for ((_, start), end) in own.iter().zip(ends) {
            for pair in of_message(*start, end).windows(2) {
                if let [parent, child] = pair {
                    trees.link(*parent, *child);
                }
            }
        }
        Linked { messages, parents: trees.parents }
    }
}

/// Trees that grow together: a node without a parent may get one.
struct Trees {
    parents: Vec<Option<Node>>,
    /// A node further up in the same tree, or the node itself where it is the root.
    above: Vec<Node>,
}

impl Trees {
    fn new(count: usize) -> Self {
        Trees { parents: vec![None; count], above: (0..count).collect() }
    }

    /// Makes one the parent of the other, unless that has a parent or is above it.
    fn link(&mut self, parent: Node, child: Node) {
        if self.parents.get(child).is_none_or(Option::is_some) || self.root(parent) == child {
            return;
        }
        if let (Some(slot), Some(above)) = (self.parents.get_mut(child), self.above.get_mut(child)) {
            (*slot, *above) = (Some(parent), parent);
        }
    }

    /// The root of the tree; the way to it becomes shorter.
    fn root(&mut self, mut node: Node) -> Node {
        loop {
            let above = self.above.get(node).copied().unwrap_or(node);
            if above == node {
                return node;
            }
            let further = self.above.get(above).copied().unwrap_or(above);
            if let Some(slot) = self.above.get_mut(node) {
                *slot = further;
            }
            node = further;
        }
    }
}
