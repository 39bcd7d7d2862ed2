//! The fields of a message header that IMAP's ENVELOPE, threading and date searches want.

use serde::{Deserialize, Serialize};

use crate::address::{self, Address};
use crate::budget::{Budget, Budgets};
use crate::date::SentDate;
use crate::header::{trim, unfold};
use crate::octets::Octets;

/// Raw values of a message header (RFC 9051 7.5.2): unfolded and trimmed, encoded words (RFC 2047) not decoded.
///
/// Where a field that may stand once stands more often, the last counts, which is the one that the author wrote: what relays and
/// others add they put in front. Address lists are joined instead, so that nobody is hidden by another field of the same name
/// (RFC 5322 4.5.3 wants it so for `To`, `Cc` and `Bcc`). They are empty where the field is missing, empty, or was beyond what is
/// kept (see [`crate::limits`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// `Date`, as it stands.
    pub date: Option<Octets>,
    /// `Date`, parsed; `None` where it makes no sense.
    pub sent: Option<SentDate>,
    /// `Subject`.
    pub subject: Option<Octets>,
    /// `From`.
    pub from: Vec<Address>,
    /// `Sender`, as it stands: see [`Envelope::sender_or_from`].
    pub sender: Vec<Address>,
    /// `Reply-To`, as it stands: see [`Envelope::reply_to_or_from`].
    pub reply_to: Vec<Address>,
    /// `To`.
    pub to: Vec<Address>,
    /// `Cc`.
    pub cc: Vec<Address>,
    /// `Bcc`.
    pub bcc: Vec<Address>,
    /// `In-Reply-To`.
    pub in_reply_to: Option<Octets>,
    /// `Message-ID`.
    pub message_id: Option<Octets>,
    /// `References`.
    pub references: Option<Octets>,
}

impl Envelope {
    /// `Sender`, which a missing or empty field leaves to `From` (RFC 9051 7.5.2).
    pub fn sender_or_from(&self) -> &[Address] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// `Reply-To`, which a missing or empty field leaves to `From` (RFC 9051 7.5.2).
    pub fn reply_to_or_from(&self) -> &[Address] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }

    /// Takes in one field; `name` is lower case, `value` all after the colon, line ends included.
    pub(crate) fn absorb(&mut self, name: &[u8], value: &[u8], budgets: &mut Budgets) {
        let budget = &mut budgets.envelope;
        let addresses = &mut budgets.addresses;
        match name {
            b"date" => {
                keep_last(&mut self.date, value, budget);
                self.sent = self.date.as_deref().and_then(SentDate::parse);
            }
            b"subject" => keep_last(&mut self.subject, value, budget),
            b"from" => add_addresses(&mut self.from, value, addresses),
            b"sender" => add_addresses(&mut self.sender, value, addresses),
            b"reply-to" => add_addresses(&mut self.reply_to, value, addresses),
            b"to" => add_addresses(&mut self.to, value, addresses),
            b"cc" => add_addresses(&mut self.cc, value, addresses),
            b"bcc" => add_addresses(&mut self.bcc, value, addresses),
            b"in-reply-to" => keep_last(&mut self.in_reply_to, value, budget),
            b"message-id" => keep_last(&mut self.message_id, value, budget),
            b"references" => keep_last(&mut self.references, value, budget),
            _ => {}
        }
    }
}

/// Keeps the value of an unstructured field, once, where the budget allows.
pub(crate) fn keep(slot: &mut Option<Octets>, value: &[u8], budget: &mut Budget) {
    if slot.is_some() {
        return;
    }
    let unfolded = unfold(value);
    let trimmed = trim(&unfolded);
    if budget.take(trimmed.len()) {
        *slot = Some(trimmed.into());
    }
}

/// Keeps the value instead of one that came before.
fn keep_last(slot: &mut Option<Octets>, value: &[u8], budget: &mut Budget) {
    let mut last = None;
    keep(&mut last, value, budget);
    if last.is_some() {
        *slot = last;
    }
}

/// Adds the addresses of one more field of the same name.
fn add_addresses(slot: &mut Vec<Address>, value: &[u8], budget: &mut Budget) {
    slot.extend(address::parse_list(&unfold(value), budget));
}
