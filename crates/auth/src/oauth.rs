//! Tokens of a configured issuer: whose they are, and whether they hold.
//!
//! [`policy`] decides over claims, [`jwt`] over signatures, [`introspection`] reads what the issuer says of a token: all of them
//! pure. [`cache`] remembers, and [`shell`] asks the issuer.

pub mod cache;
pub mod introspection;
pub mod jwt;
pub mod policy;
pub mod shell;
