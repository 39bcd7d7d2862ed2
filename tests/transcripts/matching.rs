//! Whether responses are what a transcript expects.

use std::collections::BTreeMap;

use super::pattern::{Bound, Named, Pattern, SetPart, numbers};
use super::value::Value;

/// What the names of a case stand for.
pub type Names = BTreeMap<String, String>;

/// Whether the order of the elements of a list says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Exact,
    /// Flags, capabilities, numbers that were found.
    Any,
    /// Names with their values, as in FETCH and STATUS.
    Pairs,
}

/// Whether a response is the expected one; what names stand for from then on.
pub fn response(patterns: &[Pattern], values: &[Value], names: &Names) -> Option<Names> {
    if let ([Pattern::Word(tag), ..], [Value::Word(given), ..]) = (patterns, values)
        && tag != given
    {
        return None;
    }
    if let ([Pattern::Word(_), Pattern::Word(_)], [_, _, Value::Code(_)]) = (patterns, values) {
        return sequence(patterns, values.get(..2)?, Order::Exact, names);
    }
    if let ([status @ .., Pattern::Code(nothing)], [_, _]) = (patterns, values)
        && nothing.is_empty()
    {
        return sequence(status, values, Order::Exact, names);
    }
    if let ([Pattern::Word(plus)], [_, _]) = (patterns, values)
        && plus == "+"
    {
        return sequence(patterns, values.get(..1)?, Order::Exact, names);
    }
    let (start, order) = free_part(values);
    if start > patterns.len() || start > values.len() {
        return sequence(patterns, values, Order::Exact, names);
    }
    let names = sequence(patterns.get(..start)?, values.get(..start)?, Order::Exact, names)?;
    sequence(patterns.get(start..)?, values.get(start..)?, order, &names)
}

/// From where on the order of an untagged response says nothing, or less.
fn free_part(values: &[Value]) -> (usize, Order) {
    let word = |at: usize, wanted: &str| values.get(at).is_some_and(|value| value.is_word(wanted));
    if word(1, "SEARCH") || word(1, "CAPABILITY") || word(1, "ENABLED") {
        return (2, Order::Any);
    }
    if word(1, "ACL") {
        return (3, Order::Pairs);
    }
    if word(1, "ESEARCH") {
        let correlated = usize::from(matches!(values.get(2), Some(Value::List(_))));
        let uid = usize::from(word(2 + correlated, "UID"));
        return (2 + correlated + uid, Order::Pairs);
    }
    (values.len(), Order::Exact)
}

fn sequence(patterns: &[Pattern], values: &[Value], order: Order, names: &Names) -> Option<Names> {
    match order {
        Order::Exact => exact(patterns, values, names),
        Order::Any => any_order(patterns, &values.chunks(1).collect::<Vec<_>>(), 1, names),
        Order::Pairs => any_order(patterns, &values.chunks(2).collect::<Vec<_>>(), 2, names),
    }
}

fn exact(patterns: &[Pattern], values: &[Value], names: &Names) -> Option<Names> {
    let mut names = names.clone();
    for (place, pattern) in patterns.iter().enumerate() {
        if *pattern == Pattern::Rest {
            return Some(names);
        }
        let before = place.checked_sub(1).and_then(|before| values.get(before));
        let order = order_after(values, place, before);
        names = one(pattern, values.get(place)?, order, &names)?;
    }
    (patterns.len() == values.len()).then_some(names)
}

/// The order of a list, from what stands before it.
fn order_after(values: &[Value], place: usize, before: Option<&Value>) -> Order {
    let is = |wanted: &str| before.is_some_and(|before| before.is_word(wanted));
    let response = |wanted: &str| place == 3 && values.get(1).is_some_and(|word| word.is_word(wanted));
    if ["FLAGS", "PERMANENTFLAGS", "LIST", "LSUB", "BADCHARSET"].iter().any(|word| is(word)) {
        Order::Any
    } else if is("FETCH") || is("UIDFETCH") || response("STATUS") || response("METADATA") {
        Order::Pairs
    } else {
        Order::Exact
    }
}

/// Groups of values, each once and in whatever order.
fn any_order(patterns: &[Pattern], groups: &[&[Value]], size: usize, names: &Names) -> Option<Names> {
    let more = patterns.last() == Some(&Pattern::Rest);
    let patterns = if more { &patterns[..patterns.len() - 1] } else { patterns };
    let Some((first, rest)) = patterns.split_at_checked(size).filter(|(first, _)| !first.is_empty()) else {
        let done = patterns.is_empty() && (more || groups.is_empty());
        return done.then(|| names.clone());
    };
    let rest: Vec<Pattern> = rest.iter().cloned().chain(more.then_some(Pattern::Rest)).collect();
    (0..groups.len()).find_map(|at| {
        let names = exact(first, groups[at], names)?;
        let left: Vec<&[Value]> = [&groups[..at], &groups[at + 1..]].concat();
        any_order(&rest, &left, size, &names)
    })
}

