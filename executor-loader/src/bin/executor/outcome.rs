//! How a task ended: as an exit code, as words, as a document.

use std::time::{SystemTime, UNIX_EPOCH};

use executor_loader::Error;
use executor_loader::executor_api::{Cause, Ended, Outcome, TaskId, Usage};
use serde_json::{Value, json};

use super::begin::Got;
use super::report::{self, exit};

/// The exit code for how a task ended.
pub(crate) fn code(outcome: &Outcome) -> u8 {
    match (outcome.cause, outcome.ended) {
        (Cause::TimedOut, _) => exit::TIMED_OUT,
        (Cause::Oom, _) => exit::OUT_OF_MEMORY,
        (_, Ended::Exited(code)) => code,
        (_, Ended::Signalled(signal)) => u8::try_from(128 + signal.number()).unwrap_or(exit::EXECUTOR_FAILED),
        _ => exit::EXECUTOR_FAILED,
    }
}

/// The end of a task as a document.
pub(crate) fn document(id: &TaskId, outcome: &Outcome, usage: &Usage, got: &Got) -> Value {
    got.written_into(json!({
        "schema": 1,
        "id": id,
        "plugin": id.plugin(),
        "outcome": outcome,
        "exit_code": code(outcome),
        "usage": usage,
    }))
}

/// What kept a task from running, as a document.
pub(crate) fn failure(error: &Error, code: u8) -> Value {
    let (kind, what, why) = match error.task() {
        Some(error) => (Some(error.kind()), error.what().to_owned(), error.why().to_owned()),
        None => (None, error.to_string(), report::causes(error)),
    };
    let error = json!({ "kind": kind, "what": what, "why": why, "fix": error.fix() });
    json!({ "schema": 1, "exit_code": code, "error": error })
}

/// A time in milliseconds since 1970.
pub(crate) fn unix_ms(time: Option<SystemTime>) -> Option<u64> {
    let since = time?.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use executor_loader::executor_api::units::Signal;

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
