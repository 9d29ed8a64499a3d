//! The `executor` command: runs commands as tasks, and shows which plugins can.
//!
//! `args` and `duration` read words, `resolve` turns them into what the library takes, `run` and `plugins` are one subcommand each,
//! `report` talks to the user. Standard output belongs to the task or to the listing; everything else goes to standard
//! error behind `executor:`.

mod args;
mod duration;
mod plugins;
mod report;
mod resolve;
mod run;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Args, Verb};
use report::exit;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match &args.verb {
        Verb::Run(run) => run::run(&args.global, run),
        Verb::Plugins(listing) => plugins::plugins(&args.global, listing),
    }
}

/// Help is no error; a usage error of `run` must not look like an exit code of the task.
fn usage(error: &clap::Error) -> ExitCode {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::SUCCESS,
        _ if std::env::args_os().skip(1).any(|word| word == "run") => exit::EXECUTOR_FAILED,
        _ => exit::USAGE,
    };
    // A reader that has gone away does not need the help.
    _ = error.print();
    ExitCode::from(code)
}
