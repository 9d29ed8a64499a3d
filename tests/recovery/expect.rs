//! Small checks, and waiting for something with a deadline.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

use executor_api::{Cause, Ended, Error, ErrorKind, Outcome};
use executor_loader::executor_api;
use libtest_mimic::Failed;

/// How long anything may take: far more than it needs, so that a loaded machine is no failure.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// What is promised to be prompt is so within this.
pub(crate) const PROMPT: Duration = Duration::from_secs(1);

/// Asks again and again until there is an answer; after [`LONG`] that is a failure.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    within(LONG, what, ask)
}

/// The same, with another deadline.
pub(crate) fn within<T>(time: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(format!("not within {time:?}: {what}").into());
        }
        sleep(Duration::from_millis(2));
    }
}

/// Fails with both values unless they are equal.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    truth(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

/// Fails with `words` unless it holds.
pub(crate) fn truth(holds: bool, words: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(words().into()) }
}

/// Fails unless the task ended so, for this reason.
pub(crate) fn ended(outcome: &Outcome, ended: Ended, cause: Cause) -> Result<(), Failed> {
    same("the end", (outcome.ended, outcome.cause), (ended, cause))
}

/// Fails unless `result` is an error of this kind, which it returns.
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T, Error>, kind: ErrorKind) -> Result<Error, Failed> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        other => Err(format!("{what}: found {other:?}, expected an error of the kind {kind:?}").into()),
    }
}

/// The plugin's own error, or a failure where it was somebody else's.
pub(crate) fn of_task<T>(result: executor_loader::Result<T>) -> Result<Result<T, Error>, Failed> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(executor_loader::Error::Task(error)) => Ok(Err(error)),
        Err(other) => Err(words(&other).into()),
    }
}

/// An error and its reasons, on one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let reasons = std::iter::successors(error.source(), |error| error.source());
    reasons.fold(error.to_string(), |words, reason| format!("{words}: {reason}"))
}
