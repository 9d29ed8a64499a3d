//! The installed `executor` command, as a shell calls it: each module has the trials of one subject.

mod docs;
mod inputs;
mod listings;
mod odd;
mod options;
mod place;
mod records;
mod refusals;
mod run;
mod settings;
mod states;
mod stranger;
mod streams;
mod tasks;

use std::process::ExitCode;

use executor_tests::{Need, trial};
use libtest_mimic::{Arguments, Failed, Trial};

/// A trial: its name, what it cannot do without, and what it does.
type Case = (&'static str, &'static [Need], fn() -> Result<(), Failed>);

const SUBJECTS: &[&[Case]] = &[
    docs::CASES,
    inputs::CASES,
    listings::CASES,
    odd::CASES,
    options::CASES,
    records::CASES,
    refusals::CASES,
    run::CASES,
    settings::CASES,
    states::CASES,
    streams::CASES,
    tasks::CASES,
];

fn main() -> ExitCode {
    let cases = SUBJECTS.iter().copied().flatten();
    let trials: Vec<Trial> = cases.map(|(name, needs, check)| trial(name, needs, *check)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
