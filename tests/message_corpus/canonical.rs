//! One form for what servers may write in several: the case of types and names of parameters, a language alone or in a list, quoted
//! strings or literals.

use crate::corpus::escape;
use crate::transcripts::value::{self, Value};

/// An answer in this form; the key says what it is.
pub fn of(key: &str, answer: &Value) -> String {
    let mut text = String::new();
    match key {
        "structure" | "body" => write(&body(answer), &mut text),
        _ => write(answer, &mut text),
    }
    text
}

/// An answer in this form that stands somewhere as IMAP writes it.
pub fn of_text(key: &str, text: &[u8]) -> String {
    let values = value::parse(text).unwrap_or_else(|error| panic!("{key}: {error}: {}", escape(text)));
    of(key, &values[0])
}

/// Values as IMAP writes them, all in one line and each apart from the next.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Word(word) => text.push_str(word),
        Value::Text(octets) => {
            text.push('"');
            let letters = escape(octets).replace('"', "\\x22");
            text.push_str(&letters);
            text.push('"');
        }
        Value::List(values) | Value::Code(values) => {
            text.push('(');
            for (value, place) in values.iter().zip(0..) {
                if place > 0 {
                    text.push(' ');
                }
                write(value, text);
            }
            text.push(')');
        }
    }
}

/// RFC 9051 section 9, `body`.
fn body(value: &Value) -> Value {
    let Value::List(members) = value else { return value.clone() };
    match members.first() {
        Some(Value::List(_)) => multipart(members),
        _ => single(members),
    }
}

/// `body-type-mpart`
fn multipart(members: &[Value]) -> Value {
    let parts = members.iter().take_while(|member| matches!(member, Value::List(_))).count();
    let (parts, rest) = members.split_at(parts);
    let extension = rest.iter().zip(0..).map(|(member, place)| match place {
        0 => lower(member),
        1 => parameters(member),
        2 => disposition(member),
        3 => languages(member),
        _ => member.clone(),
    });
    Value::List(parts.iter().map(body).chain(extension).collect())
}

/// `body-type-1part`
fn single(members: &[Value]) -> Value {
    let is = |place: usize, word: &str| {
        members.get(place).and_then(Value::text).is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    let message = is(0, "message") && matches!(members.get(7), Some(Value::List(_)));
    // Where the extension data begins.
    let extension = if message { 10 } else { 7 + usize::from(is(0, "text")) };
    let canonical = members.iter().zip(0..).map(|(member, place)| match place {
        0 | 1 | 5 => lower(member),
        2 => parameters(member),
        8 if message => body(member),
        place if place == extension + 1 => disposition(member),
        place if place == extension + 2 => languages(member),
        _ => member.clone(),
    });
    Value::List(canonical.collect())
}

fn lower(value: &Value) -> Value {
    match value {
        Value::Text(octets) => Value::Text(octets.to_ascii_lowercase()),
        other => other.clone(),
    }
}

/// `body-fld-param`: names are compared without case.
fn parameters(value: &Value) -> Value {
    let Value::List(members) = value else { return value.clone() };
    let members = members.iter().zip(0..);
    Value::List(
        members.map(|(member, place)| if place % 2 == 0 { lower(member) } else { member.clone() }).collect(),
    )
}

/// `body-fld-dsp`
fn disposition(value: &Value) -> Value {
    let Value::List(members) = value else { return value.clone() };
    let members = members.iter().zip(0..);
    Value::List(
        members.map(|(member, place)| if place == 0 { lower(member) } else { parameters(member) }).collect(),
    )
}

/// `body-fld-lang`: one tag may stand without a list, and tags are compared without case (RFC 5646 2.1.1).
fn languages(value: &Value) -> Value {
    match value {
        Value::Text(_) => Value::List(vec![lower(value)]),
        Value::List(tags) => Value::List(tags.iter().map(lower).collect()),
        other => other.clone(),
    }
}
