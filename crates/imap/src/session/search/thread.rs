//! The threads of THREAD (RFC 5256 section 3).

mod forest;
mod links;
mod ordered_subject;
mod references;
mod subjects;
#[cfg(test)]
mod tests;

use mailstore::ReadError;

use super::candidate::Candidate;
use super::found::Found;
use super::sort;
use crate::command::ThreadAlgorithm;
pub(super) use forest::Forest;
use links::{Links, References};
use subjects::{SubjectId, Subjects};

/// Messages of which threads are being made. What needs no other message is done as each is found.
pub(super) struct Threading {
    algorithm: ThreadAlgorithm,
    messages: Vec<Message>,
    subjects: Subjects,
    links: Links,
}

/// What is known of a message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    found: Found,
    /// The sent date in seconds.
    sent: i64,
    /// The internal date in seconds.
    received: i64,
    subject: SubjectId,
    /// Whether its subject has marks of a reply or of a forward.
    is_reply: bool,
}

impl Threading {
    pub(super) fn new(algorithm: ThreadAlgorithm) -> Self {
        Threading { algorithm, messages: Vec::new(), subjects: Subjects::default(), links: Links::default() }
    }

    pub(super) fn take(&mut self, found: Found, candidate: &mut Candidate<'_, '_>) -> Result<(), ReadError> {
        let structure = candidate.structure()?;
        let envelope = structure.envelope();
        let (sent, received) = (sort::sent(envelope, &candidate.row), candidate.row.facts.received.seconds);
        let (subject, is_reply) = match self.algorithm {
            // REFS does not look at subjects.
            ThreadAlgorithm::Refs => (String::new(), false),
            _ => sort::subject(envelope),
        };
        let references = match self.algorithm {
            ThreadAlgorithm::OrderedSubject => References::default(),
            _ => References { own: envelope.own_id(), referred: envelope.referred_ids() },
        };
        let subject = self.subjects.of(subject);
        self.add(Message { found, sent, received, subject, is_reply }, references);
        Ok(())
    }

    /// About what is kept of subjects and identifiers.
    pub(super) fn octets(&self) -> usize {
        self.links.octets() + self.subjects.octets()
    }

    fn add(&mut self, message: Message, references: References) {
        self.messages.push(message);
        if self.algorithm != ThreadAlgorithm::OrderedSubject {
            self.links.add(references);
        }
    }

    pub(super) fn finish(self) -> Forest {
        match self.algorithm {
            ThreadAlgorithm::OrderedSubject => ordered_subject::threads(self.messages),
            ThreadAlgorithm::References => references::threads(&self.messages, self.links),
            ThreadAlgorithm::Refs => references::threads_by_newest(&self.messages, self.links),
        }
    }
}
