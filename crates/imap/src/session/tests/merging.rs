//! Clients on two nodes that exchange what they have now and then: every session stays open over the merges, hears nothing
//! that does not fit, and in the end all see the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::client::{Client, Store, store};
use super::model::{Belief, Step, between, step, take, truth};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A client of four, two on each node, does something.
    Client(usize, Step),
    /// A node hears all that the other has.
    Sync { to_second: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..4, step()).prop_map(|(who, step)| Event::Client(who, step)),
        1 => any::<bool>().prop_map(|to_second| Event::Sync { to_second }),
    ]
}

/// A client with what it believes, and the epoch that it was told.
struct Seat {
    client: Client,
    belief: Belief,
    mailbox: &'static str,
    validity: u32,
}

impl Seat {
    fn new(store: &Store, mailbox: &'static str) -> Self {
        let mut client = Client::logged_in(store);
        // Whoever comes second is told that it exists.
        client.send(&format!("CREATE {mailbox}"));
        let answer = client.send(&format!("SELECT {mailbox}"));
        let validity = between(&answer, "[UIDVALIDITY ", &[']']).and_then(|text| text.parse().ok());
        let mut belief = Belief::new(mailbox);
        belief.hear(&answer, false);
        Seat { client, belief, mailbox, validity: validity.expect("every SELECT tells it") }
    }

    /// After a BYE, which a new UIDVALIDITY brings, the client connects again and starts afresh.
    fn revive(&mut self, store: &Store) {
        if self.client.closed {
            let before = self.validity;
            *self = Seat::new(store, self.mailbox);
            assert!(self.validity > before, "UIDVALIDITY went from {before} to {}", self.validity);
        }
    }

    /// Asks which content each UID names; no other client may ever have been told otherwise.
    fn witness(&mut self, names: &mut BTreeMap<(u32, String), String>) {
        let answer = self.client.send("FETCH 1:* (UID EMAILID)");
        self.belief.hear(&answer, false);
        for line in answer.lines().filter(|line| line.contains("EMAILID (")) {
            let uid = between(line, "UID ", &[' ']).expect("a UID").to_owned();
            let email = between(line, "EMAILID (", &[')']).expect("an EMAILID").to_owned();
            let named = names.entry((self.validity, uid.clone())).or_insert_with(|| email.clone());
            assert_eq!(*named, email, "UID {uid} of {} names two messages", self.validity);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn sessions_live_through_merges(
        events in prop::collection::vec(event(), 1..60),
        // INBOX is one mailbox from its account's creation on; another is born on both sides, and one side's epoch ends.
        mailbox in prop::sample::select(vec!["INBOX", "work"]),
    ) {
        let nodes = [store(), Store::new(1)];
        nodes[0].sync_to(&nodes[1]);
        let mut names = BTreeMap::new();
        let mut seats: Vec<Seat> = (0..4).map(|who| Seat::new(&nodes[who / 2], mailbox)).collect();
        for event in &events {
            match event {
                Event::Client(who, step) => {
                    let seat = &mut seats[*who];
                    take(step, &mut seat.client, &mut seat.belief);
                    seat.revive(&nodes[*who / 2]);
                    seat.witness(&mut names);
                    seat.revive(&nodes[*who / 2]);
                }
                Event::Sync { to_second: true } => nodes[0].sync_to(&nodes[1]),
                Event::Sync { to_second: false } => nodes[1].sync_to(&nodes[0]),
            }
        }
        for _ in 0..6 {
            nodes[0].sync_to(&nodes[1]);
            nodes[1].sync_to(&nodes[0]);
            nodes.iter().for_each(|node| node.pass(60_000));
        }
        let mut truths = Vec::new();
        for (who, seat) in seats.iter_mut().enumerate() {
            seat.belief.hear(&seat.client.send("NOOP"), true);
            seat.revive(&nodes[who / 2]);
            seat.witness(&mut names);
            truths.push((seat.validity, truth(&mut seat.client, &mut seat.belief)));
        }
        prop_assert!(truths.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", truths);
    }
}
