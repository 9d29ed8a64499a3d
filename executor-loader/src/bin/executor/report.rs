//! Words to the user, on standard error: what, why, how to mend it.

use std::error::Error as _;
use std::io::{self, Write};
use std::time::Duration;

use executor_loader::executor_api::{Cause, Ended, Outcome};
use executor_loader::{Error, Refusal};

/// The exit codes of this command.
pub(crate) mod exit {
    pub(crate) const SUCCESS: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const TIMED_OUT: u8 = 124;
    pub(crate) const EXECUTOR_FAILED: u8 = 125;
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    pub(crate) const NOT_FOUND: u8 = 127;
    pub(crate) const OUT_OF_MEMORY: u8 = 137;
}

/// Prints one line behind `executor:`. With nobody to read it there is nothing to do about that.
pub(crate) fn say(line: &str) {
    _ = writeln!(io::stderr(), "executor: {line}");
}

/// Prints an error with its causes on one line, and the fix on the next.
pub(crate) fn error(error: &Error, verbose: bool) {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line += &format!(": {cause}");
        source = cause.source();
    }
    say(&line);
    if let Some(fix) = error.fix() {
        _ = writeln!(io::stderr(), "  fix: {fix}");
    }
    if let (true, Error::Load { source: Refusal { report, .. }, .. }) = (verbose, error) {
        _ = writeln!(io::stderr(), "{report}");
    }
}

/// Says how the task ended where the exit code alone does not.
pub(crate) fn tell_end(outcome: &Outcome, limit: Option<Duration>, quiet: bool) {
    if quiet {
        return;
    }
    match (outcome.cause, outcome.ended) {
        (Cause::TimedOut, _) => {
            let limit = limit.map(|limit| humantime::format_duration(limit).to_string());
            say(&format!("killed at its time limit of {}", limit.unwrap_or_default()));
        }
        (Cause::Oom, _) => say("killed at its memory limit; raise it with --memory"),
        (Cause::Lost, _) | (_, Ended::Unknown) => say(&format!("{outcome}: how it ended is not known")),
        _ => (),
    }
}
