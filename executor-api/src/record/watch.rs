//! The other side of a record: waits for the end of a task that some process watches, and gives it orders.
//!
//! All it needs is opened at once and kept: a record that is collected meanwhile, and an id that is taken by another task,
//! change nothing for whoever waits.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FlockArg, OFlag};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::End;
use super::file::{Dir, failed, read_end};
use super::live::SUPERVISOR;
use crate::error::{Error, ErrorKind, Result};

/// How often a wait looks for itself, lest it depend on the closing of the FIFO alone.
const LOOK: Duration = Duration::from_secs(1);

/// A task that runs, as seen from any process of this user.
///
/// Example: [record](super#examples).
#[derive(Debug)]
pub struct Watch {
    dir: Dir,
    alive: File,
    end: File,
    lock: File,
}

impl Watch {
    /// The state of the task in `dir`: how it ended, or a watch over it; `None` where it has just been collected.
    pub(super) fn begin(dir: Dir) -> Result<Option<std::result::Result<Self, End>>> {
        let Some(end) = dir.regular("outcome.json", OFlag::O_RDONLY)? else { return Ok(None) };
        let Some(lock) = dir.regular("lock", OFlag::O_RDONLY)? else { return Ok(None) };
        // Opened before it is asked whether somebody watches: if somebody does, the FIFO had its writer by now, and its
        // closing will be seen.
        let alive = dir.fifo("alive", OFlag::O_RDONLY).map_err(failed("open", &dir.path.join("alive")))?;
        let watch = Self { dir, alive, end, lock };
        Ok(Some(match watch.ended()? {
            Some(end) => Err(end),
            None => Ok(watch),
        }))
    }

    /// Waits for the end, at most `timeout`; `None` when the task still runs. Any number of callers in any number of
    /// processes, also when the record is collected meanwhile.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// A record that was damaged meanwhile.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<End>> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(end) = self.ended()? {
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
            if woken == Ok(1) && self.ended()?.is_none() {
                // The supervisor lets go of the FIFO and of the lock one after the other.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// How the task ended; `None` while somebody watches it.
    fn ended(&self) -> Result<Option<End>> {
        let path = self.dir.path.join("outcome.json");
        match read_end(&self.end, &path) {
            Ok(None) => (),
            Err(error) if self.watched()? && error.kind() == ErrorKind::Internal => return Ok(None),
            answer => return answer,
        }
        if self.watched()? {
            return Ok(None);
        }
        // Between the two looks the supervisor may have written the end and gone.
        Ok(Some(read_end(&self.end, &path)?.unwrap_or_else(End::lost)))
    }

    /// Whether a supervisor has the lock.
    fn watched(&self) -> Result<bool> {
        watched(&self.lock).map_err(|source| Error::from_io("look at the lock of a task", &source))
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
        handle.map_err(failed("duplicate the descriptor of", &self.dir.path))
    }

    /// Gives an order to the supervisor; false when nobody is there to take it. At most 512 bytes, written at once.
    ///
    /// Example: [record](super#examples).
    ///
    /// # Errors
    ///
    /// `Exhausted` (`EAGAIN`) when the supervisor has not read thousands of orders before.
    pub fn order(&self, order: &[u8]) -> Result<bool> {
        // Opened for writing alone it tells whether anybody reads; written through an end that reads as well, it never
        // raises SIGPIPE in the host.
        let open = |flags| self.dir.fifo("control", flags);
        let written = open(OFlag::O_WRONLY).and_then(|_| open(OFlag::O_RDWR)?.write_all(order));
        match written {
            Ok(()) => Ok(true),
            // ENXIO: nobody reads. ENOENT: it was collected.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => Ok(false),
            Err(error) => Err(failed("give an order through", &self.dir.path.join("control"))(error)),
        }
    }
}

/// Only what an order may be: longer ones are not written at once.
const _: () = assert!(libc::PIPE_BUF >= 512);

/// Whether a supervisor has the lock behind `file`, which stays unlocked by this process.
pub(super) fn watched(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt;

    match nix::fcntl::Flock::lock(file.try_clone()?, FlockArg::LockSharedNonblock) {
        Ok(free) => {
            drop(free);
            return Ok(false);
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => (),
        Err((_, errno)) => return Err(errno.into()),
    }
    // Somebody who collects the task has it for a moment as well, and is no supervisor.
    let mut role = [0; SUPERVISOR.len()];
    Ok(file.read_exact_at(&mut role, 0).is_err() || role == *SUPERVISOR.as_bytes())
}
