//! Waiting for a task on tokio, by its exit descriptor: no thread, any number of tasks.

use std::io;
use std::os::fd::OwnedFd;

use executor_api::{Error as TaskError, Outcome};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::Result;
use crate::task::Task;

impl Task {
    /// Waits until the task has ended, without a thread; on tokio.
    ///
    /// # Errors
    ///
    /// What keeps the outcome from being known, and what tokio says of the descriptor.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with IO enabled, as everything of tokio's that waits for a descriptor.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> executor_loader::Result<()> {
    /// let loader = executor_loader::Loader::new()?;
    /// let task = executor_loader::Command::new("true").start(&loader)?;
    /// println!("{}", task.wait_async().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_async(&self) -> Result<Outcome> {
        let failed = |error: io::Error| TaskError::from_io("wait for the exit descriptor", &error);
        let ended = register(self.exit_fd()?).map_err(failed)?;
        loop {
            let mut ready = ended.readable().await.map_err(failed)?;
            if let Some(outcome) = self.try_wait()? {
                return Ok(outcome);
            }
            ready.clear_ready();
        }
    }
}

fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same open descriptor from here until it is dropped, which the `AsyncFd` that owns it
    // does after it has taken it back from the reactor.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}
