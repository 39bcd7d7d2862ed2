//! ORDEREDSUBJECT (RFC 5256 section 3): the messages of one base subject are a thread, the first one above all others.

use std::collections::BTreeMap;

use super::Message;
use super::forest::{Branch, Forest};
use super::subjects::SubjectId;

/// The threads, in the order of their first messages.
pub(super) fn threads(mut messages: Vec<Message>) -> Forest {
    messages.sort_by_key(|message| (message.sent, message.found));
    let (mut forest, mut firsts) = (Forest::default(), BTreeMap::<SubjectId, usize>::new());
    for (node, message) in messages.iter().enumerate() {
        forest.nodes.push(Branch { message: Some(message.found), children: Vec::new() });
        let first = *firsts.entry(message.subject).or_insert(node);
        match forest.nodes.get_mut(first) {
            Some(branch) if first != node => branch.children.push(node),
            _ => forest.roots.push(node),
        }
    }
    forest
}
