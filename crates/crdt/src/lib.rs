//! The pure core of Peerpost: identities, hybrid time, the automerge documents of accounts and mailboxes, flags,
//! mailboxes, and the placement of messages at IMAP UIDs. It takes operations, bytes and a time, and gives operations,
//! bytes and changes; it reads no clock, no disk and no socket.

pub mod account;
pub mod clock;
pub mod document;
pub mod flag;
pub mod fold;
pub mod identity;
pub mod left_out;
pub mod modseq;
pub mod notice;
pub mod operation;
pub mod placement;
pub mod record;
pub mod replica;
pub mod rights;
pub mod vector;
pub mod view;
pub mod writer;
