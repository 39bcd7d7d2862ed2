//! What both sides see, next to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::site::{Listing, Site};
use super::told::Message;
use crate::failure::Failure;

/// One message on both sides.
type Pair<'a> = (Option<&'a Message>, Option<&'a Message>);

/// INBOX as the open clients see it: a row for each message, with its UID and flags on each side.
pub fn inboxes([one, other]: &[Site; 2]) -> Vec<Vec<String>> {
    let (here, there) = (one.inbox(), other.inbox());
    let subjects: BTreeSet<&str> = here.keys().chain(there.keys()).copied().collect();
    let pairs = subjects.into_iter().map(|subject| (here.get(subject).copied(), there.get(subject).copied()));
    let mut pairs: Vec<Pair<'_>> = pairs.collect();
    pairs.sort_by_key(|(here, there)| {
        (here.or(*there).map(|message| message.uid), there.map(|message| message.uid))
    });
    let head = ["INBOX", "UID on", "flags", "UID on", "flags"].map(str::to_owned).to_vec();
    let head = head.into_iter().zip(["", one.name(), "", other.name(), ""]);
    let head = head.map(|(word, name)| format!("{word} {name}").trim_end().to_owned()).collect();
    let row = |(here, there): Pair<'_>| {
        let subject = here.or(there).map_or("", |message| &message.subject);
        let uid = |message: Option<&Message>| message.map_or("-".into(), |message| message.uid.to_string());
        let flags = |message: Option<&Message>| message.map_or(String::new(), Message::flag_words);
        vec![subject.to_owned(), uid(here), flags(here), uid(there), flags(there)]
    };
    [head].into_iter().chain(pairs.into_iter().map(row)).collect()
}

/// Where the sides differ, in words; empty where every mailbox has the same UIDVALIDITY, UIDs, EMAILIDs and flags.
pub async fn differences([one, other]: &mut [Site; 2]) -> Result<Vec<String>, Failure> {
    one.refresh().await?;
    other.refresh().await?;
    let (here, there) = (one.listings().await?, other.listings().await?);
    let (here_name, there_name) = (one.name(), other.name());
    let mut differences = Vec::new();
    let open = |site: &Site| site.client.messages().cloned().map(|message| (message.uid, message)).collect();
    let views = [(one.client.validity(), open(one)), (other.client.validity(), open(other))];
    let open_session = "INBOX, in the sessions that stayed open,".to_owned();
    differences.extend(difference(&open_session, Some(&views[0]), Some(&views[1]), [here_name, there_name]));
    let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    for name in names {
        differences.extend(difference(name, here.get(name), there.get(name), [here_name, there_name]));
    }
    Ok(differences)
}

fn difference(
    mailbox: &str,
    here: Option<&Listing>,
    there: Option<&Listing>,
    names: [&str; 2],
) -> Option<String> {
    if here == there {
        return None;
    }
    let [one, other] = names;
    let (Some((validity, messages)), Some((other_validity, other_messages))) = (here, there) else {
        let only = if here.is_some() { one } else { other };
        return Some(format!("{mailbox} is on {only} alone"));
    };
    if validity != other_validity {
        return Some(format!(
            "{mailbox} has UIDVALIDITY {validity} on {one} and {other_validity} on {other}"
        ));
    }
    let uids: BTreeSet<&u32> = messages.keys().chain(other_messages.keys()).collect();
    let uid = uids.into_iter().find(|uid| messages.get(uid) != other_messages.get(uid))?;
    let side = |message: Option<&Message>| {
        message.map_or("no message".to_owned(), |message| {
            format!("{:?} ({}, flags: {})", message.subject, message.email_id, message.flag_words())
        })
    };
    let (here, there) = (side(messages.get(uid)), side(other_messages.get(uid)));
    Some(format!("{mailbox} UID {uid} is {here} on {one} and {there} on {other}"))
}

/// In which mailboxes each message is, by subject.
pub fn places(listings: &BTreeMap<String, Listing>) -> BTreeMap<&str, Vec<&str>> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (mailbox, (_, messages)) in listings {
        for message in messages.values() {
            places.entry(&message.subject).or_default().push(mailbox);
        }
    }
    places
}
