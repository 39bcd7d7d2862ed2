//! An RFC 5322 message as IMAP sees it: structure, envelope, sections and text, without I/O.
//!
//! A message is scanned once, as its octets pass by ([`Scanner`]), and gives a [`Structure`]: octet ranges, types and
//! envelopes. From then on everything is answered from the structure and, where text is wanted, from ranges of the stored
//! octets: [`Structure::section`] says which, [`search_text`] reads them.
//!
//! Nothing here refuses a message: what is malformed is read tolerantly, what is beyond a bound of [`limits`] is covered by
//! a range and not taken apart.

mod address;
mod base_subject;
mod binary;
mod budget;
mod charset;
mod collation;
mod content;
mod date;
pub mod encode;
mod envelope;
mod frame;
mod header;
mod internal_date;
pub mod limits;
mod message_id;
mod octets;
mod parameter;
mod preview;
mod scanner;
mod search;
mod section;
mod structure;
mod transfer;
mod words;

pub use address::Address;
pub use base_subject::BaseSubject;
pub use binary::PartDecoder;
pub use charset::{Charset, CharsetDecoder};
pub use collation::casemap;
pub use date::SentDate;
pub use envelope::Envelope;
pub use header::{Field, Fields, fields};
pub use internal_date::{InternalDate, InternalDateError};
pub use message_id::MessageId;
pub use octets::Octets;
pub use preview::preview;
pub use scanner::Scanner;
pub use search::{Needle, Scope, TextSearch, search_text};
pub use section::{Section, SectionText};
pub use structure::{Content, ContentFields, Disposition, MediaType, Message, Parameter, Part, Structure};
pub use transfer::{TransferDecoder, TransferEncoding};
pub use words::decode_words;
