//! Threads of messages that are nothing but their headers.

use mailstore::crdt::identity::Uid;
use message::{BaseSubject, casemap};
use proptest::prelude::*;

use super::links::References;
use super::*;
use crate::command::ThreadAlgorithm::{OrderedSubject, Refs};

/// A message: its identifier, its references, its subject and when it was sent.
type Header<'a> = (&'a str, &'a [&'a str], &'a str, i64);

fn threads(algorithm: ThreadAlgorithm, headers: &[Header<'_>]) -> String {
    let mut threading = Threading::new(algorithm);
    for (place, (id, referred, subject, sent)) in headers.iter().enumerate() {
        let base = BaseSubject::of(subject.as_bytes());
        let uid = Uid(u32::try_from(place).unwrap() + 1);
        let message = Message {
            found: Found { place, uid, modseq: 1 },
            sent: *sent,
            received: *sent,
            subject: threading.subjects.of(casemap(&base.text)),
            is_reply: base.is_reply_or_forward,
        };
        let own = (!id.is_empty()).then(|| id.as_bytes().to_vec());
        let referred = referred.iter().map(|id| id.as_bytes().to_vec()).collect();
        threading.add(message, References { own, referred });
    }
    written(&threading.finish())
}

fn written(forest: &Forest) -> String {
    let mut out = Vec::new();
    forest.write(false, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.trim_end().strip_prefix("* THREAD").unwrap().trim_start().to_owned()
}

fn by_references(headers: &[Header<'_>]) -> String {
    threads(ThreadAlgorithm::References, headers)
}

/// RFC 5256 section 3, ORDEREDSUBJECT: there are no grandchildren.
#[test]
fn ordered_subject_has_two_generations() {
    let headers: [Header<'_>; 6] = [
        ("a", &[], "Re: one", 30),
        ("b", &[], "two", 10),
        ("c", &["x"], "one", 20),
        ("d", &[], "Two (fwd)", 40),
        ("e", &[], "ONE", 50),
        ("f", &[], "three", 5),
    ];
    assert_eq!(threads(OrderedSubject, &headers), "(6)(2 4)(3 (1)(5))");
    assert_eq!(threads(OrderedSubject, &[]), "");
}

/// RFC 5256 section 3, REFERENCES step 1: parents by References.
#[test]
fn messages_stand_below_what_they_refer_to() {
    let headers: [Header<'_>; 5] = [
        ("a", &[], "s", 1),
        ("b", &["a"], "Re: s", 2),
        ("c", &["a", "b"], "Re: s", 3),
        ("d", &["a"], "Re: s", 4),
        ("e", &["a", "d"], "Re: s", 5),
    ];
    assert_eq!(by_references(&headers), "(1 (2 3)(4 5))");
    assert_eq!(threads(Refs, &headers), "(1 (2 3)(4 5))");
}

/// Step 1 A: what is not there is a dummy, and holds together those below; step 3 B: it shows at the top alone, and only with
/// more than one child.
#[test]
fn dummies_hold_siblings_together() {
    assert_eq!(by_references(&[("b", &["a"], "x", 1), ("c", &["a"], "y", 2)]), "((1)(2))");
    assert_eq!(by_references(&[("b", &["a"], "x", 1)]), "(1)");
    // a (dummy) above b (dummy) above c, d: the dummy below the top gives way.
    assert_eq!(by_references(&[("c", &["a", "b"], "x", 1), ("d", &["a", "b"], "y", 2)]), "((1)(2))");
    // A dummy between messages.
    let headers: [Header<'_>; 3] =
        [("a", &[], "x", 1), ("c", &["a", "b"], "y", 3), ("d", &["a", "b"], "z", 2)];
    assert_eq!(by_references(&headers), "(1 (3)(2))");
}

/// Step 1 B: a message knows its own parent better than a truncated References field of another does.
#[test]
fn the_own_parent_counts() {
    let headers: [Header<'_>; 4] =
        [("a", &[], "x", 1), ("d", &["a", "c"], "x", 4), ("c", &["a", "b"], "x", 3), ("b", &["a"], "x", 2)];
    assert_eq!(by_references(&headers), "(1 4 3 2)");
}

/// Step 1: no link may close a loop.
#[test]
fn loops_are_not_made() {
    assert_eq!(by_references(&[("a", &["b"], "x", 1), ("b", &["a"], "y", 2)]), "(2 1)");
    assert_eq!(by_references(&[("a", &["a"], "x", 1)]), "(1)");
    let headers: [Header<'_>; 3] = [("a", &["c"], "x", 1), ("b", &["a"], "y", 2), ("c", &["b"], "z", 3)];
    assert_eq!(by_references(&headers), "(3 1 2)");
    assert_eq!(
        by_references(&[("a", &["x", "y", "x"], "x", 1), ("b", &["y", "x", "y"], "x", 1)]),
        "((1)(2))"
    );
}

/// Step 1: a message without an identifier, or with one that is taken, stands for itself.
#[test]
fn identifiers_may_be_missing_or_taken() {
    let headers: [Header<'_>; 5] = [
        ("", &[], "x", 1),
        ("", &["a"], "y", 2),
        ("a", &[], "z", 3),
        ("a", &[], "w", 4),
        ("b", &["a"], "z", 5),
    ];
    assert_eq!(by_references(&headers), "(1)(3 (2)(5))(4)");
}

/// Steps 4 and 6: by sent date, a dummy by its first child; equal dates by place.
#[test]
fn siblings_are_sorted_by_date() {
    let headers: [Header<'_>; 6] = [
        ("a", &["dummy"], "x", 9),
        ("b", &["dummy"], "x", 4),
        ("c", &[], "z", 5),
        ("d", &["c"], "z", 8),
        ("e", &["c"], "z", 7),
        ("f", &["c"], "z", 7),
    ];
    assert_eq!(by_references(&headers), "((2)(1))(3 (5)(6)(4))");
}

/// Step 5: threads of one base subject, which refer to nothing in common.
#[test]
fn threads_of_one_subject_are_merged() {
    // A reply goes below what is none.
    assert_eq!(by_references(&[("a", &[], "s", 1), ("b", &[], "Re: s", 2)]), "(1 2)");
    assert_eq!(by_references(&[("b", &[], "Re: s", 1), ("a", &[], "s", 2)]), "(2 1)");
    // Otherwise both go below a new dummy.
    assert_eq!(by_references(&[("a", &[], "s", 1), ("b", &[], "s", 2)]), "((1)(2))");
    assert_eq!(by_references(&[("a", &[], "Re: s", 1), ("b", &[], "Re: s", 2)]), "((1)(2))");
    assert_eq!(by_references(&[("a", &[], "s", 1), ("b", &[], "s", 2), ("c", &[], "S", 3)]), "((1)(2)(3))");
    // Below a dummy that is there, as siblings of its children; two dummies become one.
    let headers: [Header<'_>; 5] = [
        ("a", &["x"], "s", 1),
        ("b", &["x"], "t", 2),
        ("c", &["y"], "Re: s", 3),
        ("d", &["y"], "u", 4),
        ("e", &[], "s", 5),
    ];
    assert_eq!(by_references(&headers), "((1)(2)(3)(4)(5))");
    // Without a subject nothing is merged, and REFS looks at no subject.
    assert_eq!(by_references(&[("a", &[], "", 1), ("b", &[], "Re:", 2)]), "(1)(2)");
    assert_eq!(threads(Refs, &[("a", &[], "s", 1), ("b", &[], "Re: s", 2)]), "(1)(2)");
}

/// draft-ietf-morg-inthread section 2: the thread that got the newest message stands last.
#[test]
fn refs_sorts_by_the_newest_message() {
    let headers: [Header<'_>; 4] =
        [("a", &[], "x", 1), ("b", &[], "y", 2), ("c", &["b"], "y", 3), ("d", &["a"], "x", 4)];
    assert_eq!(threads(Refs, &headers), "(2 3)(1 4)");
    assert_eq!(by_references(&headers), "(1 4)(2 3)");
}

/// Clients read what stands in parentheses recursively: no sender may decide how deep that goes.
#[test]
fn parentheses_are_not_deeper_than_a_bound() {
    let ids: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let parents: Vec<Vec<&str>> = (0..2000)
        .map(|number: usize| {
            number.checked_sub(2 - number % 2).map(|parent| ids[parent - parent % 2].as_str())
        })
        .map(|parent| parent.into_iter().collect())
        .collect();
    let headers: Vec<Header<'_>> =
        ids.iter().zip(&parents).map(|(id, parents)| (id.as_str(), parents.as_slice(), "", 0)).collect();
    let text = by_references(&headers);
    let (mut depth, mut deepest) = (0usize, 0);
    for octet in text.bytes() {
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    assert_eq!((deepest, depth), (100, 0));
    assert_eq!(numbers(&text), (1..=2000).collect::<Vec<u32>>());
    let chain: Vec<Vec<&str>> = (0..2000)
        .map(|number: usize| number.checked_sub(1).map(|parent| ids[parent].as_str()).into_iter().collect())
        .collect();
    let headers: Vec<Header<'_>> =
        ids.iter().zip(&chain).map(|(id, parents)| (id.as_str(), parents.as_slice(), "", 0)).collect();
    assert_eq!(by_references(&headers).matches('(').count(), 1, "a chain is as long as it is");
}

/// The numbers in an answer, in ascending order.
fn numbers(text: &str) -> Vec<u32> {
    let words = text.split(['(', ')', ' ']).filter(|word| !word.is_empty());
    let mut numbers: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// `thread-list` of RFC 5256 section 5; gives what follows.
fn thread_list(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('(')?;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut any = false;
    while digits(rest) > 0 {
        rest = &rest[digits(rest)..];
        any = true;
        match rest.strip_prefix(' ') {
            Some(after) if digits(after) > 0 => rest = after,
            _ => break,
        }
    }
    let mut nested = if any { rest.strip_prefix(' ').unwrap_or("") } else { rest };
    let mut count = 0;
    while nested.starts_with('(') {
        nested = thread_list(nested)?;
        count += 1;
    }
    match count {
        0 if any => rest.strip_prefix(')'),
        0 | 1 => None,
        _ => nested.strip_prefix(')'),
    }
}

proptest! {
    /// Whatever messages say of each other: each is told once, in the form of the grammar.
    #[test]
    fn no_message_is_lost_or_repeated(
        messages in prop::collection::vec(
            (0usize..12, prop::collection::vec(0usize..12, 0..6), 0usize..8, 0i64..4), 0..40),
        algorithm in prop::sample::select(vec![OrderedSubject, ThreadAlgorithm::References, Refs]),
    ) {
        const IDS: [&str; 12] = ["", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        const SUBJECTS: [&str; 8] = ["", "Re:", "s", "Re: s", "Fwd: S", "t", "[x] re: t", "[fwd: s]"];
        let referred: Vec<Vec<&str>> =
            messages.iter().map(|message| message.1.iter().map(|id| IDS[*id]).collect()).collect();
        let headers: Vec<Header<'_>> = messages
            .iter()
            .zip(&referred)
            .map(|((id, _, subject, sent), referred)| (IDS[*id], referred.as_slice(), SUBJECTS[*subject], *sent))
            .collect();
        let text = threads(algorithm, &headers);
        prop_assert_eq!(numbers(&text), (1..=u32::try_from(messages.len()).unwrap()).collect::<Vec<u32>>());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            rest = thread_list(rest).ok_or_else(|| TestCaseError::fail(format!("not of the grammar: {text}")))?;
        }
    }
}
