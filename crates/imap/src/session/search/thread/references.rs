//! REFERENCES (RFC 5256 section 3) and REFS: threads by what messages refer to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::found::Found;
use super::Message;
use super::forest::{Branch, Forest};
use super::links::{Linked, Links};
use super::subjects::SubjectId;

/// REFERENCES: threads that have one base subject are merged; they stand in the order of their first messages.
pub(super) fn threads(messages: &[Message], links: Links) -> Forest {
    let mut trees = Trees::new(messages, links.link());
    trees.sort_siblings();
    trees.sort_roots();
    trees.merge_by_subject();
    trees.sort_siblings();
    trees.sort_roots();
    trees.forest
}

/// REFS: references alone; the thread with the newest message, by its internal date, is the last.
pub(super) fn threads_by_newest(messages: &[Message], links: Links) -> Forest {
    let mut trees = Trees::new(messages, links.link());
    trees.sort_siblings();
    trees.sort_roots_by_newest();
    trees.forest
}

struct Trees<'a> {
    forest: Forest,
    /// What is known of the message of each node; nothing of a dummy.
    messages: Vec<Option<&'a Message>>,
}

impl<'a> Trees<'a> {
    /// Steps 2 and 3: the trees, dummies taken out that have no use.
    fn new(messages: &'a [Message], linked: Linked) -> Self {
        let of_node = |message: &Option<usize>| message.and_then(|message| messages.get(message));
        let messages: Vec<Option<&Message>> = linked.messages.iter().map(of_node).collect();
        let branch = |message: &Option<&Message>| Branch {
            message: message.map(|message| message.found),
            children: Vec::new(),
        };
        let mut forest = Forest { roots: Vec::new(), nodes: messages.iter().map(branch).collect() };
        for (node, parent) in linked.parents.iter().enumerate() {
            match parent.map(|parent| forest.nodes.get_mut(parent)) {
                Some(Some(parent)) => parent.children.push(node),
                _ => forest.roots.push(node),
            }
        }
        let mut trees = Trees { forest, messages };
        trees.prune();
        trees
    }

    /// Every node below the roots, and the roots, each before those below it.
    fn downward(&self) -> Vec<usize> {
        let mut order = self.forest.roots.clone();
        let mut next = 0;
        while let Some(branch) = order.get(next).and_then(|node| self.forest.nodes.get(*node)) {
            order.extend(&branch.children);
            next += 1;
        }
        order
    }

    /// Step 3: the children of a dummy take its place; at the top only where it is a single one.
    fn prune(&mut self) {
        for node in self.downward().into_iter().rev() {
            let Some(children) = self.take_children(node) else { continue };
            let children = self.without_dummies(children);
            if let Some(branch) = self.forest.nodes.get_mut(node) {
                branch.children = children;
            }
        }
        let roots = std::mem::take(&mut self.forest.roots);
        for root in roots {
            let Some(branch) = self.forest.nodes.get(root) else { continue };
            match (branch.message, branch.children.as_slice()) {
                (None, []) => {}
                (None, [child]) => self.forest.roots.push(*child),
                _ => self.forest.roots.push(root),
            }
        }
    }

    /// The nodes with the children of each dummy in its stead; those were done before.
    fn without_dummies(&mut self, nodes: Vec<usize>) -> Vec<usize> {
        let mut kept: Vec<usize> = Vec::new();
        for node in nodes {
            if self.messages.get(node).is_some_and(Option::is_some) {
                kept.push(node);
                continue;
            }
            let mut children = self.take_children(node).unwrap_or_default();
            // The longer list is kept, so that a row of dummies above many messages costs little; they are sorted later.
            if children.len() > kept.len() {
                std::mem::swap(&mut children, &mut kept);
            }
            kept.append(&mut children);
        }
        kept
    }

    fn take_children(&mut self, node: usize) -> Option<Vec<usize>> {
        self.forest.nodes.get_mut(node).map(|branch| std::mem::take(&mut branch.children))
    }

