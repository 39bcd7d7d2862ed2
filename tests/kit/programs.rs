//! Outside programs that a test needs, and tests that report themselves ignored where one is missing.

use std::env;
use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Completion, Trial};

/// When this is `1`, a missing program is a failure.
const REQUIRED: &str = "PEERPOST_REQUIRE_CLIENTS";

/// A program or a library, and the Debian package it comes in.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

pub const ALPINE: Program = Program { name: "alpine", package: "alpine" };
/// The SCRAM of Cyrus SASL, which `mbsync` uses.
pub const CYRUS_SCRAM: Program = Program { name: "libscram.so", package: "libsasl2-modules" };
pub const CURL: Program = Program { name: "curl", package: "curl" };
pub const FETCHMAIL: Program = Program { name: "fetchmail", package: "fetchmail" };
pub const GETMAIL: Program = Program { name: "getmail", package: "getmail6" };
pub const MBSYNC: Program = Program { name: "mbsync", package: "isync" };
pub const NEOMUTT: Program = Program { name: "neomutt", package: "neomutt" };
/// For [`super::doors`].
pub const NSS_WRAPPER: Program = Program { name: "libnss_wrapper.so", package: "libnss-wrapper" };
pub const OFFLINEIMAP: Program = Program { name: "offlineimap", package: "offlineimap3" };
pub const PYTHON: Program = Program { name: "python3", package: "python3" };
pub const THUNDERBIRD: Program = Program { name: "thunderbird", package: "thunderbird" };
pub const XVFB: Program = Program { name: "Xvfb", package: "xvfb" };

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

/// Where it is: a program in PATH; a library, or a plugin of Cyrus SASL, where Debian has them.
fn find(name: &str) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = if name.ends_with(".so") {
        let inner = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let libraries: Vec<PathBuf> =
            ["/usr/lib".into(), "/usr/lib64".into()].into_iter().chain(inner).collect();
        let plugins: Vec<PathBuf> = libraries.iter().map(|directory| directory.join("sasl2")).collect();
        [libraries, plugins].concat()
    } else {
        env::split_paths(&env::var_os("PATH")?).collect()
    };
    directories.into_iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}
