//! `peerpost verify`: documents against views against bodies.

use mailstore::Storage;
use mailstore::verify::{self, VerifyStep};
use serde_json::{Value, json};

use super::{list, print_json, text};
use crate::cli::Output;
use crate::config::Config;
use crate::control::{Question, client};
use crate::failure::Failure;
use crate::output;

/// Compares, and repairs where asked and where nobody serves.
pub fn collect(
    storage: &Storage,
    repair: bool,
    serving: bool,
    progress: &dyn Fn(String),
) -> Result<Value, Failure> {
    if repair && serving {
        return Err(Failure::new(
            "views cannot be repaired while the node serves; stop it first, then run `peerpost verify --repair`",
        ));
    }
    let mut steps = Steps::default();
    let mut report = |step: VerifyStep| {
        if let Some(words) = steps.next(&step) {
            progress(words);
        }
    };
    match repair {
        true => {
            let done = verify::repair(storage, &mut report)?;
            Ok(json!({ "findings": done.remaining, "repaired": done.repaired }))
        }
        false => Ok(json!({ "findings": verify::verify(storage, &mut report)?, "repaired": [] })),
    }
}

/// Runs the command; exit status 1 where something differs.
pub fn run(config: &Config, repair: bool, output: Output) -> Result<(), Failure> {
    let answer = client::ask(config, Question::Verify { repair })?;
    let (findings, repaired) = (list(&answer, "findings"), list(&answer, "repaired"));
    if output.json {
        print_json(&answer)?;
    } else {
        let line = |word: &str, finding: &Value| {
            let (account, what) = (text(finding, "account"), text(finding, "what"));
            format!("{word} {account} {what}: {}\n", text(finding, "remedy"))
        };
        let repaired = repaired.iter().map(|finding| line("repaired:", finding));
        let found = findings.iter().map(|finding| line("wrong:", finding));
        output::write(&repaired.chain(found).collect::<String>())?;
        if findings.is_empty() {
            output::line("documents, views and bodies agree")?;
        }
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} things are not as they should be; each says what to do"))),
    }
}

/// Every how many records or bodies a step is told.
const STEP: u64 = 50_000;

/// Tells how far the work is, now and then.
#[derive(Default)]
struct Steps {
    told: u64,
}

impl Steps {
    fn next(&mut self, step: &VerifyStep) -> Option<String> {
        let (count, words) = match step {
            VerifyStep::Log { records } => (*records, format!("read {records} records of the log")),
            VerifyStep::Bodies { bodies, octets } => {
                (*bodies, format!("read {bodies} bodies, {} MiB", octets >> 20))
            }
            VerifyStep::Account { name, number, of } => {
                return Some(format!("account {name} ({number} of {of})"));
            }
        };
        let step = count / STEP;
        let tell = step > 0 && step != self.told;
        self.told = step;
        tell.then_some(words)
    }
}
