//! What an open session was told without having asked: how a merge looks to a mail client.

use std::collections::BTreeSet;

/// A message as a client knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: u32,
    /// Its EMAILID: the same on every node, under every UID.
    pub email_id: String,
    /// Its subject.
    pub subject: String,
    /// Its flags, without \Recent.
    pub flags: BTreeSet<String>,
}

impl Message {
    /// Its flags as text.
    pub fn flag_words(&self) -> String {
        self.flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// One response that nobody had asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The line of the protocol.
    pub line: String,
    /// What it says.
    pub news: News,
}

/// What a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A message that the client knew is gone.
    Gone(Message),
    /// There are more messages: the first new message number, and what the client then fetched.
    More(usize, Vec<Message>),
    /// A message has other flags: these.
    Flags(Message),
}

/// A row for each line, and for each message that is new: the line, and what it means to the user.
pub fn rows(told: &[Told]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for Told { line, news } in told {
        let meanings = match news {
            News::Gone(message) => {
                let again = if comes_again(told, message) { "; it comes again below" } else { "" };
                vec![format!("UID {}, {}, is gone{again}", message.uid, message.subject)]
            }
            News::More(_, messages) => messages
                .iter()
                .map(|message| format!("UID {}, {}, is new", message.uid, message.subject))
                .collect(),
            News::Flags(message) => {
                vec![format!("UID {}, {}, has other flags", message.uid, message.subject)]
            }
        };
        let lines = std::iter::once(line.clone()).chain(std::iter::repeat(String::new()));
        rows.extend(lines.zip(meanings).map(|(line, meaning)| vec![line, meaning]));
    }
    rows
}

/// Whether a message that is gone is also among the new ones.
fn comes_again(told: &[Told], gone: &Message) -> bool {
    told.iter().any(|Told { news, .. }| match news {
        News::More(_, messages) => messages.iter().any(|message| message.email_id == gone.email_id),
        News::Gone(_) | News::Flags(_) => false,
    })
}
