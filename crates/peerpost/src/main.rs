//! The peerpost binary: configuration, wiring, command line.

mod cli;
mod config;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Arguments;
use crate::config::Config;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = Config::load(&arguments.config) {
        eprintln!("peerpost: {error}");
        return ExitCode::FAILURE;
    }
    eprintln!("peerpost: cannot run {:?}: not yet wired", arguments.command);
    ExitCode::FAILURE
}
