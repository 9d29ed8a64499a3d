//! The removal of a task's groups, with whatever was made below them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::dir::Dir;
use super::error::{Failure, RemoveGroup};
use super::group::{Group, Groups};

const PAUSE: Duration = Duration::from_millis(1);

impl Groups {
    /// Removes every group; one that is not there any more is no error.
    ///
    /// The kernel keeps a group until the last process in it is dead to the end: this waits for that, at most `patience`
    /// for all of them. Nobody is killed. What can be removed is, whatever becomes of the others.
    ///
    /// # Errors
    ///
    /// `RemoveGroup` for the first that is left, with the processes that are in it: `EBUSY`, or what rmdir(2) says.
    pub fn remove(self, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        let removed = self.iter().map(|group| remove(group, deadline)).collect::<Vec<_>>();
        removed.into_iter().collect()
    }
}

fn remove(group: &Group, deadline: Instant) -> Result<(), Failure> {
    loop {
        let errno = match group.parent().remove(group.name()) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => errno,
        };
        let emptied = if errno == Errno::EBUSY { remove_below(group.dir()) } else { Err(errno) };
        let errno = match emptied {
            // With nothing below it any more, what holds it is a process on its way out.
            Ok(()) | Err(Errno::EBUSY | Errno::ENOENT) if Instant::now() < deadline => {
                sleep(PAUSE);
                continue;
            }
            Ok(()) => errno,
            Err(errno) => errno,
        };
        let (path, pids) = (group.dir().path().to_owned(), group.dir().members()?);
        return Err(RemoveGroup { path, pids, source: errno.into() }.into());
    }
}

/// Removes the groups below `dir`, from the lowest up.
fn remove_below(dir: &Dir) -> nix::Result<()> {
    for name in dir.children()? {
        remove_below(&dir.child(&name)?)?;
        dir.remove(&name)?;
    }
    Ok(())
}
