//! `peerpost user …`: accounts.

use std::io::BufRead;

use serde_json::Value;

use super::{list, show};
use crate::cli::{Output, UserCommand};
use crate::config::Config;
use crate::control::{Question, client};
use crate::failure::Failure;

/// Runs one of the commands.
pub fn run(config: &Config, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { name, password: _ } => {
            let question = Question::AddUser { name: name.clone(), password: read_password()? };
            client::ask(config, question)?;
            println!("added {name}");
        }
        UserCommand::Passwd { name, password: _ } => {
            let question = Question::SetPassword { name: name.clone(), password: read_password()? };
            client::ask(config, question)?;
            println!("changed the password of {name}");
        }
        UserCommand::Remove { name } => {
            client::ask(config, Question::RemoveUser { name: name.clone() })?;
            println!("removed {name}");
        }
        UserCommand::List { output } => return list_users(config, output),
    }
    Ok(())
}

fn list_users(config: &Config, output: Output) -> Result<(), Failure> {
    show(config, Question::ListUsers, output, |answer| {
        for name in list(answer, "accounts").iter().filter_map(Value::as_str) {
            println!("{name}");
        }
    })
}

/// The first line of standard input.
fn read_password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Failure::of("cannot read the password from standard input"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
