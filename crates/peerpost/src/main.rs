//! The peerpost binary: configuration, wiring, command line.

mod cli;
mod commands;
mod config;
mod control;
mod demo;
mod failure;
mod node;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell(format_args!("peerpost: {failure}\n"));
            ExitCode::FAILURE
        }
    }
}
