//! `peerpost user …`: accounts.

use std::io::BufRead;

use serde_json::Value;

use super::{list, show, text};
use crate::cli::{AppPasswordCommand, Output, UserCommand};
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
        UserCommand::AppPassword(command) => app_password(config, command),
    }
}

fn app_password(config: &Config, command: AppPasswordCommand) -> Result<(), Failure> {
    match command {
        AppPasswordCommand::Add { name, label, output } => {
            // The password alone, so that a script can take it.
            show(config, Question::AddAppPassword { name, label }, output, |answer| {
                format!("{}\n", text(answer, "password"))
            })
        }
        AppPasswordCommand::List { name, output } => {
            show(config, Question::ListAppPasswords { name }, output, |answer| {
                let line = |one: &Value| {
                    format!("{}  {}  {}\n", text(one, "id"), text(one, "added"), text(one, "label"))
                };
                list(answer, "app_passwords").iter().map(line).collect()
            })
        }
        AppPasswordCommand::Remove { name, which } => {
            client::ask(config, Question::RemoveAppPassword { name: name.clone(), which: which.clone() })?;
            output::line(format_args!("removed the app password {which} of {name}"))
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
