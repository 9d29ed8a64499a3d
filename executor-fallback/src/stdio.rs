//! The task's standard streams: opened by the host process, with the host's rights, and handed over as descriptors.
//!
//! A link as the last part of a path is not followed, no terminal becomes anybody's, and opening never blocks: a pipe
//! that nobody reads is an error, not a host that hangs.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use executor_api::{Error, ErrorKind, Input, Output, Result, StdioFds, TaskSpec};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// One stream of the task: opened here, or the host's own.
enum Stream<'a> {
    Opened(OwnedFd),
    Passed(BorrowedFd<'a>),
}

/// The three streams of one task.
pub(crate) struct Stdio<'a>([Stream<'a>; 3]);

impl<'a> Stdio<'a> {
    /// Opens what `spec` names and takes what it calls passed from `fds`.
    pub(crate) fn open(spec: &TaskSpec, fds: StdioFds<'a>) -> Result<Self> {
        Ok(Self([
            input(&spec.stdin, fds.stdin)?,
            output(&spec.stdout, fds.stdout, "stdout")?,
            output(&spec.stderr, fds.stderr, "stderr")?,
        ]))
    }

    /// Their numbers in this process, stdin first; valid as long as `self`.
    pub(crate) fn numbers(&self) -> [RawFd; 3] {
        self.0.each_ref().map(|stream| match stream {
            Stream::Opened(fd) => fd.as_raw_fd(),
            Stream::Passed(fd) => fd.as_raw_fd(),
        })
    }
}

fn input<'a>(from: &Input, passed: Option<BorrowedFd<'a>>) -> Result<Stream<'a>> {
    match from {
        Input::Null => open("stdin", Path::new("/dev/null"), File::options().read(true)),
        Input::File { path } => open("stdin", path, File::options().read(true)),
        Input::Passed => passed.map(Stream::Passed).ok_or_else(|| missing("stdin")),
        _ => Err(Error::unsupported("connect stdin to that kind of source")),
    }
}

fn output<'a>(to: &Output, passed: Option<BorrowedFd<'a>>, name: &str) -> Result<Stream<'a>> {
    match to {
        Output::Null => open(name, Path::new("/dev/null"), File::options().write(true)),
        Output::File { path, append: true } => open(name, path, File::options().append(true).create(true)),
        Output::File { path, append: false } => {
            open(name, path, File::options().write(true).create(true).truncate(true))
        }
        Output::Passed => passed.map(Stream::Passed).ok_or_else(|| missing(name)),
        _ => Err(Error::unsupported(&format!("connect {name} to that kind of sink"))),
    }
}

fn missing(name: &str) -> Error {
    Error::invalid(format!("pass {name} to the task"), "the spec says so, and no descriptor came with it")
}

fn open(name: &str, path: &Path, options: &mut OpenOptions) -> Result<Stream<'static>> {
    let what = || format!("open {} for the task's {name}", path.display());
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = options.mode(0o600).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
        // FreeBSD says EMLINK where the others say ELOOP.
        Some(errno @ (Errno::ELOOP | Errno::EMLINK)) => {
            let error = Error::invalid(what(), "it is a symbolic link, which is not followed");
            error.with_errno(errno as i32).with_fix("name the file itself")
        }
        // What is not there is wrong in the request; not found is what hosts are told of programs alone.
        Some(Errno::ENOENT) => Error::from_io(what(), &source).with_kind(ErrorKind::InvalidSpec),
        Some(errno @ Errno::ENXIO) => Error::invalid(what(), "it is a pipe that nobody reads")
            .with_errno(errno as i32)
            .with_fix("open the other end of the pipe first"),
        _ => Error::from_io(what(), &source),
    })?;
    block(file.as_fd()).map_err(|errno| Error::from_io(what(), &errno.into()))?;
    Ok(Stream::Opened(file.into()))
}

/// Makes reads and writes wait again: only the opening must not, and the task expects streams that block.
fn block(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}
