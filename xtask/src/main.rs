//! Builds, checks and tests the workspace: `cargo xtask`.
//!
//! One file per verb. `flags` has the command line, `cargo` the calls to cargo, `tally` the counting; a verb prints what
//! it does and answers with an [`error::Error`] that says what did not work.

#![expect(clippy::print_stdout, reason = "this is a command: standard output is where its answers belong")]

mod bench;
mod build;
mod cargo;
mod ci;
mod conformance;
mod error;
mod flags;
mod install;
mod new_plugin;
mod place;
mod run;
mod table;
mod tally;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use clap::Parser;

use crate::error::Result;
use crate::flags::{Flags, Verb};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let done = match run::words_after_run(&words) {
        Some((profile, args)) => run::run(profile, args),
        None => carry_out(Flags::parse().verb),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_told() {
                eprintln!("xtask: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn carry_out(verb: Verb) -> Result {
    match verb {
        Verb::Build { release } => build::verb(release.into()),
        Verb::Install { prefix } => install::verb(&prefix),
        Verb::Run { release, args } => run::run(release.into(), &args),
        Verb::Test { root } => test::verb(root),
        Verb::Conformance { plugin } => conformance::verb(&plugin),
        Verb::NewPlugin { name, dir } => new_plugin::verb(&name, &dir),
        Verb::Table => table::verb(),
        Verb::Tidy => tidy::verb(),
        Verb::Bench { what } => bench::verb(what),
        Verb::VmTest { list: true, .. } => {
            vm::list();
            Ok(())
        }
        Verb::VmTest { lanes, short, words, .. } => {
            vm::verb(&lanes, if short { vm::Extent::Short } else { vm::Extent::Whole }, &words)
        }
        Verb::Ci => ci::verb(),
    }
}
