//! Clients with a cache, which lose their connection at any moment and come back, to the same node or to another one, with what
//! they were told (RFC 7162 section 6): whatever happened meanwhile, the cache becomes equal to the truth.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::client::{Client, MAIL, Store, store};
use super::model::between;

type Flags = BTreeSet<String>;

/// What a client keeps of INBOX, following section 6 of RFC 7162 to the letter.
#[derive(Default)]
struct Cache {
    validity: u64,
    highest: u64,
    messages: BTreeMap<u32, Flags>,
    /// How many messages there are in the session, known or not.
    exists: usize,
}

impl Cache {
    fn hear(&mut self, answer: &str) {
        let (mut coded, mut fetched) = (false, 0);
        for line in answer.lines() {
            assert!(!line.ends_with(" EXPUNGE"), "EXPUNGE although QRESYNC is enabled: {answer}");
            if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
                uids(set).for_each(|uid| drop(self.messages.remove(&uid)));
            } else if let Some(set) = line.strip_prefix("* VANISHED ") {
                for uid in uids(set) {
                    self.messages.remove(&uid);
                    self.exists = self.exists.checked_sub(1).expect("VANISHED of more than there is");
                }
            } else if let Some(count) = line.strip_suffix(" EXISTS") {
                self.exists = count.trim_start_matches("* ").parse().expect("a number");
            } else if line.contains(" FETCH (") {
                fetched = self.hear_fetch(line).max(fetched);
            }
            if let Some(highest) = between(line, "[HIGHESTMODSEQ ", &[']']) {
                (self.highest, coded) = (highest.parse().expect("a MODSEQ"), true);
            }
        }
        if !coded {
            self.highest = fetched.max(self.highest);
        }
    }

    fn hear_fetch(&mut self, line: &str) -> u64 {
        let uid = between(line, "UID ", &[' ', ')']).and_then(|uid| uid.parse().ok());
        let (uid, flags): (u32, _) = (uid.expect("every FETCH has a UID"), between(line, "FLAGS (", &[')']));
        if let Some(flags) = flags {
            let flags = flags.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
            self.messages.insert(uid, flags);
        }
        between(line, "MODSEQ (", &[')']).map_or(0, |modseq| modseq.parse().expect("a MODSEQ"))
    }
}

/// The UIDs of a set without `*`.
fn uids(set: &str) -> impl Iterator<Item = u32> + '_ {
    set.split(',').flat_map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse().expect("a UID")..=last.parse::<u32>().expect("a UID")
    })
}

/// A client that is connected to a node.
struct Seat {
    client: Client,
    cache: Cache,
}

impl Seat {
    fn new(store: &Store) -> Self {
        let (mut client, mut cache) = (Client::logged_in(store), Cache::default());
        client.send("ENABLE QRESYNC");
        let answer = client.send("SELECT INBOX");
        cache.hear(&answer);
        cache.validity = validity(&answer);
        Seat { client, cache }
    }

    /// The connection is lost; another one is made, perhaps to another node.
    fn reconnect(&mut self, store: &Store, way: Way, stays: bool) {
        self.client = Client::logged_in(store);
        self.client.send("ENABLE QRESYNC");
        let Cache { validity: known_validity, highest, .. } = self.cache;
        let mut known: Vec<String> = self.cache.messages.keys().map(u32::to_string).collect();
        // Whoever moves says what it knows: the other node need not have heard of all that.
        if stays && way == Way::Select {
            known.clear();
        }
        let known = if known.is_empty() { String::new() } else { format!(" {}", known.join(",")) };
        let answer = self.client.send(&match way {
            Way::Fetch if stays => "SELECT INBOX".to_owned(),
            _ => format!("SELECT INBOX (QRESYNC ({known_validity} {highest}{known}))"),
        });
        if validity(&answer) != known_validity {
            *self = Seat::new(store);
            return;
        }
        self.cache.hear(&answer);
        if way == Way::Fetch && stays {
            let fetch = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {highest} VANISHED)");
            self.cache.hear(&self.client.send(&fetch));
        }
        self.meet_new();
    }

    /// Asks for messages that it does not know.
    fn meet_new(&mut self) {
        if self.cache.exists != self.cache.messages.len() {
            self.cache.hear(&self.client.send("UID FETCH 1:* (FLAGS)"));
        }
    }

    /// Compares with what is there.
    fn compare(&mut self) {
        let answer = self.client.send("NOOP");
        self.cache.hear(&answer);
        self.meet_new();
        let mut truth = Cache::default();
        truth.hear(&self.client.send("UID FETCH 1:* (FLAGS)"));
        assert_eq!(self.cache.messages, truth.messages, "what the cache has is not what is there");
    }
}

fn validity(answer: &str) -> u64 {
    let text = between(answer, "[UIDVALIDITY ", &[']']).expect("every SELECT tells it");
    text.parse().expect("a number")
}

