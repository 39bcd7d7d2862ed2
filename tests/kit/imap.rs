//! A small blocking IMAP client that checks whatever it is told.
//!
//! It keeps the view a real client would keep of the selected mailbox, and panics when a response is not legal where it comes.
//! What it learns about UIDs it tells the [`Witness`].

mod client;
mod response;
mod view;

pub use self::client::{Client, Listing, Message, Reply, Status};
pub use self::response::Value;
