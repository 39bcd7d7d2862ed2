//! Random commands of several clients over one mailbox. Each client believes what it is told and nothing else; whatever
//! comes must fit its belief, and in the end all beliefs must be true.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::client::{Client, MAIL, store};

type Flags = BTreeSet<String>;

/// What a client believes of a mailbox.
pub(super) struct Belief {
    mailbox: &'static str,
    /// The UIDs in order, where they were told.
    pub(super) uids: Vec<Option<u32>>,
    pub(super) flags: BTreeMap<u32, Flags>,
}

impl Belief {
    /// The belief of a client that was told nothing of it.
    pub(super) fn new(mailbox: &'static str) -> Self {
        Belief { mailbox, uids: Vec::new(), flags: BTreeMap::new() }
    }

    pub(super) fn hear(&mut self, answer: &str, expunge_allowed: bool) {
        for line in answer.lines() {
            let mut words = line.split(' ');
            let (Some("*"), Some(Ok(number))) = (words.next(), words.next().map(str::parse::<usize>)) else {
                continue;
            };
            match words.next() {
                Some("EXPUNGE") => {
                    assert!(expunge_allowed, "EXPUNGE where none is allowed: {answer}");
                    assert!((1..=self.uids.len()).contains(&number), "EXPUNGE of nothing: {answer}");
                    if let Some(uid) = self.uids.remove(number - 1) {
                        self.flags.remove(&uid);
                    }
                }
                Some("EXISTS") => {
                    assert!(number >= self.uids.len(), "EXISTS went down: {answer}");
                    self.uids.resize(number, None);
                }
                Some("FETCH") => self.hear_fetch(number, line, answer),
                _ => {}
            }
        }
        let known: Vec<u32> = self.uids.iter().flatten().copied().collect();
        assert!(known.is_sorted_by(|one, next| one < next), "UIDs do not ascend: {known:?}");
    }

    fn hear_fetch(&mut self, number: usize, line: &str, answer: &str) {
        assert!((1..=self.uids.len()).contains(&number), "FETCH of nothing: {answer}");
        if let Some(uid) = between(line, "UID ", &[' ', ')']) {
            let uid = uid.parse().expect("a UID");
            let known = self.uids[number - 1].get_or_insert(uid);
            assert_eq!(*known, uid, "message {number} has another UID: {answer}");
        }
        if let (Some(flags), Some(uid)) = (between(line, "FLAGS (", &[')']), self.uids[number - 1]) {
            let flags = flags.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
            self.flags.insert(uid, flags);
        }
    }

    /// A silent STORE went through: the client takes it that the flags are as it wished.
    fn assume(&mut self, numbers: std::ops::RangeInclusive<usize>, add: bool, flag: &str, answer: &str) {
        let told: Vec<&str> = answer.lines().collect();
        for number in numbers {
            let Some(Some(uid)) = self.uids.get(number - 1) else { continue };
            let start = format!("* {number} FETCH (");
            let heard = told.iter().any(|line| line.starts_with(&start) && line.contains("FLAGS ("));
            if let Some(flags) = self.flags.get_mut(uid).filter(|_| !heard) {
                if add {
                    flags.insert(flag.to_owned());
                } else {
                    flags.remove(flag);
                }
            }
        }
    }
}

pub(super) fn between<'a>(line: &'a str, start: &str, end: &[char]) -> Option<&'a str> {
    line.split_once(start)?.1.split(end).next()
}

/// One command of one client. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Append,
    Store { first: usize, count: usize, add: bool, flag: usize, silent: bool },
    UidStore { first: usize, flag: usize },
    Delete { first: usize, count: usize },
    Expunge,
    UidExpunge { first: usize },
    Fetch { first: usize, count: usize },
    UidFetch,
    Read { first: usize },
    Search,
    Copy { first: usize },
    Move { first: usize, uid: bool },
    Noop,
    Idle,
}

const FLAGS: [&str; 4] = ["\\Flagged", "\\Answered", "$Forwarded", "\\Draft"];

pub(super) fn step() -> impl Strategy<Value = Step> {
    let number = 0usize..1000;
    prop_oneof![
        4 => Just(Step::Append),
        4 => (number.clone(), 0usize..4, any::<bool>(), 0usize..4, any::<bool>())
            .prop_map(|(first, count, add, flag, silent)| Step::Store { first, count, add, flag, silent }),
        1 => (number.clone(), 0usize..4).prop_map(|(first, flag)| Step::UidStore { first, flag }),
        3 => (number.clone(), 0usize..3).prop_map(|(first, count)| Step::Delete { first, count }),
        3 => Just(Step::Expunge),
        1 => number.clone().prop_map(|first| Step::UidExpunge { first }),
        2 => (number.clone(), 0usize..5).prop_map(|(first, count)| Step::Fetch { first, count }),
        2 => Just(Step::UidFetch),
        2 => number.clone().prop_map(|first| Step::Read { first }),
        1 => Just(Step::Search),
        1 => number.clone().prop_map(|first| Step::Copy { first }),
        2 => (number, any::<bool>()).prop_map(|(first, uid)| Step::Move { first, uid }),
        2 => Just(Step::Noop),
        1 => Just(Step::Idle),
    ]
}

