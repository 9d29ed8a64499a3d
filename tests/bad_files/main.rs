//! Files that are no good plugin, and plugins that misbehave: a host answers each with one line and lives.
//!
//! Every trial runs its host in a process of its own (this program again, with `EXECUTOR_BAD_FILES_HOST` set), so that
//! a host that dies, hangs or ends with somebody else's status is seen. The run ends with a table of all answers.

mod answers;
mod c_files;
mod damaged;
mod entries;
mod host;
mod kinds;
mod misdeeds;
mod places;
mod run;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(run::ROLE) {
        return host::play(&role);
    }
    let arguments = Arguments::from_args();
    let trials = [kinds::trials(), damaged::trials(), c_files::trials(), misdeeds::trials(), places::trials()];
    let trials = trials.into_iter().flatten().chain(entries::trials());
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    answers::print();
    conclusion.exit_code()
}