fn one(pattern: &Pattern, value: &Value, order: Order, names: &Names) -> Option<Names> {
    let same = |holds: bool| holds.then(|| names.clone());
    match (pattern, value) {
        (Pattern::Any, _) => same(true),
        (Pattern::Word(wanted), Value::Word(word)) => same(word_is(wanted, word)),
        (Pattern::Word(wanted), Value::Text(_)) => {
            same(wanted != "NIL" && value.text().is_some_and(|text| word_is(wanted, &text)))
        }
        (Pattern::Text(wanted), Value::Text(octets)) => same(wanted == octets),
        (Pattern::Text(wanted), Value::Word(word)) => {
            same(word != "NIL" && word.as_bytes() == wanted.as_slice())
        }
        (Pattern::List(wanted), Value::List(values)) => list(wanted, values, order, names),
        (Pattern::Code(wanted), Value::Code(values)) => {
            let capability = values.first().is_some_and(|word| word.is_word("CAPABILITY"));
            sequence(wanted, values, if capability { Order::Any } else { Order::Exact }, names)
        }
        (Pattern::Name(named), value) => {
            let text = value.text().filter(|text| !value.is_word("NIL") || text.is_empty())?;
            bind(named, &text, names)
        }
        (Pattern::Valued { name, value: named }, Value::Word(word)) => {
            let value = word.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('='))?;
            bind(named, value, names)
        }
        (Pattern::Unlike { name, other }, value) => {
            let text = value.text()?;
            let differs = names.get(other).is_some_and(|known| *known != text);
            differs.then(|| bind(&Named { name: name.clone(), plus: 0 }, &text, names)).flatten()
        }
        (Pattern::Above { name, other }, Value::Word(word)) => {
            let number: i64 = word.parse().ok()?;
            if number <= resolve(other, names)? {
                return None;
            }
            match name {
                Some(name) => bind(&Named { name: name.clone(), plus: 0 }, word, names),
                None => same(true),
            }
        }
        (Pattern::Base64(text), Value::Word(word)) => text.matches(word, names),
        (Pattern::Set { members, more, without }, Value::Word(word)) => {
            let (given, wanted) = (numbers(word)?, set(members, names)?);
            let without = set(without, names)?;
            let complete = if *more { given.is_superset(&wanted) } else { given == wanted };
            same(complete && given.is_disjoint(&without))
        }
        _ => None,
    }
}

fn list(patterns: &[Pattern], values: &[Value], order: Order, names: &Names) -> Option<Names> {
    // RFC 9051 has no \Recent any more, and RFC 3501 lets it come and go as it likes.
    let recent = |pattern: &Pattern| matches!(pattern, Pattern::Word(word) if word == "\\Recent");
    if order == Order::Any && !patterns.iter().any(recent) {
        let values: Vec<Value> = values.iter().filter(|value| !value.is_word("\\Recent")).cloned().collect();
        return sequence(patterns, &values, order, names);
    }
    sequence(patterns, values, order, names)
}

fn word_is(wanted: &str, word: &str) -> bool {
    let bare = |word: &str| if word.contains('[') { word.replace('"', "") } else { word.to_owned() };
    let word = bare(word);
    wanted.split('|').any(|wanted| bare(wanted).eq_ignore_ascii_case(&word))
}

fn bind(named: &Named, text: &str, names: &Names) -> Option<Names> {
    match names.get(&named.name) {
        None if named.plus == 0 => {
            let mut names = names.clone();
            names.insert(named.name.clone(), text.to_owned());
            Some(names)
        }
        None => None,
        Some(known) if named.plus == 0 => (known == text).then(|| names.clone()),
        Some(_) => (resolve(named, names)?.to_string() == text).then(|| names.clone()),
    }
}

/// The number that a name stands for.
pub fn resolve(named: &Named, names: &Names) -> Option<i64> {
    names.get(&named.name)?.parse::<i64>().ok()?.checked_add(named.plus)
}

fn set(parts: &[SetPart], names: &Names) -> Option<std::collections::BTreeSet<u64>> {
    let bound = |bound: &Bound| match bound {
        Bound::Number(number) => Some(*number),
        Bound::Named(named) => u64::try_from(resolve(named, names)?).ok(),
    };
    let mut members = std::collections::BTreeSet::new();
    for part in parts {
        members.extend(bound(&part.first)?..=bound(&part.last)?);
    }
    Some(members)
}
