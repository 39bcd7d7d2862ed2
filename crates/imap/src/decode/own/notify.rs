//! NOTIFY (RFC 5465 section 8).

use mailstore::account::canonical_name;

use crate::command::{
    CommandBody, EventGroup, Events, FetchItem, MailboxFilter, Notify, NotifySelected, NotifySet,
};
use crate::mailbox_name::NameEncoding;

use super::super::cursor::{Cursor, Expected, Read};
use super::{fetch, multi_search};

/// The most octets of a NOTIFY, names of mailboxes in literals included: it is kept as long as the session.
pub(in super::super) const MOST_OCTETS: usize = 4096;
/// The most event groups.
const MOST_GROUPS: usize = 50;
/// The most mailboxes named in all groups together.
const MOST_NAMES: usize = 200;
/// The most items to be fetched of a new message.
const MOST_ITEMS: usize = 50;

/// `notify = "NOTIFY" SP (notify-set / notify-none)`, from behind the name on.
pub(super) fn notify(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let start = cursor.place();
    match cursor.word("SET or NONE")?.as_str() {
        "NONE" => return Ok(CommandBody::Notify(Notify::None)),
        "SET" => cursor.space()?,
        _ => return Err(Expected::Grammar("SET or NONE")),
    }
    let mut reading = Reading { names, set: NotifySet::default(), selected: false, unsupported: None };
    if cursor.accept_word("STATUS") {
        reading.set.status = true;
        cursor.space()?;
    }
    loop {
        reading.group(cursor)?;
        let mut ahead = *cursor;
        if ahead.end().is_ok() {
            break;
        }
        cursor.space()?;
    }
    let Reading { set, unsupported, .. } = reading;
    Ok(CommandBody::Notify(match unsupported {
        Some(event) => Notify::Unsupported { event },
        None if cursor.place() - start > MOST_OCTETS || is_too_much(&set) => Notify::TooMuch,
        None => Notify::Set(set),
    }))
}

fn is_too_much(set: &NotifySet) -> bool {
    let count = |group: &EventGroup| match &group.mailboxes {
        MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.len(),
        _ => 0,
    };
    set.groups.len() > MOST_GROUPS
        || set.groups.iter().map(count).sum::<usize>() > MOST_NAMES
        || set.selected.items.len() > MOST_ITEMS
}

struct Reading {
    names: NameEncoding,
    set: NotifySet,
    /// Whether there was a group about the selected mailbox.
    selected: bool,
    /// An event that is not known.
    unsupported: Option<String>,
}

/// Which mailboxes a group is about.
enum Filter {
    Selected { delayed: bool },
    Other(MailboxFilter),
}

/// The events of a group as they stand there.
#[derive(Default)]
struct Listed {
    new: bool,
    expunge: bool,
    /// FlagChange or AnnotationChange, which needs the former two.
    needs_both: bool,
    events: Events,
    /// An event that is none of messages.
    other: bool,
    items: Option<Vec<FetchItem>>,
}

impl Reading {
    /// `event-group = "(" filter-mailboxes SP events ")"`
    fn group(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        cursor.expect(b'(', "an event group in parentheses")?;
        let filter = self.filter(cursor)?;
        cursor.space()?;
        let listed = match cursor.accept_word("NONE") {
            true => Listed::default(),
            false => self.events(cursor)?,
        };
        cursor.expect(b')', "NONE, or events in parentheses, and a closing parenthesis")?;
        self.add(filter, listed)
    }

    fn filter(&self, cursor: &mut Cursor<'_>) -> Read<Filter> {
        const EXPECTED: Expected = Expected::Grammar(
            "SELECTED, SELECTED-DELAYED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE or MAILBOXES",
        );
        Ok(match cursor.word("a filter of mailboxes")?.as_str() {
            "SELECTED" => Filter::Selected { delayed: false },
            "SELECTED-DELAYED" => Filter::Selected { delayed: true },
            "INBOXES" => Filter::Other(MailboxFilter::Inboxes),
            "PERSONAL" => Filter::Other(MailboxFilter::Personal),
            "SUBSCRIBED" => Filter::Other(MailboxFilter::Subscribed),
            "SUBTREE" => Filter::Other(MailboxFilter::Subtree(self.mailboxes(cursor)?)),
            "MAILBOXES" => Filter::Other(MailboxFilter::Mailboxes(self.mailboxes(cursor)?)),
            _ => return Err(EXPECTED),
        })
    }

