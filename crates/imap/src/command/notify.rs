//! What NOTIFY asks for (RFC 5465).

use super::fetch::FetchItem;

/// `notify` of RFC 5465 section 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// NONE: nothing at all, the selected mailbox included
    None,
    /// SET: from now on this, and nothing else
    Set(NotifySet),
    /// SET with an event that is not known here.
    Unsupported {
        /// Its name as written.
        event: String,
    },
    /// SET with more than is kept for one session.
    TooMuch,
}

/// What a client wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifySet {
    /// Whether a STATUS of each mailbox is to come first.
    pub status: bool,
    /// Of the selected mailbox, whichever it is.
    pub selected: NotifySelected,
    /// Of all other mailboxes: all groups count that a mailbox belongs to, up to the first that is NONE.
    pub groups: Vec<EventGroup>,
}

/// The events of SELECTED or SELECTED-DELAYED.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifySelected {
    /// MessageNew and MessageExpunge, which come together.
    pub messages: bool,
    /// FlagChange
    pub flags: bool,
    /// What is to be fetched of new messages. None of it sets \Seen.
    pub items: Vec<FetchItem>,
    /// Whether it is SELECTED-DELAYED: that messages are gone is told only where a command allows it.
    pub delayed: bool,
}

/// `event-group` about mailboxes that are not selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub mailboxes: MailboxFilter,
    /// Of what; of nothing where it is NONE.
    pub events: Events,
}

/// `filter-mailboxes-other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// INBOXES: where mail is delivered. That may be any mailbox, so that it is the same as PERSONAL (RFC 5465 section 6.3)
    Inboxes,
    /// PERSONAL
    Personal,
    /// SUBSCRIBED
    Subscribed,
    /// SUBTREE: these mailboxes and their inferiors
    Subtree(Vec<String>),
    /// MAILBOXES: these, without wildcards
    Mailboxes(Vec<String>),
}

/// The events of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// MessageNew and MessageExpunge, which come together.
    pub messages: bool,
    /// FlagChange
    pub flags: bool,
    /// MailboxName
    pub names: bool,
    /// SubscriptionChange
    pub subscriptions: bool,
    /// MailboxMetadataChange
    pub annotations: bool,
    /// ServerMetadataChange, which is about no mailbox
    pub account_annotations: bool,
}

impl Events {
    /// These events and others.
    pub fn and(self, others: Events) -> Events {
        Events {
            messages: self.messages || others.messages,
            flags: self.flags || others.flags,
            names: self.names || others.names,
            subscriptions: self.subscriptions || others.subscriptions,
            annotations: self.annotations || others.annotations,
            account_annotations: self.account_annotations || others.account_annotations,
        }
    }

    /// Whether there are any that are about mailboxes.
    pub fn concern_mailboxes(self) -> bool {
        self.messages || self.flags || self.names || self.subscriptions || self.annotations
    }
}
