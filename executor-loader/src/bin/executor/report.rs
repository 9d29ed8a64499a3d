//! Words to the user, on standard error: what, why, how to mend it.

use std::error::Error as _;
use std::io::Write;
use std::time::Duration;

use executor_loader::executor_api::{Cause, Ended, Error as TaskError, ErrorKind, Outcome};
use executor_loader::{Error, Refusal};

use super::print;

/// The exit codes of this command.
pub(crate) mod exit {
    pub(crate) const SUCCESS: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NO_SUCH_TASK: u8 = 3;
    pub(crate) const PROBLEMS: u8 = 4;
    pub(crate) const TIMED_OUT: u8 = 124;
    pub(crate) const EXECUTOR_FAILED: u8 = 125;
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    pub(crate) const NOT_FOUND: u8 = 127;
    pub(crate) const OUT_OF_MEMORY: u8 = 137;
}

/// Prints one line behind `executor:`. With nobody to read it there is nothing to do about that.
pub(crate) fn say(line: &str) {
    _ = writeln!(anstream::stderr(), "executor: {}", print::plain(line));
}

/// Prints an error with its causes on one line, and the fix on the next.
pub(crate) fn error(error: &Error, verbose: bool) {
    say(&[error.to_string(), causes(error)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "));
    if let Some(fix) = error.fix() {
        _ = writeln!(anstream::stderr(), "  fix: {}", print::plain(fix));
    }
    if let (true, Error::Load { source: Refusal { report, .. }, .. }) = (verbose, error) {
        _ = writeln!(anstream::stderr(), "{report}");
    }
}

/// Why, and why that.
pub(crate) fn causes(error: &Error) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}

/// The exit code of what runs a task, where that never ran.
pub(crate) fn start_failure(error: &Error) -> u8 {
    match error.task().map(TaskError::kind) {
        Some(ErrorKind::NotFound) => exit::NOT_FOUND,
        Some(ErrorKind::NotExecutable) => exit::NOT_EXECUTABLE,
        _ => exit::EXECUTOR_FAILED,
    }
}

/// The exit code of what looks at tasks; `otherwise` where the task is not what is missing.
pub(crate) fn look_failure(error: &Error, otherwise: u8) -> u8 {
    match error.task().map(TaskError::kind) {
        Some(ErrorKind::NotFound) => exit::NO_SUCH_TASK,
        _ => otherwise,
    }
}

/// Of two exit codes the one that counts for more: a task that could not be dealt with before one that was not there.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    if one == exit::FAILED || other == exit::SUCCESS { one } else { other }
}

/// Says how the task ended where the exit code alone does not.
pub(crate) fn tell_end(outcome: &Outcome, limit: Option<Duration>, quiet: bool) {
    if quiet {
        return;
    }
    match (outcome.cause, outcome.ended) {
        (Cause::TimedOut, _) => {
            let limit = limit.map(|limit| format!(" of {}", humantime::format_duration(limit)));
            say(&format!("killed at its time limit{}", limit.unwrap_or_default()));
        }
        (Cause::Oom, _) => say("killed at its memory limit; raise it with --memory"),
        (Cause::Lost, _) | (_, Ended::Unknown) => say(&format!("{outcome}: how it ended is not known")),
        _ => (),
    }
}
