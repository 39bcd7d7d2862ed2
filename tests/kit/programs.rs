//! Outside programs that a test needs, and tests that report themselves ignored where one is missing.

use std::env;
use std::path::PathBuf;

use libtest_mimic::{Completion, Trial};

/// When this is `1`, a missing program is a failure.
const REQUIRED: &str = "PEERPOST_REQUIRE_CLIENTS";

/// A program, and the Debian package it comes in.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

/// The SCRAM of Cyrus SASL, which `mbsync` uses.
pub const CYRUS_SCRAM: Program = Program { name: "libscram.so", package: "libsasl2-modules" };
pub const CURL: Program = Program { name: "curl", package: "curl" };
pub const FETCHMAIL: Program = Program { name: "fetchmail", package: "fetchmail" };
pub const GETMAIL: Program = Program { name: "getmail", package: "getmail6" };
pub const MBSYNC: Program = Program { name: "mbsync", package: "isync" };
pub const PYTHON: Program = Program { name: "python3", package: "python3" };

/// Whether the program is there. Panics where it is not and must be.
pub fn require_program(program: Program) -> bool {
    let found = find(program.name).is_some();
    let required = is_required();
    let Program { name, package } = program;
    assert!(found || !required, "{name} is missing and {REQUIRED}=1: install the Debian package {package}");
    found
}

/// Whether a missing program is a failure.
pub fn is_required() -> bool {
    env::var_os(REQUIRED).is_some_and(|value| value == "1")
}

/// A test for the harness of libtest-mimic, which unlike the usual one can tell at run time that a test is ignored, and why.
pub fn trial(name: &str, needs: &'static [Program], body: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        for program in needs {
            if !require_program(*program) {
                let Program { name, package } = program;
                return Ok(Completion::ignored_with(format!(
                    "needs {name}: install the Debian package {package}"
                )));
            }
        }
        body();
        Ok(Completion::Completed)
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let plugins = ["/usr/lib/sasl2", "/usr/lib/x86_64-linux-gnu/sasl2", "/usr/lib/aarch64-linux-gnu/sasl2"];
    env::split_paths(&env::var_os("PATH")?)
        .chain(plugins.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