    fn mailboxes(&self, cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
        let names = multi_search::mailboxes(cursor, self.names)?;
        Ok(names.iter().map(|name| canonical_name(name).into_owned()).collect())
    }

    fn events(&mut self, cursor: &mut Cursor<'_>) -> Read<Listed> {
        let mut listed = Listed::default();
        let events = cursor.list(|cursor| self.event(cursor, &mut listed))?;
        if events.is_empty() { Err(Expected::Grammar("at least one event")) } else { Ok(listed) }
    }

    fn event(&mut self, cursor: &mut Cursor<'_>, listed: &mut Listed) -> Read<()> {
        let name = cursor.atom("an event")?;
        match name.to_ascii_uppercase().as_str() {
            "MESSAGENEW" => {
                listed.new = true;
                let mut ahead = *cursor;
                if ahead.space().is_ok() && ahead.peek() == Some(b'(') {
                    *cursor = ahead;
                    listed.items = Some(items(cursor)?);
                }
            }
            "MESSAGEEXPUNGE" => listed.expunge = true,
            "FLAGCHANGE" => (listed.needs_both, listed.events.flags) = (true, true),
            "MAILBOXNAME" => (listed.other, listed.events.names) = (true, true),
            "SUBSCRIPTIONCHANGE" => (listed.other, listed.events.subscriptions) = (true, true),
            "MAILBOXMETADATACHANGE" => (listed.other, listed.events.annotations) = (true, true),
            "SERVERMETADATACHANGE" => (listed.other, listed.events.account_annotations) = (true, true),
            known => {
                match known {
                    "ANNOTATIONCHANGE" => listed.needs_both = true,
                    _ => listed.other = true,
                }
                self.unsupported.get_or_insert_with(|| name.to_owned());
            }
        }
        Ok(())
    }

    /// Takes a group up, if its parts go together (RFC 5465 sections 5, 6.1 and 8).
    fn add(&mut self, filter: Filter, listed: Listed) -> Read<()> {
        let Listed { new, expunge, needs_both, events, other, items } = listed;
        if new != expunge {
            return Err(Expected::Rule("MessageNew and MessageExpunge go together".into()));
        }
        if needs_both && !new {
            return Err(Expected::Rule("FlagChange needs MessageNew and MessageExpunge beside it".into()));
        }
        let selects = matches!(filter, Filter::Selected { .. });
        let again = selects && std::mem::replace(&mut self.selected, true);
        match filter {
            _ if again => {
                return Err(Expected::Rule("Only one group can be about the selected mailbox".into()));
            }
            Filter::Selected { .. } if other => {
                return Err(Expected::Rule("SELECTED goes with events of messages alone".into()));
            }
            Filter::Selected { delayed } => {
                let items = items.unwrap_or_default();
                self.set.selected = NotifySelected { messages: new, flags: events.flags, items, delayed };
            }
            Filter::Other(_) if items.is_some() => {
                return Err(Expected::Rule("Items can be fetched of the selected mailbox alone".into()));
            }
            Filter::Other(mailboxes) => {
                self.set.groups.push(EventGroup { mailboxes, events: Events { messages: new, ..events } });
            }
        }
        Ok(())
    }
}

/// `"(" fetch-att *(SP fetch-att) ")"`. Nobody reads a message by having it told: \Seen is left alone (RFC 5465 section 5.2 warns
/// clients of items that would set it).
fn items(cursor: &mut Cursor<'_>) -> Read<Vec<FetchItem>> {
    let mut items = Vec::new();
    cursor.list(|cursor| fetch::item(cursor).map(|item| fetch::push(&mut items, peeking(item))))?;
    if items.is_empty() { Err(Expected::Grammar("at least one item")) } else { Ok(items) }
}

