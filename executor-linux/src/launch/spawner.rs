//! The spawner of a host: the embedded helper, started from memory, and the one-way socket to it.
//!
//! It is spawned, never forked from the host's memory. It is a child of the host until the [`Spawner`] is dropped, and
//! holds nothing of a task that runs: one that is killed is replaced at the next start.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use executor_api::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, recv, sendmsg, shutdown, socketpair,
};

use super::reply::Reply;
use super::script::Script;
use super::wire::{MOST_BESIDE, MOST_INLINE, READY};

/// The helper, as `build.rs` made it.
const HELPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/helper"));

/// How long a spawner may take to be ready: it does nothing that waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the helper is called where people look: neutral, since a task may see it.
const NAME: &str = "executor";

/// The helper as a file that is nowhere and that nobody can change.
pub(super) fn helper() -> io::Result<OwnedFd> {
    sealed(c"executor-helper", &[HELPER])
}

/// A file in memory with these bytes, sealed: it neither changes nor shrinks under whoever maps or executes it.
fn sealed(name: &std::ffi::CStr, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Kernels from 6.3 on want to be told that it is for executing; older ones do not know the word.
    let executable = MFdFlags::from_bits_retain(nix::libc::MFD_EXEC);
    let made = match memfd_create(name, flags | executable) {
        Err(Errno::EINVAL) => memfd_create(name, flags),
        made => made,
    };
    let mut file = File::from(made?);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Two ends of a socket that keeps messages apart.
pub(super) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// A spawner that takes requests.
#[derive(Debug)]
pub(super) struct Spawner {
    socket: OwnedFd,
    process: Child,
}

impl Spawner {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    ///
    /// `Unsupported` where memory must not be executed, `Denied` without the right to make namespaces.
    pub(super) fn start(helper: BorrowedFd<'_>) -> Result<Self> {
        const WHAT: &str = "start the spawner";
        let refused = |source: io::Error| Error::from_io(WHAT, &source);
        let (socket, theirs) = socket_pair().map_err(refused)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", helper.as_raw_fd()));
        command.arg0(NAME).env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|source| {
            let fix = "mount /proc, and let this host execute files in memory (sysctl vm.memfd_noexec = 0 or 1)";
            Error::from_io(WHAT, &source).with_kind(ErrorKind::Unsupported).with_fix(fix)
        })?;
        // This process's copy of the other end goes with it: else a spawner that dies would not be seen.
        drop(command);
        let spawner = Self { socket, process };
        spawner.await_ready().map(|()| spawner)
    }

    fn await_ready(&self) -> Result<()> {
        const WHAT: &str = "start the spawner";
        let mut room = [0; Reply::LEN];
        let time = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let length = loop {
            let ready = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], time);
            if ready == Ok(0) {
                let why = format!("it was not ready after {} s", PATIENCE.as_secs());
                return Err(Error::new(ErrorKind::Busy, WHAT, why));
            }
            match recv(self.socket.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => break length,
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                // It is gone with a word of ours unread: the same as an end.
                Err(_) => break 0,
            }
        };
        match (&room[..length], Reply::from_bytes(&room[..length])) {
            ([READY], _) => Ok(()),
            (_, Some(Reply::Failed { errno, .. })) => {
                let fix = "run the host as root, with CAP_SYS_ADMIN, CAP_SETPCAP and the right to mount";
                Err(Error::from_io(WHAT, &io::Error::from_raw_os_error(errno)).with_fix(fix))
            }
            _ => Err(Error::new(ErrorKind::Internal, WHAT, "it ended before it was ready")),
        }
    }

    /// Sends a request: `beside` begins with its reply socket. False where the spawner is gone.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENOMEM` of memfd_create(2), `ETOOMANYREFS` of sendmsg(2), `E2BIG` for too many descriptors.
    pub(super) fn send(&self, script: &Script, beside: &[BorrowedFd<'_>]) -> io::Result<bool> {
        let mut numbers: Vec<RawFd> = beside.iter().map(AsRawFd::as_raw_fd).collect();
        let mut head = script.head;
        let inline = head.to_bytes().len() + script.bytes.len() <= MOST_INLINE;
        let file = if inline { None } else { Some(sealed(c"executor-script", &[&script.bytes])?) };
        head.in_file = file.is_some();
        numbers.extend(file.as_ref().map(AsRawFd::as_raw_fd));
        if numbers.len() > MOST_BESIDE {
            return Err(Errno::E2BIG.into());
        }
        let head = head.to_bytes();
        let parts = [IoSlice::new(&head), IoSlice::new(if inline { &script.bytes } else { &[] })];
        let rights = [ControlMessage::ScmRights(&numbers)];
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Its process id, for those who watch or end it.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // Hung up and not closed: a process that the host has just forked may have the socket for a moment as well.
        // ENOTCONN: it is gone already.
        _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        // It exits at the end of its socket. ECHILD where the host ignores SIGCHLD or reaps every child itself.
        _ = self.process.wait();
    }
}
