//! The trials, and how one is run.

mod end;
mod group;
mod host;
mod leak;
mod measure;
mod rig;
mod start;
mod stop;

use std::io::Write;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A trial that is skipped, and says so, for a user who is not root; it fails where root was promised.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let own_name = name.to_owned();
    Trial::ignorable_test(name, move || {
        if nix::unistd::geteuid().is_root() {
            test();
            return Ok(Completion::Completed);
        }
        let promised = std::env::var("EXECUTOR_TEST_REQUIRE").unwrap_or_default();
        if promised.split(',').any(|name| name.trim() == "root") {
            return Err(Failed::from("root was promised and is missing"));
        }
        writeln!(std::io::stdout(), "skipped: {own_name}: needs root")?;
        Ok(Completion::ignored_with("needs root"))
    })
}

pub(crate) fn main() -> ExitCode {
    if let Some(place) = std::env::var_os(host::ROLE) {
        return host::play(&place);
    }
    let mut arguments = Arguments::from_args();
    // One by one: they count this process's descriptors and children.
    arguments.test_threads.get_or_insert(1);
    let trials = [
        end::trials(),
        start::trials(),
        stop::trials(),
        host::trials(),
        leak::trials(),
        group::trials(),
        measure::trials(),
    ];
    let trials: Vec<Trial> = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