fn peeking(item: FetchItem) -> FetchItem {
    match item {
        FetchItem::Section { section, partial, .. } => FetchItem::Section { section, partial, peek: true },
        FetchItem::Binary { part, partial, .. } => FetchItem::Binary { part, partial, peek: true },
        // RFC822 and RFC822.TEXT have no other name without \Seen; what sets it is not the item but the command.
        item => item,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::command;

    const NAMES: NameEncoding = NameEncoding::ModifiedUtf7;

    fn notify(text: &str) -> Notify {
        match command(format!("a NOTIFY {text}").as_bytes(), NAMES).map(|command| command.body) {
            Ok(CommandBody::Notify(notify)) => notify,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn set(text: &str) -> NotifySet {
        match notify(text) {
            Notify::Set(set) => set,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The example of RFC 5465 section 3.1, with the parentheses of erratum 1804.
    #[test]
    fn groups_and_their_events_are_read() {
        let set = set(concat!(
            "set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge)) ",
            "(subtree (Lists \"a b\") (messagenew MESSAGEEXPUNGE FlagChange)) (mailboxes inbox NONE) ",
            "(personal (MailboxName SubscriptionChange ServerMetadataChange))"
        ));
        assert!(set.status && set.selected.messages && !set.selected.flags && !set.selected.delayed);
        assert_eq!(set.selected.items.len(), 2);
        let events = Events { messages: true, flags: true, ..Events::default() };
        let names =
            Events { names: true, subscriptions: true, account_annotations: true, ..Events::default() };
        let group = |mailboxes, events| EventGroup { mailboxes, events };
        assert_eq!(
            set.groups,
            [
                group(MailboxFilter::Subtree(vec!["Lists".to_owned(), "a b".to_owned()]), events),
                group(MailboxFilter::Mailboxes(vec!["INBOX".to_owned()]), Events::default()),
                group(MailboxFilter::Personal, names)
            ]
        );
        assert_eq!(notify("none"), Notify::None);
        let delayed = self::set("SET (SELECTED-DELAYED (MessageExpunge FlagChange MessageNew))").selected;
        assert!(delayed.delayed && delayed.flags && delayed.messages);
        assert_eq!(self::set("SET (SELECTED NONE)").selected, NotifySelected::default());
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for text in [
            "SET",
            "SET STATUS",
            "NONE STATUS",
            "ALL",
            "SET (selected)",
            "SET (selected ())",
            "SET (personal (MessageNew))",
            "SET (personal (MessageExpunge))",
            "SET (personal (FlagChange))",
            "SET (personal (AnnotationChange))",
            "SET (selected (FlagChange))",
            "SET (selected NONE) (selected-delayed NONE)",
            "SET (selected NONE) (selected NONE)",
            "SET (selected (MailboxName))",
            "SET (selected (MessageNew MessageExpunge ServerMetadataChange))",
            "SET (personal (MessageNew (UID) MessageExpunge))",
            "SET (selected (MessageNew () MessageExpunge))",
            "SET (selected (MessageNew (XYZZY) MessageExpunge))",
            "SET (subtree () NONE)",
            "SET (subtree NONE)",
            "SET (everything NONE)",
            "SET (personal NONE) x",
            "SET personal NONE",
        ] {
            let error = command(format!("a NOTIFY {text}").as_bytes(), NAMES).unwrap_err();
            assert!(error.tag.is_some(), "{text}");
        }
    }

    /// RFC 5465 section 3.1: NO, not BAD.
    #[test]
    fn unknown_events_are_named() {
        for (text, event) in [
            ("SET (personal (MessageNew MessageExpunge AnnotationChange))", "AnnotationChange"),
            ("SET (personal (X-Other)) (selected NONE)", "X-Other"),
            ("SET (personal (MailboxName X-Event))", "X-Event"),
        ] {
            assert_eq!(notify(text), Notify::Unsupported { event: event.to_owned() }, "{text}");
        }
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let groups = |count: usize| format!("SET{}", " (personal NONE)".repeat(count));
        assert_eq!(set(&groups(MOST_GROUPS)).groups.len(), MOST_GROUPS);
        assert_eq!(notify(&groups(MOST_GROUPS + 1)), Notify::TooMuch);
        let names = |count: usize| format!("SET (mailboxes ({}) NONE)", vec!["a"; count].join(" "));
        assert_eq!(set(&names(MOST_NAMES)).groups.len(), 1);
        assert_eq!(notify(&names(MOST_NAMES + 1)), Notify::TooMuch);
        let long = format!("SET (mailboxes {} NONE)", "a".repeat(MOST_OCTETS));
        assert_eq!(notify(&long), Notify::TooMuch);
    }

    #[test]
    fn nothing_that_is_fetched_sets_seen() {
        let set = set("SET (selected (MessageNew (BODY[TEXT] BINARY[1] RFC822.SIZE) MessageExpunge))");
        assert!(!set.selected.items.iter().any(FetchItem::sets_seen));
    }
}
