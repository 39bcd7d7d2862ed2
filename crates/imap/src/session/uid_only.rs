//! What a client may no longer ask once it enabled UIDONLY (RFC 9586 section 3).

use super::answer::Answer;
use super::search::test::asks_sequence;
use crate::command::{CommandBody, Messages, Search};

/// Whether a command takes or tells sequence numbers, so that it is refused.
pub(super) fn takes_sequence_numbers(body: &CommandBody) -> bool {
    match body {
        CommandBody::Fetch { messages, .. }
        | CommandBody::Store { messages, .. }
        | CommandBody::Copy { messages, .. }
        | CommandBody::Move { messages, .. } => !Messages::by_uid(messages),
        CommandBody::Search(search) => of_search(search),
        CommandBody::Sort(sort) => of_search(&sort.search),
        CommandBody::Thread(thread) => of_search(&thread.search),
        _ => false,
    }
}

fn of_search(search: &Search) -> bool {
    !search.uid || asks_sequence(&search.key)
}

/// The answer to a command with sequence numbers.
pub(super) fn refusal() -> Answer {
    Answer::bad("UIDONLY is enabled: messages have UIDs alone").code("UIDREQUIRED")
}
