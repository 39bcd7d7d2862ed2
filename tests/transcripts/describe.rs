//! Patterns in words, for whoever reads that one did not match.

use super::pattern::{Bound, Named, Pattern, SetPart};

/// A line of a transcript again.
pub fn line(patterns: &[Pattern]) -> String {
    patterns.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn one(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Word(word) => word.clone(),
        Pattern::Text(octets) => format!("\"{}\"", octets.escape_ascii()),
        Pattern::List(patterns) => format!("({})", line(patterns)),
        Pattern::Code(patterns) => format!("[{}]", line(patterns)),
        Pattern::Any => "<any>".to_owned(),
        Pattern::Rest => "...".to_owned(),
        Pattern::Name(name) => format!("<{}>", named(name)),
        Pattern::Above { other, .. } => format!("<above {}>", named(other)),
        Pattern::Valued { name, value } => format!("{name}=<{}>", named(value)),
        Pattern::Unlike { name, other } => format!("<{name} unlike {other}>"),
        Pattern::Base64(text) => text.describe(),
        Pattern::Set { members, more, without } => {
            let more = if *more { "with " } else { "" };
            let without = if without.is_empty() { String::new() } else { format!(" not {}", set(without)) };
            format!("<set {more}{}{without}>", set(members))
        }
    }
}

fn named(named: &Named) -> String {
    match named.plus {
        0 => named.name.clone(),
        plus => format!("{}{plus:+}", named.name),
    }
}

fn set(parts: &[SetPart]) -> String {
    let bound = |bound: &Bound| match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Named(name) => named(name),
    };
    let part = |part: &SetPart| format!("{}:{}", bound(&part.first), bound(&part.last));
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}
