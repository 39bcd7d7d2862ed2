//! The parts of CATENATE (RFC 4469 section 5), and the messages that may follow in the same APPEND (RFC 3502).

use crate::command::{AppendForm, AppendStep};

use super::super::MOST_LISTED;
use super::super::cursor::{Cursor, Expected, Read};

/// Reads what an APPEND says from behind the parenthesis of a CATENATE on, or from behind a literal on, up to the literal of
/// `size` octets or, without one, up to its end. `opened`: whether the parenthesis was opened before this text.
pub(in super::super) fn steps(
    cursor: &mut Cursor<'_>,
    size: Option<u64>,
    opened: Opened,
) -> Read<Vec<AppendStep>> {
    let mut opened = opened;
    let mut steps = Vec::new();
    loop {
        if steps.len() >= MOST_LISTED {
            return Err(Expected::Rule(
                format!("CATENATE takes {MOST_LISTED} parts at a time at most").into(),
            ));
        }
        if opened == Opened::No {
            let mut ahead = *cursor;
            if size.is_none() && ahead.end().is_ok() {
                return Ok(steps);
            }
            let message = super::append_message(cursor, size)?;
            if message.form != AppendForm::Catenate {
                steps.push(AppendStep::Message(message));
                return Ok(steps);
            }
            opened = Opened::Now;
            steps.push(AppendStep::Message(message));
            continue;
        }
        let step = step(cursor, size, opened)?;
        opened = if step == AppendStep::Close { Opened::No } else { Opened::Before };
        let text = matches!(step, AppendStep::Text { .. });
        steps.push(step);
        if text {
            return Ok(steps);
        }
    }
}

/// Whether the parts of a CATENATE are being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Opened {
    No,
    /// The parenthesis was opened, and nothing has come yet.
    Now,
    /// Some parts have come.
    Before,
}

/// `cat-part`, or the closing parenthesis.
fn step(cursor: &mut Cursor<'_>, size: Option<u64>, opened: Opened) -> Read<AppendStep> {
    const EXPECTED: Expected = Expected::Grammar("TEXT with a literal, URL or a closing parenthesis");
    if opened == Opened::Before {
        if cursor.accept(b')') {
            return Ok(AppendStep::Close);
        }
        cursor.space()?;
    }
    if cursor.accept_word("URL ") {
        return Ok(AppendStep::Url(cursor.text("a URL")?));
    }
    let text = cursor.accept_word("TEXT ");
    let form = match text {
        true => super::literal_form(cursor),
        false => super::append_form(cursor),
    };
    // Without TEXT it has to be in `UTF8 (..)` (RFC 6855 section 4).
    match size.filter(|_| cursor.is_at_end() && (text || form == AppendForm::Utf8)) {
        Some(size) => Ok(AppendStep::Text { size, form }),
        None => Err(EXPECTED),
    }
}
