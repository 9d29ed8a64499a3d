//! What a panic leaves behind: an object that answers only what must always work.

use std::sync::atomic::{AtomicBool, Ordering};

use super::guard::catch;
use super::log::HostLog;
use super::object::AbiResult;
use super::types::AbiError;
use crate::error::{Error, ErrorKind, Result};
use crate::plugin::LogLevel;

/// Set by the first panic in an object; from then on it answers only what must always work.
#[derive(Default)]
pub(super) struct Poison(AtomicBool);

impl Poison {
    /// Runs `act` unless the object is poisoned, and poisons it if `act` panics.
    pub(super) fn enter<T>(&self, entry: &str, act: impl FnOnce() -> Result<T>) -> AbiResult<T> {
        if self.0.load(Ordering::Acquire) {
            let why = "an earlier call on this object panicked; only force_stop, open and dropping it work now";
            return Err(AbiError::from(Error::new(ErrorKind::Panicked, entry, why))).into();
        }
        self.enter_always(entry, act)
    }

    /// Runs `act` even if the object is poisoned.
    pub(super) fn enter_always<T>(&self, entry: &str, act: impl FnOnce() -> Result<T>) -> AbiResult<T> {
        let result = catch(entry, act);
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Panicked) {
            self.0.store(true, Ordering::Release);
        }
        result.map_err(AbiError::from).into()
    }
}

/// Drops something of the author's; a panic in it ends up in the host's log, since a drop has no answer.
pub(super) fn drop_guarded(entry: &str, log: &HostLog, drop: impl FnOnce()) {
    let dropped = catch(entry, || {
        drop();
        Ok(())
    });
    if let Err(error) = dropped {
        // The host lives, and nobody is left to tell if its log fails as well.
        drop_result(log.write(LogLevel::Error, &error.to_string()));
    }
}

/// Lets go of a result that nobody is left to hear of.
pub(super) fn drop_result<T>(_: Result<T>) {}
