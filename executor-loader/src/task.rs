//! A task that was started, in the manner of `std::process::Child`.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use executor_api::abi::TaskHandle;
use executor_api::units::Signal;
use executor_api::{Applied, Error as TaskError, ErrorKind, Outcome, Resources, TaskId, Usage};

use crate::error::Result;

/// A task: running, or ended.
///
/// Dropping it does nothing to the task, as with `std::process::Child`: where the plugin keeps a record it lives on and
/// [`Loader::open`](crate::Loader::open) finds it. Every method may be called from any thread at any time.
///
/// # Examples
///
/// ```no_run
/// use executor_loader::{Command, Loader};
/// use std::time::Duration;
///
/// let loader = Loader::new()?;
/// let task = Command::new("sleep").arg("60").start(&loader)?;
/// assert!(task.try_wait()?.is_none());
/// task.stop(Duration::from_secs(5))?;
/// assert_eq!(task.wait()?.cause, executor_api::Cause::Stopped);
/// # Ok::<(), executor_loader::Error>(())
/// ```
#[derive(Debug)]
pub struct Task {
    id: TaskId,
    handle: Arc<TaskHandle>,
    /// The host's end of standard input, where a pipe was asked for. Drop it to end the task's input.
    pub stdin: Option<PipeWriter>,
    /// The host's end of standard output, where a pipe was asked for.
    pub stdout: Option<PipeReader>,
    /// The host's end of standard error, where a pipe was asked for.
    pub stderr: Option<PipeReader>,
}

impl Task {
    pub(crate) fn new(id: TaskId, handle: TaskHandle) -> Self {
        Self { id, handle: Arc::new(handle), stdin: None, stdout: None, stderr: None }
    }

    /// The task's id, valid in every process of this host.
    ///
    /// Example: [`Task`].
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until the task has ended; the same outcome for every caller, every time.
    ///
    /// Does not close [`stdin`](Self::stdin) and does not read the pipes: a task that fills them waits for the reader.
    ///
    /// # Errors
    ///
    /// What keeps the outcome from being known.
    ///
    /// Example: [`Task`].
    pub fn wait(&self) -> Result<Outcome> {
        let outcome = self.handle.wait(None)?;
        let broken =
            || TaskError::new(ErrorKind::Internal, "wait for the task", "the plugin answered that it still runs");
        Ok(outcome.ok_or_else(broken)?)
    }

    /// How the task ended, or nothing while it runs.
    ///
    /// # Errors
    ///
    /// What keeps the outcome from being known.
    ///
    /// Example: [`Task`].
    pub fn try_wait(&self) -> Result<Option<Outcome>> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Waits until the task has ended, at most this long; nothing if it still runs then.
    ///
    /// # Errors
    ///
    /// What keeps the outcome from being known.
    ///
    /// Example: [`Task`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Outcome>> {
        Ok(self.handle.wait(Some(timeout))?)
    }

    /// A descriptor of the caller's own that polls readable, for good, once the task has ended: for epoll and its like.
    ///
    /// Where the plugin has none, a thread waits in its place.
    ///
    /// # Errors
    ///
    /// `Exhausted` where no descriptor or thread can be had.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let loader = executor_loader::Loader::new()?;
    /// # let task = executor_loader::Command::new("true").start(&loader)?;
    /// use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    /// use std::os::fd::AsFd;
    ///
    /// let ended = task.exit_fd()?;
    /// poll(&mut [PollFd::new(ended.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).expect("poll");
    /// assert!(task.try_wait()?.is_some());
    /// # Ok::<(), executor_loader::Error>(())
    /// ```
    pub fn exit_fd(&self) -> Result<OwnedFd> {
        match self.handle.exit_handle() {
            Err(error) if error.kind() == ErrorKind::Unsupported => self.exit_fd_by_thread(),
            answer => Ok(answer?),
        }
    }

    fn exit_fd_by_thread(&self) -> Result<OwnedFd> {
        let failed = |error: io::Error| TaskError::from_io("make an exit descriptor", &error);
        let (ours, theirs) = io::pipe().map_err(failed)?;
        let handle = Arc::clone(&self.handle);
        let wait = move || {
            // An error ends the wait as well: whoever polls then asks and gets it.
            drop(handle.wait(None));
            drop(theirs);
        };
        thread::Builder::new().name("executor-wait".into()).spawn(wait).map_err(failed)?;
        Ok(ours.into())
    }

    /// Asks the task to end, waits for `grace`, then kills its whole tree; returns once it has ended.
    ///
    /// # Errors
    ///
    /// What kept the stop from being carried out.
    ///
    /// Example: [`Task`].
    pub fn stop(&self, grace: Duration) -> Result<()> {
        Ok(self.handle.shutdown(grace)?)
    }

    /// Kills the task's whole tree and does not wait.
    ///
    /// # Errors
    ///
    /// What kept the kill from being carried out.
    ///
    /// Example: [`Task`].
    pub fn kill(&self) -> Result<()> {
        Ok(self.handle.force_stop()?)
    }

    /// Sends a signal to the task's main process.
    ///
    /// # Errors
    ///
    /// `NotFound` when the task has ended, `Unsupported` where the plugin cannot.
    ///
    /// Example: [`Task`].
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(self.handle.signal(signal)?)
    }

    /// What the task really got of what it demanded.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the plugin does not know.
    ///
    /// Example: [`Task`].
    pub fn applied(&self) -> Result<Applied> {
        Ok(self.handle.applied()?)
    }

    /// What the task uses now, or used in all once it has ended.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the plugin does not measure.
    ///
    /// Example: [`Task`].
    pub fn stats(&self) -> Result<Usage> {
        Ok(self.handle.stats()?)
    }

    /// Changes limits of the running task.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a limit that the plugin cannot change: nothing has changed then.
    ///
    /// Example: [`Task`].
    pub fn update(&self, resources: &Resources) -> Result<()> {
        Ok(self.handle.update(resources)?)
    }

    /// Stops every process of the task where it stands.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the plugin cannot.
    ///
    /// Example: [`Task`].
    pub fn pause(&self) -> Result<()> {
        Ok(self.handle.pause()?)
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the plugin cannot.
    ///
    /// Example: [`Task`].
    pub fn resume(&self) -> Result<()> {
        Ok(self.handle.resume()?)
    }

    /// The task behind the border, for what has no method here.
    #[doc(hidden)]
    #[must_use]
    pub fn handle(&self) -> &TaskHandle {
        &self.handle
    }
}

/// What [`Task::applied`] and a choice say was not enforced, in one line; none where all was.
///
/// # Examples
///
/// ```
/// use executor_loader::not_enforced_line;
///
/// assert_eq!(not_enforced_line(&executor_api::Applied::default()), None);
/// ```
#[must_use]
pub fn not_enforced_line(applied: &Applied) -> Option<String> {
    let names: Vec<&str> = applied.not_enforced.iter().map(|missing| &*missing.feature).collect();
    (!names.is_empty()).then(|| format!("not enforced: {}", names.join(", ")))
}
