//! Cases as tests of their own.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::kit::programs::is_required;

use super::document::{Case, Target};
use super::play::play;
use super::server::Server;
use super::texts::Texts;
use super::wire::LONGEST_SILENCE;

/// How long a peer is waited for that is known to answer something else, or nothing.
const SHORT_SILENCE: Duration = Duration::from_secs(3);

/// The cases as tests against Peerpost, which has to offer all and may not differ.
pub fn of_peerpost(server: &Arc<Server>, cases: Vec<Case>, texts: &Arc<Texts>) -> Vec<Trial> {
    let trial = |case: Case| {
        let (server, texts) = (server.clone(), texts.clone());
        Trial::test(case.name.clone(), move || {
            if let Some(missing) = case.needs.iter().find(|name| !server.offers(name)) {
                return Err(Failed::from(format!("{missing} is not offered")));
            }
            Ok(play(&server, &case, &case.lines, &texts, LONGEST_SILENCE)?)
        })
    };
    cases.into_iter().map(trial).collect()
}

/// A case as a test against another server. What it does not offer is ignored; where it differs, an explanation stands in the
/// case. Some answers of theirs depend on how their processes fall in with each other: each case may try twice.
///
/// # Errors
/// Where it differs without explanation, or does not differ although there is one.
pub fn against_other(server: &Server, case: &Case, texts: &Texts) -> Result<Completion, Failed> {
    attempt_against_other(server, case, texts).or_else(|_| attempt_against_other(server, case, texts))
}

fn attempt_against_other(server: &Server, case: &Case, texts: &Texts) -> Result<Completion, Failed> {
    let target = server.target;
    if let Some(missing) = case.needs.iter().find(|name| !server.offers(name)) {
        return Ok(Completion::ignored_with(format!("does not offer {missing}")));
    }
    if let Err(reason) = server.address(case.protocol) {
        return if is_required() { Err(Failed::from(reason)) } else { Ok(Completion::ignored_with(reason)) };
    }
    if case.quota.is_some() && server.quotas.is_none() {
        return Ok(Completion::ignored_with("quotas cannot be set from here"));
    }
    if let Some(why) = case.skipped.get(&target) {
        return Ok(Completion::ignored_with(why));
    }
    let differs = case.differs.contains_key(&target);
    let patience = if differs { SHORT_SILENCE } else { LONGEST_SILENCE };
    let as_written = play(server, case, &case.lines, texts, patience);
    if !differs {
        assert!(!case.has_lines_of_its_own(target), "why {} differs is missing", target.name());
        return Ok(as_written.map(|()| Completion::Completed)?);
    }
    if as_written.is_ok() {
        return Err(Failed::from(format!(
            "{} does not differ any more: take the explanation away",
            target.name()
        )));
    }
    if case.has_lines_of_its_own(target) {
        play(server, case, &case.lines_for(target), texts, LONGEST_SILENCE)?;
    }
    Ok(Completion::Completed)
}

/// The name of a case as a test against another server.
pub fn name_for(target: Target, case: &Case) -> String {
    format!("{}/{}", target.name(), case.name)
}