/// How a client catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Select,
    Known,
    Fetch,
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Append { who: usize },
    Flag { who: usize, first: usize, silent: bool, flag: usize },
    Expunge { who: usize, first: usize, uid: bool },
    Move { who: usize, first: usize },
    Fetch { who: usize },
    Noop { who: usize },
    Idle { who: usize },
    Reconnect { who: usize, node: usize, way: Way },
    Sync { from: usize },
    Pass,
}

fn event() -> impl Strategy<Value = Event> {
    let (who, number) = (|| 0usize..3, || 0usize..50);
    let way = prop::sample::select(vec![Way::Select, Way::Known, Way::Fetch]);
    prop_oneof![
        4 => who().prop_map(|who| Event::Append { who }),
        3 => (who(), number(), any::<bool>(), 0usize..3)
            .prop_map(|(who, first, silent, flag)| Event::Flag { who, first, silent, flag }),
        3 => (who(), number(), any::<bool>()).prop_map(|(who, first, uid)| Event::Expunge { who, first, uid }),
        1 => (who(), number()).prop_map(|(who, first)| Event::Move { who, first }),
        2 => who().prop_map(|who| Event::Fetch { who }),
        1 => who().prop_map(|who| Event::Noop { who }),
        1 => who().prop_map(|who| Event::Idle { who }),
        4 => (who(), 0usize..2, way).prop_map(|(who, node, way)| Event::Reconnect { who, node, way }),
        3 => (0usize..2).prop_map(|from| Event::Sync { from }),
        1 => Just(Event::Pass),
    ]
}

/// Where the clients are, and what they do.
struct World {
    nodes: [Store; 2],
    seats: Vec<(Seat, usize)>,
}

impl World {
    fn new() -> Self {
        let nodes = [store(), Store::new(1)];
        nodes[0].sync_to(&nodes[1]);
        let seats = [0, 0, 1].map(|node| (Seat::new(&nodes[node]), node)).into();
        World { nodes, seats }
    }

    fn send(&mut self, who: usize, command: &str) {
        let (seat, _) = &mut self.seats[who];
        let answer = seat.client.send(command);
        seat.cache.hear(&answer);
    }

    fn take(&mut self, event: &Event) {
        let exists = |world: &World, who: usize| world.seats[who].0.cache.exists;
        let place = |world: &World, who: usize, first: usize| first % exists(world, who).max(1) + 1;
        match *event {
            Event::Append { who } => {
                let (seat, _) = &mut self.seats[who];
                let answer = seat.client.append("INBOX", "()", MAIL);
                seat.cache.hear(&answer);
                seat.meet_new();
            }
            Event::Flag { who, first, silent, flag } if exists(self, who) > 0 => {
                let flag = ["\\Seen", "\\Flagged", "$Forwarded"][flag];
                let place = place(self, who, first);
                let command = format!("STORE {place}:* +FLAGS ({flag})");
                // A silent STORE leaves it to the client what the flags are now; this one asks.
                let command = if silent { command.replace("FLAGS", "FLAGS.SILENT") } else { command };
                self.send(who, &command);
                if silent {
                    self.send(who, &format!("FETCH {place}:* (UID FLAGS)"));
                }
            }
            Event::Expunge { who, first, uid } if exists(self, who) > 0 => {
                let place = place(self, who, first);
                self.send(who, &format!("STORE {place} +FLAGS (\\Deleted)"));
                self.send(who, if uid { "UID EXPUNGE 1:*" } else { "EXPUNGE" });
            }
            Event::Move { who, first } if exists(self, who) > 0 => {
                let place = place(self, who, first);
                self.send(who, &format!("MOVE {place} Archive"));
            }
            Event::Fetch { who } if exists(self, who) > 0 => self.send(who, "FETCH 1:* (UID MODSEQ)"),
            Event::Noop { who } => self.seats[who].0.compare(),
            Event::Idle { who } => {
                let (seat, _) = &mut self.seats[who];
                let answer = seat.client.send("IDLE") + &seat.client.changes() + &seat.client.line("DONE");
                seat.cache.hear(&answer);
            }
            Event::Reconnect { who, node, way } => {
                let (seat, at) = &mut self.seats[who];
                seat.reconnect(&self.nodes[node], way, *at == node);
                *at = node;
                seat.compare();
            }
            Event::Sync { from } => self.nodes[from].sync_to(&self.nodes[1 - from]),
            Event::Pass => self.nodes.iter().for_each(|node| node.pass(3_000)),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn caches_become_equal_to_the_truth(events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new();
        for event in &events {
            world.take(event);
        }
        for _ in 0..6 {
            world.nodes[0].sync_to(&world.nodes[1]);
            world.nodes[1].sync_to(&world.nodes[0]);
            world.nodes.iter().for_each(|node| node.pass(60_000));
        }
        let mut truths = Vec::new();
        for (seat, node) in &mut world.seats {
            seat.reconnect(&world.nodes[*node], Way::Select, true);
            seat.compare();
            truths.push(&seat.cache.messages);
        }
        prop_assert!(truths.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", truths);
    }
}
