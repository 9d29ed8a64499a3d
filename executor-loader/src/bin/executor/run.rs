//! `executor run`: one task in the foreground, its exit code as ours, signals handed on.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use executor_loader::executor_api::units::Signal;
use executor_loader::executor_api::{Cause, Ended, ErrorKind, Outcome};
use executor_loader::{Error, Task, not_enforced_line};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use super::args::{Global, Run};
use super::report::{self, exit};
use super::resolve;

/// Handed on to the task.
const FORWARDED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];
/// For a task whose plugin cannot signal, and that is to end.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(global: &Global, args: &Run) -> ExitCode {
    match run_to_end(global, args) {
        Ok(outcome) => {
            report::tell_end(&outcome, args.timeout, global.quiet);
            ExitCode::from(code(&outcome))
        }
        Err(error) => {
            report::error(&error, global.verbose);
            ExitCode::from(failure_code(&error))
        }
    }
}

fn run_to_end(global: &Global, args: &Run) -> Result<Outcome, Error> {
    let mut command = resolve::command(args)?;
    let loader = resolve::loader(global)?;
    // Before the start: a signal that comes meanwhile is kept, and handed on after it.
    let signals = Signals::new(FORWARDED);
    let signals =
        signals.map_err(|error| executor_loader::executor_api::Error::from_io("take over signals", &error))?;
    let task = Arc::new(command.start(&loader)?);
    if let (false, Ok(applied)) = (global.quiet, task.applied())
        && let Some(line) = not_enforced_line(&applied)
    {
        report::say(&format!("{} ({})", line, task.id().plugin()));
    }
    forward(signals, Arc::clone(&task));
    let outcome = task.wait()?;
    match loader.collect(task.id()) {
        // Not every plugin keeps records.
        Err(error) if !ended(&error) => report::error(&error, global.verbose),
        _ => (),
    }
    Ok(outcome)
}

/// Hands signals on for as long as this process lives.
fn forward(mut signals: Signals, task: Arc<Task>) {
    thread::spawn(move || {
        for number in signals.forever() {
            let Ok(signal) = Signal::new(number) else { continue };
            match task.signal(signal) {
                Err(error) if unsupported(&error) && [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&number) => {
                    if let Err(error) = task.stop(GRACE) {
                        report::error(&error, false);
                    }
                }
                Err(error) if !ended(&error) && !unsupported(&error) => report::error(&error, false),
                _ => (),
            }
        }
    });
}

fn unsupported(error: &Error) -> bool {
    error.task().is_some_and(|error| error.kind() == ErrorKind::Unsupported)
}

fn ended(error: &Error) -> bool {
    error.task().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The exit code for how the task ended.
fn code(outcome: &Outcome) -> u8 {
    match (outcome.cause, outcome.ended) {
        (Cause::TimedOut, _) => exit::TIMED_OUT,
        (Cause::Oom, _) => exit::OUT_OF_MEMORY,
        (_, Ended::Exited(code)) => code,
        (_, Ended::Signalled(signal)) => u8::try_from(128 + signal.number()).unwrap_or(exit::EXECUTOR_FAILED),
        _ => exit::EXECUTOR_FAILED,
    }
}

/// The exit code for a task that never ran.
fn failure_code(error: &Error) -> u8 {
    match error.task().map(executor_loader::executor_api::Error::kind) {
        Some(ErrorKind::NotFound) => exit::NOT_FOUND,
        Some(ErrorKind::NotExecutable) => exit::NOT_EXECUTABLE,
        _ => exit::EXECUTOR_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_how_the_task_ended() {
        let term = Ended::Signalled(Signal::TERM);
        let cases = [
            (Ended::Exited(7), Cause::Own, 7),
            (Ended::Exited(7), Cause::Stopped, 7),
            (term, Cause::Own, 143),
            (term, Cause::Stopped, 143),
            (term, Cause::TimedOut, 124),
            (Ended::Exited(0), Cause::TimedOut, 124),
            (Ended::Signalled(Signal::KILL), Cause::Oom, 137),
            (Ended::Unknown, Cause::Lost, 125),
        ];
        for (ended, cause, expected) in cases {
            assert_eq!(code(&Outcome::new(ended, cause)), expected, "{ended:?} {cause:?}");
        }
    }
}
