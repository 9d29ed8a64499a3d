//! The other side of a record: waits for the end of a task that some process watches, and gives it orders.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::End;
use super::file::{failed, holder, lock, open_fifo, read};
use super::live::SUPERVISOR;
use crate::error::Result;

/// How often a wait looks for itself, lest it depend on the closing of the FIFO alone.
const LOOK: Duration = Duration::from_secs(1);

/// A task that runs, as seen from any process of this user.
///
/// Example: [record](super#examples).
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    alive: File,
}

impl Watch {
    /// The state of the task in `dir`: how it ended, or a watch over it.
    pub(super) fn begin(dir: &Path) -> Result<std::result::Result<Self, End>> {
        // Opened before it is asked whether somebody watches: if somebody does, the FIFO had its writer by now, and its
        // closing will be seen.
        let path = dir.join("alive");
        let alive = open_fifo(&path, File::options().read(true)).map_err(failed("open", &path));
        if let Some(end) = ended(dir)? {
            return Ok(Err(end));
        }
        Ok(Ok(Self { dir: dir.to_owned(), alive: alive? }))
    }

    /// Waits for the end, at most `timeout`; `None` when the task still runs. Any number of callers in any number of
    /// processes.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// A record that was damaged meanwhile.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<End>> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(end) = ended(&self.dir)? {
                return Ok(Some(end));
            }
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()).min(LOOK));
            if left.is_zero() {
                return Ok(None);
            }
            let millis = left.as_nanos().div_ceil(1_000_000);
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            // However this ends, the loop looks for itself.
            let woken = poll(&mut [PollFd::new(self.alive.as_fd(), PollFlags::POLLIN)], timeout);
            if woken == Ok(1) && ended(&self.dir)?.is_none() {
                // The supervisor lets go of the FIFO and of the lock one after the other.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// A descriptor of the caller's own that polls readable, for good, once nobody watches the task any more.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Exhausted` where no descriptor can be had.
    pub fn exit_handle(&self) -> Result<OwnedFd> {
        let handle = self.alive.as_fd().try_clone_to_owned();
        handle.map_err(failed("duplicate the descriptor of", &self.dir))
    }

    /// Gives an order to the supervisor; false when nobody is there to take it. At most 512 bytes, written at once.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Exhausted` (`EAGAIN`) when the supervisor has not read thousands of orders before.
    pub fn order(&self, order: &[u8]) -> Result<bool> {
        let path = self.dir.join("control");
        let written = open_fifo(&path, File::options().write(true)).and_then(|mut control| control.write_all(order));
        match written {
            Ok(()) => Ok(true),
            // ENXIO: nobody reads. EPIPE: nobody does any more. ENOENT: it was collected.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::EPIPE | libc::ENOENT)) => Ok(false),
            Err(error) => Err(failed("give an order through", &path)(error)),
        }
    }
}

/// How the task in `dir` ended; `None` while somebody watches it.
fn ended(dir: &Path) -> Result<Option<End>> {
    if let Some(end) = read::<End>(&dir.join("outcome.json"))? {
        return Ok(Some(end));
    }
    if watched(dir)? {
        return Ok(None);
    }
    // Between the two looks the supervisor may have written the outcome and gone.
    Ok(Some(read::<End>(&dir.join("outcome.json"))?.unwrap_or_else(End::lost)))
}

/// Whether a supervisor has the lock of the task in `dir`.
pub(super) fn watched(dir: &Path) -> Result<bool> {
    let path = dir.join("lock");
    if lock(&path, FlockArg::LockSharedNonblock)?.is_some() {
        return Ok(false);
    }
    // Somebody who collects the task has it for a moment as well, and is no supervisor.
    Ok(holder(&path).is_none_or(|(role, _)| role == SUPERVISOR))
}

/// Only what an order may be: longer ones are not written at once.
const _: () = assert!(libc::PIPE_BUF >= 512);
