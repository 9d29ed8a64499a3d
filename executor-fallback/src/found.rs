//! A task that was found by its record: started by some process, perhaps one that is gone, and perhaps ended by now.
//!
//! Everything about it is in the record; orders go to its supervisor through the record's FIFO. No process is signalled
//! from here.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use executor_api::record::{End, Found, Record, State, Watch};
use executor_api::units::Signal;
use executor_api::{Applied, Error, ErrorKind, Executor, Outcome, Resources, Result, StdioFds, TaskSpec, Usage};
use nix::errno::Errno;

use crate::wire::Order;

/// A task found by its record.
#[derive(Debug)]
pub(crate) struct FoundTask {
    record: Record,
    /// None when it had ended already.
    watch: Option<Watch>,
    ended: OnceLock<End>,
}

impl FoundTask {
    pub(crate) fn new(found: Found) -> Result<Self> {
        let Found { record, state, .. } = found;
        let (watch, ended) = match state {
            State::Running(watch) => (Some(watch), OnceLock::new()),
            State::Ended(end) => (None, OnceLock::from(end)),
            _ => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("open task {}", record.id),
                    "its state is unknown",
                ));
            }
        };
        Ok(Self { record, watch, ended })
    }

    fn end(&self, timeout: Option<Duration>) -> Result<Option<End>> {
        if let Some(end) = self.ended.get() {
            return Ok(Some(*end));
        }
        let seen = self.watch.as_ref().map_or(Ok(None), |watch| watch.wait(timeout))?;
        Ok(seen.map(|end| *self.ended.get_or_init(|| end)))
    }

    /// Gives an order to the supervisor; false when the task has ended.
    fn order(&self, order: Order) -> Result<bool> {
        match &self.watch {
            Some(watch) if self.end(Some(Duration::ZERO))?.is_none() => watch.order(&order.to_bytes()),
            _ => Ok(false),
        }
    }

    fn again(&self, act: &str) -> Error {
        Error::new(ErrorKind::Busy, format!("{act} task {}", self.record.id), "it was started by another process")
    }
}

impl Executor for FoundTask {
    fn limit(&self, _: &Resources) -> Result<()> {
        Err(self.again("limit"))
    }

    fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        Err(self.again("start"))
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
        Ok(self.end(timeout)?.map(|end| end.outcome))
    }

    fn exit_handle(&self) -> Result<OwnedFd> {
        match &self.watch {
            Some(watch) => watch.exit_handle(),
            // A pipe that nobody writes to any more polls readable for good.
            None => io::pipe()
                .map(|(ours, _)| ours.into())
                .map_err(|source| Error::from_io(format!("watch task {}", self.record.id), &source)),
        }
    }

    fn shutdown(&self, grace: Duration) -> Result<()> {
        self.order(Order::Stop(grace))?;
        self.end(None).map(drop)
    }

    fn force_stop(&self) -> Result<()> {
        self.order(Order::Kill).map(drop)
    }

    fn command(&self) -> Result<Vec<OsString>> {
        Ok(self.record.command.clone())
    }

    fn applied(&self) -> Result<Applied> {
        Ok(self.record.applied.clone())
    }

    fn stats(&self) -> Result<Usage> {
        let end = self.end(Some(Duration::ZERO))?;
        end.map(|end| end.usage).ok_or_else(|| Error::unsupported("stats of a running task"))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.order(Order::Signal(signal))? {
            return Ok(());
        }
        let error =
            Error::new(ErrorKind::NotFound, format!("send {signal} to task {}", self.record.id), "it has ended");
        Err(error.with_errno(Errno::ESRCH as i32))
    }
}
