//! Cases as tests of their own.

use std::sync::Arc;

use libtest_mimic::{Completion, Failed, Trial};

use super::document::{Case, Target};
use super::play::play;
use super::server::Server;
use super::texts::Texts;

/// The cases as tests against Peerpost, which has to offer all and may not differ.
pub fn of_peerpost(server: &Arc<Server>, cases: Vec<Case>, texts: &Arc<Texts>) -> Vec<Trial> {
    let trial = |case: Case| {
        let (server, texts) = (server.clone(), texts.clone());
        Trial::test(case.name.clone(), move || {
            if let Some(missing) = case.needs.iter().find(|name| !server.offers(name)) {
                return Err(Failed::from(format!("{missing} is not offered")));
            }
            Ok(play(&server, &case, &case.lines, &texts)?)
        })
    };
    cases.into_iter().map(trial).collect()
}

/// A case as a test against another server. What it does not offer is ignored; where it differs, an explanation stands in the
/// case.
///
/// # Errors
/// Where it differs without explanation, or does not differ although there is one.
pub fn against_other(server: &Server, case: &Case, texts: &Texts) -> Result<Completion, Failed> {
    let target = server.target;
    if let Some(missing) = case.needs.iter().find(|name| !server.offers(name)) {
        return Ok(Completion::ignored_with(format!("does not offer {missing}")));
    }
    if let Some(why) = case.skipped.get(&target) {
        return Ok(Completion::ignored_with(why));
    }
    let as_written = play(server, case, &case.lines, texts);
    let Some(_) = case.differs.get(&target) else {
        assert!(!case.has_lines_of_its_own(target), "why {} differs is missing", target.name());
        return Ok(as_written.map(|()| Completion::Completed)?);
    };
    if as_written.is_ok() {
        return Err(Failed::from(format!(
            "{} does not differ any more: take the explanation away",
            target.name()
        )));
    }
    if case.has_lines_of_its_own(target) {
        play(server, case, &case.lines_for(target), texts)?;
    }
    Ok(Completion::Completed)
}

/// How many cases are as written, differ and are not offered: for the one who reads the run.
pub fn name_for(target: Target, case: &Case) -> String {
    format!("{}/{}", target.name(), case.name)
}
