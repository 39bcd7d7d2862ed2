//! What nodes send each other: changes under (incarnation, sequence), stored and forwarded as they are.

use serde::{Deserialize, Serialize};

use crate::document::{self, Chain, LONGEST_CHANGE};
use crate::identity::Incarnation;
use crate::operation::{DocumentId, Operation, Seal};
use crate::vector::Sequence;

/// The first octet of a record's bytes: the format of what follows.
const RECORD_FORMAT: u8 = 1;

/// One change to one document, in the order in which its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The life that wrote it.
    pub incarnation: Incarnation,
    /// Its number in that life, from 1.
    pub sequence: Sequence,
    /// The document and the change, opaque to whoever forwards it.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Wraps a change.
    pub fn new(incarnation: Incarnation, sequence: Sequence, document: &DocumentId, change: &[u8]) -> Self {
        let mut bytes = vec![RECORD_FORMAT];
        bytes.extend(
            postcard::to_stdvec(document)
                .expect("document names are plain data, which postcard always encodes"),
        );
        bytes.extend_from_slice(change);
        Record { incarnation, sequence, bytes }
    }

    /// The document and the change's octets; `None` if the bytes are no record, or too long.
    pub fn parts(&self) -> Option<(DocumentId, &[u8])> {
        let (&RECORD_FORMAT, rest) = self.bytes.split_first()? else {
            return None;
        };
        let (document, change) = postcard::take_from_bytes(rest).ok()?;
        (change.len() <= LONGEST_CHANGE).then_some((document, change))
    }

    /// What the first record of a life says of the life before; none where there is none, or where the record is another.
    pub fn seals(&self) -> Option<Seal> {
        let (document, change) = self.parts().filter(|_| self.sequence == Sequence(1))?;
        let checked = document::check(self.incarnation, &Chain::default(), change).ok()?;
        match checked.operations.first() {
            Some((_, Operation::Start { seals, .. })) if document == DocumentId::Cluster => *seals,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccountId;

    #[test]
    fn parts_come_back() {
        let document = DocumentId::Account(AccountId([7; 16]));
        let record = Record::new(Incarnation([1; 16]), Sequence(4), &document, b"change");
        assert_eq!(record.parts(), Some((document, b"change".as_slice())));
        assert_eq!(Record { bytes: vec![9, 9], ..record.clone() }.parts(), None);
        assert_eq!(Record { bytes: vec![], ..record }.parts(), None);
    }
}
