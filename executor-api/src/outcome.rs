//! How a task ended, and why: two questions with two answers, so that "exited 7 after we stopped it" can be said.
//!
//! # Examples
//!
//! ```
//! use executor_api::{Cause, Ended, Outcome, units::Signal};
//!
//! let outcome = Outcome::new(Ended::Exited(7), Cause::Stopped);
//! assert_eq!(outcome.to_string(), "exited with code 7 after it was stopped");
//! assert!(!outcome.success());
//! assert_eq!(Outcome::new(Ended::Signalled(Signal::KILL), Cause::TimedOut).to_string(), "killed by SIGKILL at its time limit");
//! ```

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::text::unix_millis;
use crate::units::Signal;

/// How the main process of a task ended.
///
/// Example: [outcome](self#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// It returned this code, 0 to 255.
    Exited(u8),
    /// This signal ended it.
    Signalled(Signal),
    /// Nobody saw how: the supervisor was killed, the machine restarted, or another reaper took the status.
    Unknown,
}

/// Why a task ended, as far as the executor had a hand in it.
///
/// Example: [outcome](self#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// On its own, or by a signal that did not come through the executor.
    Own,
    /// By `shutdown` or `force_stop`.
    Stopped,
    /// By its wall-clock limit.
    TimedOut,
    /// By the kernel, at its memory limit.
    Oom,
    /// Its supervisor is gone, or the machine was restarted: how it ended is not known and not guessed.
    Lost,
}

/// The end of a task.
///
/// Example: [outcome](self#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Why it ended.
    pub cause: Cause,
    /// Whether the kernel wrote a core dump.
    #[serde(default)]
    pub core_dumped: bool,
    /// When the main process was started, by the host's clock; none where that was not seen.
    #[serde(default, rename = "started_unix_ms", with = "unix_millis")]
    pub started: Option<SystemTime>,
    /// When the main process ended, by the host's clock; none where that was not seen.
    #[serde(default, rename = "finished_unix_ms", with = "unix_millis")]
    pub finished: Option<SystemTime>,
}

impl Outcome {
    /// An end without a core dump and without times.
    ///
    /// Example: [outcome](self#examples).
    #[must_use]
    pub fn new(ended: Ended, cause: Cause) -> Self {
        Self { ended, cause, core_dumped: false, started: None, finished: None }
    }

    /// The end that a wait status tells, for this cause.
    ///
    /// Example: the plugin in the [crate's documentation](crate#examples).
    #[must_use]
    pub fn from_status(status: ExitStatus, cause: Cause) -> Self {
        let exited = status.code().and_then(|code| u8::try_from(code).ok()).map(Ended::Exited);
        let signalled = || status.signal().and_then(|signal| Signal::new(signal).ok()).map(Ended::Signalled);
        let ended = exited.or_else(signalled).unwrap_or(Ended::Unknown);
        Self { core_dumped: status.core_dumped(), ..Self::new(ended, cause) }
    }

    /// Whether the task did what it was asked to: exited with 0, on its own.
    ///
    /// Example: [outcome](self#examples).
    #[must_use]
    pub fn success(&self) -> bool {
        self.ended == Ended::Exited(0) && self.cause == Cause::Own
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            Ended::Exited(code) => write!(f, "exited with code {code}")?,
            Ended::Signalled(signal) => write!(f, "killed by {signal}")?,
            Ended::Unknown => f.write_str("ended, nobody saw how")?,
        }
        f.write_str(match self.cause {
            Cause::Own => "",
            Cause::Stopped => " after it was stopped",
            Cause::TimedOut => " at its time limit",
            Cause::Oom => " at its memory limit",
            Cause::Lost => ": its supervisor is gone",
        })
    }
}
