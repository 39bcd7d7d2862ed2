//! One of the two sides: a node, and the mail client that looks on it.

use std::collections::BTreeMap;

use super::imap::Session;
use super::lmtp;
use super::nodes::Node;
use super::told::Message;
use crate::failure::Failure;

/// The account of the demo.
pub const ACCOUNT: &str = "alice";

/// A side.
pub struct Site {
    /// The node.
    pub node: Node,
    /// The client that keeps INBOX open.
    pub client: Session,
    /// A second client, which looks at every mailbox when the sides are compared.
    visitor: Session,
    /// What clients of this side were ever shown.
    seen: Seen,
}

/// Every name that a message was ever shown under: mailbox, UIDVALIDITY and UID, and the EMAILID it named.
pub type Seen = BTreeMap<(String, u32, u32), String>;

/// One mailbox of one side: UIDVALIDITY, and the messages by UID.
pub type Listing = (u32, BTreeMap<u32, Message>);

impl Site {
    /// Clients on a serving node.
    pub async fn open(node: Node, password: &str) -> Result<Self, Failure> {
        let mut client = Session::open(node.imap, ACCOUNT, password).await?;
        client.select("INBOX").await?;
        let visitor = Session::open(node.imap, ACCOUNT, password).await?;
        Ok(Site { node, client, visitor, seen: Seen::new() })
    }

    /// What the node is called.
    pub fn name(&self) -> &'static str {
        self.node.name
    }

    /// Hands the node a message; the client hears of it at its next refresh.
    pub async fn deliver(&self, subject: &str) -> Result<(), Failure> {
        let (name, id) =
            (self.node.name, subject.to_lowercase().replace(|letter: char| !letter.is_alphanumeric(), "-"));
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!(
            "From: Sender <sender@example.org>\r\nTo: {ACCOUNT}@example.com\r\nSubject: {subject}\r\n\
             Date: {date}\r\nMessage-ID: <{id}@example.org>\r\n\r\nThis was accepted by {name}.\r\n"
        );
        lmtp::deliver(self.node.lmtp, ACCOUNT, &message).await
    }

    /// The client hears what is new.
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        self.client.refresh().await?;
        let validity = self.client.validity();
        let shown: Vec<Message> = self.client.messages().cloned().collect();
        remember(&mut self.seen, self.node.name, "INBOX", validity, shown.iter())
    }

    /// Every mailbox as a client finds it that opens it now.
    pub async fn listings(&mut self) -> Result<BTreeMap<String, Listing>, Failure> {
        let mut listings = BTreeMap::new();
        for mailbox in self.visitor.mailboxes().await? {
            self.visitor.select(&mailbox).await?;
            let validity = self.visitor.validity();
            let messages = self.visitor.messages().map(|message| (message.uid, message.clone())).collect();
            remember(&mut self.seen, self.node.name, &mailbox, validity, self.visitor.messages())?;
            listings.insert(mailbox, (validity, messages));
        }
        Ok(listings)
    }

    /// Everything that clients of this side were ever shown.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The client's INBOX, by subject.
    pub fn inbox(&self) -> BTreeMap<&str, &Message> {
        self.client.messages().map(|message| (message.subject.as_str(), message)).collect()
    }
}

/// Notes what was shown; fails if a name meant another message before.
pub fn remember<'a>(
    seen: &mut Seen,
    node: &str,
    mailbox: &str,
    validity: u32,
    messages: impl Iterator<Item = &'a Message>,
) -> Result<(), Failure> {
    for Message { uid, email_id, subject, .. } in messages {
        let before = seen.entry((mailbox.to_owned(), validity, *uid)).or_insert_with(|| email_id.clone());
        if before != email_id {
            return Err(Failure::new(format!(
                "on {node} UID {uid} of {mailbox} (UIDVALIDITY {validity}) named two messages; the second is {subject:?}"
            )));
        }
    }
    Ok(())
}
