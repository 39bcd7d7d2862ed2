//! `peerpost user …`: accounts.

use std::io::BufRead;

use serde_json::Value;

use super::{list, show};
use crate::cli::{Output, UserCommand};
use crate::config::Config;
use crate::control::{Question, client};
use crate::failure::Failure;
use crate::output;

/// Runs one of the commands.
pub fn run(config: &Config, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { name, password: _ } => {
            let question = Question::AddUser { name: name.clone(), password: read_password()? };
            client::ask(config, question)?;
            output::line(format_args!("added {name}"))
        }
        UserCommand::Passwd { name, password: _ } => {
            let question = Question::SetPassword { name: name.clone(), password: read_password()? };
            client::ask(config, question)?;
            output::line(format_args!("changed the password of {name}"))
        }
        UserCommand::Remove { name } => {
            client::ask(config, Question::RemoveUser { name: name.clone() })?;
            output::line(format_args!("removed {name}"))
        }
        UserCommand::List { output } => list_users(config, output),
        UserCommand::Quota { name, storage, messages, output } => {
            show(config, Question::Quota { name, storage, messages }, output, quota)
        }
    }
}

fn list_users(config: &Config, output: Output) -> Result<(), Failure> {
    show(config, Question::ListUsers, output, |answer| {
        list(answer, "accounts").iter().filter_map(Value::as_str).map(|name| format!("{name}\n")).collect()
    })
}

/// `storage: 1234 of 1048576 octets`, and the same of messages.
fn quota(answer: &Value) -> String {
    let line = |what: &str, unit: &str| {
        let number = |key: &str| answer.get(what).and_then(|value| value.get(key)).and_then(Value::as_u64);
        let used = number("used").unwrap_or(0);
        match number("limit") {
            Some(limit) => format!("{what}: {used} of {limit}{unit}\n"),
            None => format!("{what}: {used}{unit}, no limit\n"),
        }
    };
    [line("storage", " octets"), line("messages", "")].concat()
}

/// The first line of standard input.
fn read_password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(Failure::of("cannot read the password from standard input"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
