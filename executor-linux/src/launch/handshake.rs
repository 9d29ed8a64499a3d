//! One start: sends the request with its own reply socket, lets the host make the groups meanwhile, and waits for the word
//! that the program runs.
//!
//! The answer comes on that socket alone, so any number of threads start tasks at once, without a lock and without anybody
//! who hands answers out. A start may take as long as a dead file server does: whoever stops it meanwhile kills the
//! supervisor, and the kernel the rest.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use executor_api::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::failure;
use super::reply::{Reply, Stage};
use super::root::Root;
use super::running::{Running, at_least};
use super::script::Script;
use super::spawner::{Spawner, helper, socket_pair};
use super::sys;
use super::wire::{LATE, MOST_SLOTS};
use crate::plan::Plan;

/// How often a start looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(100);
/// How long a stopped start waits for a spawner that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The descriptors of a record, all of which the supervisor takes over.
///
/// Its lock belongs to the open file: the caller closes its own descriptor once the task runs, and does not unlock it.
#[derive(Clone, Copy, Debug)]
pub struct RecordDescriptors<'a> {
    /// The lock, held.
    pub lock: BorrowedFd<'a>,
    /// The FIFO that is open as long as the task is watched.
    pub alive: BorrowedFd<'a>,
    /// The FIFO that takes orders, open for reading and writing.
    pub control: BorrowedFd<'a>,
    /// The file with room for the end.
    pub end: BorrowedFd<'a>,
}

/// What a start passes at once.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors<'a> {
    /// The record.
    pub record: RecordDescriptors<'a>,
    /// The standard streams.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The root; it has as many trees as the plan has binds.
    pub root: &'a Root,
}

/// What a start passes when the groups are made; as many of each as the plan says.
#[derive(Debug, Default)]
pub struct GroupDescriptors {
    /// The `tasks` files.
    pub tasks: Vec<OwnedFd>,
    /// The cgroup2 directory.
    pub birth: Option<OwnedFd>,
    /// Its `cgroup.kill`.
    pub kill: Option<OwnedFd>,
    /// The files that are read at the end.
    pub files: Vec<OwnedFd>,
    /// The parents that the groups are removed from.
    pub parents: Vec<OwnedFd>,
}

impl GroupDescriptors {
    /// In the order of the slots in `script`.
    fn all(&self) -> Vec<BorrowedFd<'_>> {
        let rows = self.tasks.iter().chain(&self.birth).chain(&self.kill).chain(&self.files).chain(&self.parents);
        rows.map(AsFd::as_fd).collect()
    }
}

/// The start of a task, for whoever stops it meanwhile.
#[derive(Debug, Default)]
pub struct Attempt(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    supervisor: Option<OwnedFd>,
    stopped: Option<Instant>,
}

impl Attempt {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the start, whatever it waits for; one that has not begun will not. Once the task runs this kills its
    /// supervisor and so leaves no end: order it to be killed instead.
    ///
    /// # Errors
    ///
    /// What pidfd_send_signal(2) says; a supervisor that is gone is no error.
    pub fn stop(&self) -> io::Result<()> {
        let mut progress = self.progress();
        progress.stopped.get_or_insert_with(Instant::now);
        progress.supervisor.as_ref().map_or(Ok(()), |supervisor| kill(supervisor.as_fd()))
    }

    fn stopped(&self) -> Option<Instant> {
        self.progress().stopped
    }

    /// Makes the supervisor known, and gives it the stop that came first.
    fn announce(&self, supervisor: &OwnedFd) -> io::Result<()> {
        let mut progress = self.progress();
        progress.supervisor = Some(supervisor.try_clone()?);
        if progress.stopped.is_some() { kill(supervisor.as_fd()) } else { Ok(()) }
    }
}

fn kill(supervisor: BorrowedFd<'_>) -> io::Result<()> {
    match sys::kill(supervisor) {
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
        killed => killed,
    }
}

/// Starts tasks for one host; makes its spawner when it is first needed, and anew when that is gone.
#[derive(Debug)]
pub struct Launcher {
    helper: OnceLock<OwnedFd>,
    spawner: Mutex<Option<Arc<Spawner>>>,
    keeps: Keeps,
}