    /// Step 6: siblings by their sent dates, those of the youngest generation first.
    fn sort_siblings(&mut self) {
        for node in self.downward().into_iter().rev() {
            let Some(mut children) = self.take_children(node) else { continue };
            children.sort_by_key(|child| self.sent(*child));
            if let Some(branch) = self.forest.nodes.get_mut(node) {
                branch.children = children;
            }
        }
    }

    /// Step 4.
    fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.forest.roots);
        roots.sort_by_key(|root| self.sent(*root));
        self.forest.roots = roots;
    }

    fn sort_roots_by_newest(&mut self) {
        let mut newest: Vec<Option<(i64, Found)>> =
            self.messages.iter().map(|message| message.map(|of| (of.received, of.found))).collect();
        for node in self.downward().into_iter().rev() {
            let below = self.forest.nodes.get(node).map(|branch| branch.children.as_slice());
            let below =
                below.unwrap_or_default().iter().filter_map(|child| newest.get(*child).copied()).max();
            if let (Some(slot), Some(below)) = (newest.get_mut(node), below) {
                *slot = below.max(*slot);
            }
        }
        self.forest.roots.sort_by_key(|root| newest.get(*root).copied().flatten());
    }

    /// The message that stands for a node: its own, or that of the first child of a dummy.
    fn shown(&self, node: usize) -> Option<&'a Message> {
        let own = self.messages.get(node).copied().flatten();
        own.or_else(|| {
            let first = self.forest.nodes.get(node)?.children.first()?;
            self.messages.get(*first).copied().flatten()
        })
    }

    fn sent(&self, node: usize) -> Option<(i64, Found)> {
        self.shown(node).map(|message| (message.sent, message.found))
    }

    fn is_dummy(&self, node: usize) -> bool {
        self.messages.get(node).is_none_or(Option::is_none)
    }

    fn is_reply(&self, node: usize) -> bool {
        self.shown(node).is_some_and(|message| message.is_reply)
    }

    /// Step 5: threads of one base subject become one.
    fn merge_by_subject(&mut self) {
        let mut table = self.subject_table();
        let before = self.messages.len();
        let roots = std::mem::take(&mut self.forest.roots);
        let mut merged = BTreeSet::new();
        for root in roots.iter().copied() {
            let subject = self.shown(root).map(|message| message.subject);
            let kept = subject.and_then(|subject| Some((subject, *table.get(&subject)?)));
            let Some((subject, kept)) = kept.filter(|(_, kept)| *kept != root) else { continue };
            merged.insert(root);
            if let Some(dummy) = self.merge(root, kept) {
                merged.insert(kept);
                table.insert(subject, dummy);
            }
        }
        let made = before..self.messages.len();
        self.forest.roots = roots.into_iter().chain(made).filter(|root| !merged.contains(root)).collect();
    }

    /// Step 5 B: the root that threads of a subject are merged into.
    fn subject_table(&self) -> BTreeMap<SubjectId, usize> {
        let mut table = BTreeMap::new();
        for root in self.forest.roots.iter().copied() {
            let Some(subject) = self.shown(root).map(|message| message.subject) else { continue };
            if subject == SubjectId::EMPTY {
                continue;
            }
            let kept = *table.entry(subject).or_insert(root);
            let better = self.is_dummy(root) || (self.is_reply(kept) && !self.is_reply(root));
            if !self.is_dummy(kept) && better {
                table.insert(subject, root);
            }
        }
        table
    }

    /// Step 5 C: merges a thread into the one in the table; gives the dummy that takes the place of that, if so.
    fn merge(&mut self, root: usize, kept: usize) -> Option<usize> {
        let below = match (self.is_dummy(kept), self.is_dummy(root)) {
            (true, true) => self.take_children(root).unwrap_or_default(),
            (true, false) => vec![root],
            (false, _) if self.is_reply(root) && !self.is_reply(kept) => vec![root],
            (false, _) => {
                let dummy = self.forest.nodes.len();
                self.forest.nodes.push(Branch { message: None, children: vec![kept, root] });
                self.messages.push(None);
                return Some(dummy);
            }
        };
        if let Some(branch) = self.forest.nodes.get_mut(kept) {
            branch.children.extend(below);
        }
        None
    }
}
