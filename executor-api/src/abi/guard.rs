//! Turns a panic into an error, at every place where one could cross the border.
//!
//! A panic that reached `abi_stable`'s own shims would end the host with exit status 1.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::object::AbiResult;
use super::types::AbiError;
use crate::error::{Error, ErrorKind, Result};

/// Runs `act`; a panic in it becomes an error of the kind `Panicked` in the act `entry`.
pub(super) fn catch<T>(entry: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    // What `act` may leave half done is not seen again: the caller poisons the object that it worked on.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|payload| {
        let message = words(payload.as_ref()).to_owned();
        // Dropping the payload could panic again, outside of this net.
        mem::forget(payload);
        Err(Error::new(ErrorKind::Panicked, entry, format!("it panicked: {message}")))
    })
}

/// [`catch`] for an entry of the border.
pub(super) fn guard<T>(entry: &str, act: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    catch(entry, act).map_err(AbiError::from).into()
}

/// What a panic said, where it said it in words.
pub(super) fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
