//! What every plugin must do, whoever wrote it: one suite through the loader against each plugin file.
//!
//! Runs against every usable plugin that is installed, or against the one file in `EXECUTOR_CONFORMANCE_PLUGIN`. A case
//! that needs a capability which the plugin does not state is shown as ignored, with that reason; a plugin that states a
//! capability must pass its cases.

mod border;
mod launch;
mod reopen;
mod stdio;
mod stop;
mod subject;
mod wishes;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use subject::{Case, Subject};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (subjects, mut trials) = match Subject::all() {
        Ok(found) => found,
        Err(missing) => return libtest_mimic::run(&arguments, vec![missing]).exit_code(),
    };
    if let Some(name) = std::env::var_os(wishes::ROLE) {
        let subject = subjects.iter().find(|subject| name == subject.name.as_str());
        wishes::play(subject.expect("the plugin of the case"));
    }
    let cases = [border::CASES, launch::CASES, stop::CASES, wishes::CASES, stdio::CASES, reopen::CASES];
    let cases: Vec<&Case> = cases.into_iter().flatten().collect();
    trials.extend(subjects.iter().flat_map(|subject| cases.iter().map(|case| subject.trial(case))));
    libtest_mimic::run(&arguments, trials).exit_code()
}
