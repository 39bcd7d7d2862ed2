//! Tokens of a configured issuer: whose they are, and whether they hold.
//!
//! [`policy`] decides over claims, [`jwt`] over signatures, [`introspection`] reads what the issuer says of a token: all of them
//! pure. [`keys`] says when the issuer's keys are to be fetched again, [`cache`] remembers, and [`shell`] asks the issuer.

pub mod cache;
pub mod introspection;
pub mod jwt;
pub mod keys;
pub mod policy;
pub mod shell;