/// How long a launcher keeps a spawner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    ForTheNext,
    ForOneTask,
}

impl Default for Launcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Launcher {
    /// Starts nothing yet; the spawner of the first task stays for the next.
    #[must_use]
    pub fn new() -> Self {
        Self { helper: OnceLock::new(), spawner: Mutex::default(), keeps: Keeps::ForTheNext }
    }

    /// Starts each task by a spawner of its own, which is gone when the task runs: for a host that wants no child that
    /// stays. A start takes longer by the time that a spawner takes.
    #[must_use]
    pub fn direct() -> Self {
        Self { keeps: Keeps::ForOneTask, ..Self::new() }
    }

    /// Starts the task of `plan`. `groups` is called once the request is sent, to make the groups while the namespaces are
    /// made.
    ///
    /// On an error nothing of the task runs, and the supervisor has removed the groups that it was passed; the record and
    /// the groups that were not passed are the caller's to take back. On success the caller closes its descriptors of the
    /// record without unlocking it.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for a NUL byte; `NotFound` and `NotExecutable` for the program alone; `Busy` for a start that was
    /// stopped; what the refused step says.
    pub fn launch(
        &self,
        plan: &Plan,
        fds: &Descriptors<'_>,
        attempt: &Attempt,
        groups: impl FnOnce() -> Result<GroupDescriptors>,
    ) -> Result<Running> {
        const WHAT: &str = "start the supervisor of the task";
        let failed = |source: io::Error| Error::from_io(WHAT, &source);
        if fds.root.trees.len() != plan.binds {
            return Err(Error::new(ErrorKind::Internal, WHAT, "the root has other trees than the plan"));
        }
        let script = Script::new(plan)?;
        let host = plan.die_with_host.then(sys::own_pidfd).transpose().map_err(failed)?;
        let RecordDescriptors { lock, alive, control, end } = fds.record;
        let mut beside = vec![lock, alive, control, end];
        beside.extend(fds.stdio);
        beside.extend(host.as_ref().map(AsFd::as_fd));
        beside.push(fds.root.top.as_fd());
        beside.extend(fds.root.trees.iter().map(|tree| tree.fd.as_fd()));
        let (mut groups, mut made) = (Some(groups), None);
        for _ in 0..2 {
            if attempt.stopped().is_some() {
                return Err(failure::stopped());
            }
            let (socket, spawner) = self.send(&script, &beside)?;
            if let Some(make) = groups.take().filter(|_| plan.groups.descriptors() > 0) {
                // Where this fails the socket is dropped, and a host that is gone gets no task.
                made = Some(make()?);
            }
            if let Some(groups) = &made {
                send_late(&socket, groups, plan).map_err(failed)?;
            }
            if let Some(running) = await_start(socket, plan, attempt)? {
                return Ok(running);
            }
            // It took the request and did nothing with it.
            self.forget(&spawner);
        }
        Err(Error::new(ErrorKind::Busy, WHAT, "two spawners were gone before they made it"))
    }

