//! What tests need of the other side: a client of SCRAM-SHA-256, and an issuer's key.

mod scram;
mod token;

pub use scram::{ScramClient, scram_proof};
pub use token::Signer;
