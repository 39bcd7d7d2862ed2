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
    }
}

fn list_users(config: &Config, output: Output) -> Result<(), Failure> {
    show(config, Question::ListUsers, output, |answer| {
        list(answer, "accounts").iter().filter_map(Value::as_str).map(|name| format!("{name}\n")).collect()
    })
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