    /// The process id of the spawner that is there, if one is.
    #[must_use]
    pub fn spawner(&self) -> Option<u32> {
        self.kept().as_ref().map(|spawner| spawner.pid())
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Spawner>>> {
        self.spawner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that there is a spawner, so that the first start does not wait for it.
    ///
    /// # Errors
    ///
    /// `Unsupported` where memory must not be executed, `Denied` without the right to make namespaces.
    pub fn warm_up(&self) -> Result<()> {
        self.ready().map(drop)
    }

    fn ready(&self) -> Result<Arc<Spawner>> {
        let mut kept = self.kept();
        if let Some(spawner) = &*kept {
            return Ok(Arc::clone(spawner));
        }
        let helper = match self.helper.get() {
            Some(helper) => helper,
            None => {
                let made = helper().map_err(|source| Error::from_io("put the helper into memory", &source))?;
                self.helper.get_or_init(|| made)
            }
        };
        let spawner = Arc::new(Spawner::start(helper.as_fd())?);
        if self.keeps == Keeps::ForTheNext {
            *kept = Some(Arc::clone(&spawner));
        }
        Ok(spawner)
    }

    /// Sends a request with a reply socket of its own, of which this is the host's end, and with the spawner that
    /// took it; one that is gone is replaced once.
    fn send(&self, script: &Script, beside: &[BorrowedFd<'_>]) -> Result<(OwnedFd, Arc<Spawner>)> {
        const WHAT: &str = "send the task to the spawner";
        let failed = |source: io::Error| Error::from_io(WHAT, &source);
        let (ours, theirs) = socket_pair().map_err(failed)?;
        let beside: Vec<_> = [theirs.as_fd()].into_iter().chain(beside.iter().copied()).collect();
        for _ in 0..2 {
            let spawner = self.ready()?;
            if spawner.send(script, &beside).map_err(failed)? {
                return Ok((ours, spawner));
            }
            self.forget(&spawner);
        }
        Err(Error::new(ErrorKind::Busy, WHAT, "two spawners were gone before they took it"))
    }

    /// Lets go of a spawner that is gone.
    fn forget(&self, spawner: &Arc<Spawner>) {
        let mut kept = self.kept();
        // Another thread may have replaced it.
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, spawner)) {
            *kept = None;
        }
    }
}

/// Passes the groups.
fn send_late(socket: &OwnedFd, groups: &GroupDescriptors, plan: &Plan) -> io::Result<()> {
    let fds: Vec<_> = groups.all().iter().map(AsRawFd::as_raw_fd).collect();
    if fds.len() != plan.groups.descriptors() || fds.len() > MOST_SLOTS / 2 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there are other groups than the plan has"));
    }
    let rights = [ControlMessage::ScmRights(&fds)];
    match sendmsg::<()>(socket.as_raw_fd(), &[io::IoSlice::new(&[LATE])], &rights, MsgFlags::MSG_NOSIGNAL, None) {
        // A supervisor that is gone has left its reason, or the end of the socket says enough.
        Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits for the word that the program runs; nothing where the spawner was gone before it made a supervisor.
fn await_start(socket: OwnedFd, plan: &Plan, attempt: &Attempt) -> Result<Option<Running>> {
    const WHAT: &str = "start the task's main process";
    let failed = |source: io::Error| Error::from_io(WHAT, &source);
    let mut supervisor = None;
    loop {
        let ready = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], at_least(LOOK));
        if !matches!(ready, Ok(1..)) {
            if attempt.stopped().is_some_and(|at| at.elapsed() >= PATIENCE) {
                return Err(failure::stopped());
            }
            continue;
        }
        match hear(&socket).map_err(failed)? {
            (Some(Reply::Supervised), Some(pidfd)) => {
                attempt.announce(&pidfd).map_err(failed)?;
                supervisor = Some(pidfd);
            }
            (Some(Reply::Started), _) => {
                let supervisor = supervisor.ok_or_else(|| failed(Errno::EPROTO.into()))?;
                return Ok(Some(Running::new(socket, supervisor)));
            }
            (Some(Reply::Failed { step, .. }), _) if step == Stage::Stopped as u32 && attempt.stopped().is_some() => {
                return Err(failure::stopped());
            }
            (Some(Reply::Failed { step, errno }), _) => return Err(failure::explain(plan, step, errno)),
            _ if attempt.stopped().is_some() => return Err(failure::stopped()),
            (None, _) if supervisor.is_none() => return Ok(None),
            _ => return Err(Error::new(ErrorKind::Internal, WHAT, "its supervisor ended without a word")),
        }
    }
}

/// The next reply, and the descriptor beside it; nothing at the end of the socket.
fn hear(socket: &OwnedFd) -> io::Result<(Option<Reply>, Option<OwnedFd>)> {
    let mut room = [0; Reply::LEN];
    let mut rights = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let (length, fds) = {
        let mut part = [IoSliceMut::new(&mut room)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        match recvmsg::<()>(socket.as_raw_fd(), &mut part, Some(&mut rights), flags) {
            Ok(message) => {
                let mut fds = Vec::new();
                for rights in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(numbers) = rights {
                        fds.extend(numbers.into_iter().map(sys::own));
                    }
                }
                (message.bytes, fds)
            }
            Err(Errno::ECONNRESET) => (0, Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
    };
    Ok((Reply::from_bytes(&room[..length]), fds.into_iter().next()))
}
