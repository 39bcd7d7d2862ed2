//! What a client with QRESYNC (RFC 7162) keeps of a mailbox between two connections. It asks for nothing but what changed, so
//! what it is not told of stays: a message that went away unsaid is a ghost.

use std::collections::{BTreeMap, BTreeSet};

use crate::kit::imap::{Client, Reply, Value};

use super::stage::Shown;

/// Flags by UID, as a client knows them.
#[derive(Clone, Debug)]
pub struct Cache {
    uid_validity: u32,
    highest_modseq: u64,
    messages: BTreeMap<u32, BTreeSet<String>>,
}

impl Cache {
    /// Everything, by a first connection.
    #[track_caller]
    pub fn fill(mut client: Client, mailbox: &str) -> Self {
        client.ok("ENABLE QRESYNC");
        let reply = client.ok(&format!("SELECT {mailbox}"));
        let mut cache = Self {
            uid_validity: reply.code("UIDVALIDITY").unwrap(),
            highest_modseq: highest_modseq(&reply),
            messages: BTreeMap::new(),
        };
        cache.take_in(&client.ok("UID FETCH 1:* (UID FLAGS)"));
        cache
    }

    /// The next connection, to the same node or another one; it must come to what is there.
    #[track_caller]
    pub fn comes_to(mut self, mut client: Client, mailbox: &str, shown: &Shown, what: &str) {
        client.ok("ENABLE QRESYNC");
        let Self { uid_validity, highest_modseq, .. } = self;
        let reply = client.ok(&format!("SELECT {mailbox} (QRESYNC ({uid_validity} {highest_modseq}))"));
        assert_eq!(
            reply.code("UIDVALIDITY"),
            Some(uid_validity),
            "{mailbox}: the cache would be thrown away"
        );
        self.take_in(&reply);
        let flags = |message: &super::stage::Message| message.flags.clone();
        let wanted = shown.messages.iter().map(|(uid, message)| (*uid, flags(message))).collect();
        assert_eq!(self.messages, wanted, "{mailbox}, {what}: told {reply:?}");
    }

    fn take_in(&mut self, reply: &Reply) {
        for values in &reply.untagged {
            match &values[..] {
                [word, earlier, uids] if word.text() == "VANISHED" => {
                    assert_eq!(earlier.list().first().map(Value::text).as_deref(), Some("EARLIER"));
                    let gone = uid_set(&uids.text());
                    self.messages
                        .retain(|uid, _| !gone.iter().any(|(first, last)| (first..=last).contains(&uid)));
                }
                [_, word, Value::List(items)] if word.text() == "FETCH" => {
                    let items: BTreeMap<String, &Value> =
                        items.chunks_exact(2).map(|pair| (pair[0].text(), &pair[1])).collect();
                    let uid = items["UID"].number().unwrap();
                    let flags = items["FLAGS"].list().iter().map(Value::text);
                    self.messages.insert(uid, flags.filter(|flag| flag != "\\Recent").collect());
                }
                _ => {}
            }
        }
    }
}

/// Runs of UIDs, as in `4:5,7`.
fn uid_set(text: &str) -> Vec<(u32, u32)> {
    let run = |run: &str| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        (first.parse().unwrap(), last.parse().unwrap())
    };
    text.split(',').map(run).collect()
}

fn highest_modseq(reply: &Reply) -> u64 {
    let lines = reply.untagged.iter().map(|values| Value::List(values.clone()).text());
    let line = lines.into_iter().find(|line| line.contains("[HIGHESTMODSEQ ")).unwrap();
    line.split("[HIGHESTMODSEQ ").nth(1).unwrap().split(']').next().unwrap().parse().unwrap()
}