pub(super) fn take(step: &Step, client: &mut Client, belief: &mut Belief) {
    let exists = belief.uids.len();
    let place = |first: &usize| first % exists.max(1) + 1;
    let range = |first: &usize, count: &usize| (place(first), (place(first) + count).min(exists));
    if exists == 0 && !matches!(step, Step::Append | Step::Noop | Step::Idle | Step::UidFetch | Step::Search)
    {
        return;
    }
    let (command, expunge_allowed) = match step {
        Step::Append => {
            let answer = client.append(belief.mailbox, "()", MAIL);
            return belief.hear(&answer, true);
        }
        Step::Store { first, count, add, flag, silent } => {
            let ((start, end), flag) = (range(first, count), FLAGS[*flag]);
            let (sign, mode) = (if *add { '+' } else { '-' }, if *silent { ".SILENT" } else { "" });
            let answer = client.send(&format!("STORE {start}:{end} {sign}FLAGS{mode} ({flag})"));
            belief.hear(&answer, false);
            return if *silent {
                belief.assume(start..=end, *add, flag, &answer)
            };
        }
        Step::Delete { first, count } => {
            let (start, end) = range(first, count);
            (format!("STORE {start}:{end} +FLAGS (\\Deleted)"), false)
        }
        Step::UidStore { first, flag } => (format!("UID STORE {first}:* FLAGS ({})", FLAGS[*flag]), true),
        Step::Expunge => ("EXPUNGE".to_owned(), true),
        Step::UidExpunge { first } => (format!("UID EXPUNGE {first}:*"), true),
        Step::Fetch { first, count } => {
            let (start, end) = range(first, count);
            (format!("FETCH {start}:{end} (UID FLAGS)"), false)
        }
        Step::UidFetch => ("UID FETCH 1:* (FLAGS)".to_owned(), true),
        Step::Read { first } => (format!("FETCH {} (BODY[TEXT]<0.5>)", place(first)), false),
        Step::Search => ("SEARCH UNSEEN".to_owned(), false),
        Step::Copy { first } => (format!("COPY {} {}", place(first), belief.mailbox), true),
        Step::Move { first, uid: false } => (format!("MOVE {} Archive", place(first)), true),
        Step::Move { first, uid: true } => (format!("UID MOVE {first}:* Archive"), true),
        Step::Noop => ("NOOP".to_owned(), true),
        Step::Idle => {
            let answer = client.send("IDLE") + &client.changes() + &client.line("DONE");
            return belief.hear(&answer, true);
        }
    };
    let answer = client.send(&command);
    belief.hear(&answer, expunge_allowed);
}

/// What is there, told afresh; what the client believed has to agree with it.
pub(super) fn truth(client: &mut Client, belief: &mut Belief) -> (Vec<Option<u32>>, BTreeMap<u32, Flags>) {
    belief.hear(&client.send("NOOP"), true);
    let mut truth = Belief::new(belief.mailbox);
    truth.uids = vec![None; belief.uids.len()];
    truth.hear(&client.send("FETCH 1:* (UID FLAGS)"), false);
    for (believed, told) in belief.uids.iter().zip(&truth.uids) {
        assert!(believed.is_none() || believed == told, "{:?} is not {:?}", belief.uids, truth.uids);
    }
    for (uid, flags) in &belief.flags {
        assert_eq!(Some(flags), truth.flags.get(uid), "flags of UID {uid}");
    }
    (truth.uids, truth.flags)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn clients_that_believe_what_they_are_told_agree_in_the_end(
        steps in prop::collection::vec((0usize..3, step()), 1..60),
        condstore in any::<bool>(),
    ) {
        let store = store();
        let mut clients: Vec<(Client, Belief)> =
            (0..3).map(|_| (Client::selected(&store, "INBOX"), Belief::new("INBOX"))).collect();
        if condstore {
            clients[0].0.send("ENABLE CONDSTORE");
        }
        for (who, step) in &steps {
            let (client, belief) = &mut clients[*who];
            take(step, client, belief);
        }
        let mut truths = Vec::new();
        for (client, belief) in &mut clients {
            truths.push(truth(client, belief));
        }
        prop_assert!(truths.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", truths);
    }
}
