//! Commands to a serving node, through a socket in its data directory that nobody else can open.
//!
//! One line of JSON asks; lines of JSON answer: any number of `{"progress": …}`, then `{"done": …}` or `{"failed": …}`.

pub mod answer;
mod app_passwords;
pub mod client;
pub mod server;

use serde::{Deserialize, Serialize};

/// The longest line in either direction, in octets.
const LONGEST_LINE: usize = 64 << 20;

/// What a command asks of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// `user add`
    AddUser { name: String, password: String },
    /// `user list`
    ListUsers,
    /// `user passwd`
    SetPassword { name: String, password: String },
    /// `user remove`
    RemoveUser { name: String },
    /// `user quota`
    Quota { name: String, storage: Option<Limit>, messages: Option<Limit> },
    /// `user app-password add`
    AddAppPassword { name: String, label: String },
    /// `user app-password list`
    ListAppPasswords { name: String },
    /// `user app-password remove`
    RemoveAppPassword { name: String, which: String },
    /// `cluster invite`
    Invite,
    /// `cluster remove`
    RemoveNode { name: String, slot: Option<u8> },
    /// `bump`
    Bump { account: String, mailbox: String },
    /// `status`
    Status,
    /// `history`
    History { account: String, mailbox: Option<String> },
    /// `explain`
    Explain { account: String, mailbox: String, uid: u32 },
    /// `verify`
    Verify { repair: bool },
}

/// A limit as an operator gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// At most so many.
    Most(u64),
}

impl Limit {
    /// The limit as the store keeps it.
    pub fn most(self) -> Option<u64> {
        match self {
            Limit::Unlimited => None,
            Limit::Most(most) => Some(most),
        }
    }
}

impl Question {
    /// Whether it can be answered from the tables alone, without a new life of the node.
    pub fn only_reads(&self) -> bool {
        !matches!(
            self,
            Question::AddUser { .. }
                | Question::SetPassword { .. }
                | Question::RemoveUser { .. }
                | Question::Quota { .. }
                | Question::AddAppPassword { .. }
                | Question::RemoveAppPassword { .. }
                | Question::Invite
                | Question::RemoveNode { .. }
                | Question::Bump { .. }
        )
    }
}

/// One line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The work goes on.
    Progress(String),
    /// The answer.
    Done(serde_json::Value),
    /// Why there is none.
    Failed(String),
}
