//! Trees of messages, and `* THREAD` (RFC 5256 section 4).

use super::super::super::put;
use super::super::found::Found;

/// How deep parentheses may stand in each other. What branches deeper is told as one chain: clients read recursively.
const DEEPEST: usize = 100;

/// Threads in their order.
#[derive(Debug, Default)]
pub(in super::super) struct Forest {
    pub(super) roots: Vec<usize>,
    pub(super) nodes: Vec<Branch>,
}

/// A message with those below it, or a dummy whose children have no parent that was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    pub(super) message: Option<Found>,
    pub(super) children: Vec<usize>,
}

/// What is still to be written.
enum Step {
    /// A thread in its parentheses, and how deep they stand.
    Open(usize, usize),
    Close,
}

impl Forest {
    pub(in super::super) fn write(&self, uid: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* THREAD");
        for (place, root) in self.roots.iter().enumerate() {
            if place == 0 {
                out.push(b' ');
            }
            self.write_thread(*root, uid, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_thread(&self, root: usize, uid: bool, out: &mut Vec<u8>) {
        let mut steps = vec![Step::Open(root, 1)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Close => out.push(b')'),
                Step::Open(node, depth) => {
                    out.push(b'(');
                    steps.push(Step::Close);
                    if depth < DEEPEST {
                        let branches = self.write_chain(node, uid, out);
                        steps.extend(branches.iter().rev().map(|child| Step::Open(*child, depth + 1)));
                    } else {
                        self.write_flat(node, uid, out);
                    }
                }
            }
        }
    }

    /// Writes messages as long as each has one child; gives the children of the last.
    fn write_chain(&self, mut node: usize, uid: bool, out: &mut Vec<u8>) -> &[usize] {
        let mut first = true;
        while let Some(branch) = self.nodes.get(node) {
            if let Some(message) = branch.message {
                write_number(message, uid, &mut first, out);
            }
            match branch.children.as_slice() {
                [child] => node = *child,
                [] => return &[],
                children => {
                    if !first {
                        out.push(b' ');
                    }
                    return children;
                }
            }
        }
        &[]
    }

    /// Writes all messages from here on as if each were the child of the one before.
    fn write_flat(&self, node: usize, uid: bool, out: &mut Vec<u8>) {
        let (mut rest, mut first) = (vec![node], true);
        while let Some(branch) = rest.pop().and_then(|node| self.nodes.get(node)) {
            if let Some(message) = branch.message {
                write_number(message, uid, &mut first, out);
            }
            rest.extend(branch.children.iter().rev());
        }
    }
}

fn write_number(message: Found, uid: bool, first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b' ');
    }
    put::number(message.number(uid).into(), out);
}
