//! `executor-fallback-supervisor`: the process between a host and one task.
//!
//! Started by the plugin with a socket as its standard input and nothing else. It takes the request, makes itself
//! independent of the host, forks and executes the task ([`launch`]), watches it ([`watch`]), and ends its tree
//! ([`tree`]). From the record on it obeys orders ([`outside`]) and keeps the time ([`times`]). It has one thread, so the
//! child it forks may run Rust; even so that child allocates nothing ([`child`]). All that is particular to Linux is in
//! [`linux`], all `unsafe` in [`sys`].

mod child;
mod failure;
mod host;
mod identity;
mod inbox;
mod launch;
mod linux;
mod outside;
mod priority;
mod rlimit;
mod sys;
mod times;
mod tree;
mod watch;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use executor_api::{Error, Result};
use executor_fallback::wire::{self, Reply};
use nix::errno::Errno;
use nix::unistd;
use serde::Serialize;

fn main() -> ExitCode {
    // Before anything is opened here: the numbers found are the host's.
    let closed = close_inherited();
    // Without a socket there is nobody to tell why.
    let Ok(control) = control() else { return ExitCode::FAILURE };
    match settle(closed).and_then(|()| launch::launch(&control)) {
        Ok(task) => {
            tell(&control, &Reply::Started);
            watch::watch(task);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&control, &Reply::Refused(error));
            ExitCode::FAILURE
        }
    }
}

/// Closes whatever the host has let slip besides the socket and the two null devices.
fn close_inherited() -> io::Result<()> {
    for fd in linux::inherited()? {
        match unistd::close(fd) {
            // One of the numbers was the list's own, or is none at all.
            Ok(()) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Takes the socket away from standard input, where a task would find it.
fn control() -> io::Result<UnixStream> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    unistd::dup2_stdin(File::open("/dev/null")?)?;
    control.peer_addr()?;
    Ok(control)
}

/// Leaves the host's session, directory, signal state and descriptors behind.
fn settle(closed: io::Result<()>) -> Result<()> {
    let refused = |what: &'static str| move |source: io::Error| Error::from_io(what, &source);
    closed.map_err(refused("close the descriptors that the supervisor inherited"))?;
    sys::reset_signals();
    sys::ignore_broken_pipes();
    unistd::setsid().map_err(io::Error::from).map_err(refused("give the supervisor a session of its own"))?;
    std::env::set_current_dir("/").map_err(refused("move the supervisor to /"))?;
    linux::adopt_orphans().map_err(refused("let the supervisor adopt the task's orphans"))
}

/// Sends `document` to the host. A host that is gone misses nothing, and the task does not depend on it.
fn tell<T: Serialize>(mut control: &UnixStream, document: &T) {
    _ = wire::frame(document).and_then(|frame| control.write_all(&frame));
}
