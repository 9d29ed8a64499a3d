//! What becomes of tasks when processes die: hosts, supervisors, at every moment; and when records are damaged.
//!
//! Everything runs through the loader against the built plugin `fallback`. Each trial has a state directory of its own,
//! and a word that every process it starts carries in its environment or its command line: at the end of the trial no
//! process with that word is left, no record, and no zombie. Hosts that are to be killed are this program again, with
//! `EXECUTOR_RECOVERY_HOST` set ([`host`]).

mod crash;
mod cycles;
mod damage;
mod expect;
mod host;
mod ids;
mod inject;
mod kill;
mod odd;
mod place;
mod processes;
mod stop;
mod trace;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::var_os(host::ROLE).is_some() {
        return host::play();
    }
    let mut arguments = Arguments::from_args();
    // One by one: they measure times and count this process's children and descriptors.
    arguments.test_threads.get_or_insert(1);
    let trials = [
        crash::trials(),
        ids::trials(),
        stop::trials(),
        damage::trials(),
        inject::trials(),
        kill::trials(),
        odd::trials(),
        cycles::trials(),
    ];
    let trials: Vec<Trial> = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
