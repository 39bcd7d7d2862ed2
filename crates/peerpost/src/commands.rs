//! What each command of the command line does.

pub mod cluster;
pub mod demo;
pub mod explain;
pub mod history;
pub mod init;
pub mod status;
pub mod user;
pub mod verify;

use serde_json::Value;

use crate::cli::{Arguments, ClusterCommand, Command, Output};
use crate::config::Config;
use crate::control::{Question, client};
use crate::failure::Failure;
use crate::node::serve;
use crate::output;

/// Runs a command.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = || Config::load(&arguments.config);
    match arguments.command {
        Command::Demo { exit } => demo::run(exit),
        Command::Init => init::run(&config()?),
        Command::Serve => serve::run(config()?),
        Command::Cluster(ClusterCommand::Invite { output }) => cluster::invite(&config()?, output),
        Command::Cluster(ClusterCommand::Join { token }) => cluster::join(&config()?, &token),
        Command::Cluster(ClusterCommand::Remove { name, slot }) => cluster::remove(&config()?, name, slot),
        Command::Bump { account, mailbox, output } => {
            show(&config()?, Question::Bump { account, mailbox }, output, |answer| {
                format!("UIDVALIDITY is {} now\n", number(answer, "uid_validity"))
            })
        }
        Command::User(command) => user::run(&config()?, command),
        Command::Status { output } => show(&config()?, Question::Status, output, status::print),
        Command::History { account, mailbox, output } => {
            show(&config()?, Question::History { account, mailbox }, output, history::print)
        }
        Command::Explain { account, mailbox, uid, output } => {
            show(&config()?, Question::Explain { account, mailbox, uid: uid.get() }, output, explain::print)
        }
        Command::Verify { repair, output } => verify::run(&config()?, repair, output),
    }
}

/// Has a question answered and prints the answer, for people or as JSON.
fn show(
    config: &Config,
    question: Question,
    output: Output,
    print: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let answer = client::ask(config, question)?;
    if output.json { print_json(&answer) } else { output::write(&print(&answer)) }
}

fn print_json(answer: &Value) -> Result<(), Failure> {
    // A value that came from JSON can be written as JSON.
    output::line(serde_json::to_string_pretty(answer).unwrap_or_default())
}

/// A text in a JSON answer; empty where there is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A number in a JSON answer; 0 where there is none.
fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A list in a JSON answer; empty where there is none.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
