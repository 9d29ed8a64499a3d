//! Starts a supervisor, hands it the request, and waits for its word that the task runs.
//!
//! The supervisor is spawned, never forked from the host's memory. It is a child of the host, so the host has to reap
//! it: once the outcome is known, or with the plugin's next act ([`Leaving`]). Only that one process is ever waited for.

use std::io::Read;
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio as Stream};
use std::sync::{Arc, Mutex, PoisonError};

use executor_api::{Error, ErrorKind, Result, TaskId};
use nix::unistd::Uid;

use crate::control::Control;
use crate::stdio::Stdio;
use crate::wire::{self, Order, Reply, Request};

/// Starts the task of `request` under the supervisor at `path`; on an error nothing is left.
pub(crate) fn launch(path: &Path, id: &TaskId, request: &Request, stdio: &Stdio<'_>) -> Result<(Control, Child)> {
    let what = || format!("start the supervisor of task {id}");
    let frame = wire::frame(request).map_err(|source| Error::invalid(what(), source.to_string()))?;
    let (ours, theirs) = UnixStream::pair().map_err(|source| Error::from_io(what(), &source))?;
    let mut supervisor = spawn(path, id, theirs)?;
    let control = Control::new(ours);
    // A supervisor that is already gone may have left the reason: the reply counts for more than the failed sending.
    let sent = control.request(&frame, stdio.numbers());
    if sent.is_err() {
        // It waits for the rest of the request: without an end of it, both would wait for ever. What it has to say can
        // still be read.
        _ = control.stream().shutdown(Shutdown::Write);
    }
    let refusal = match reply(&control) {
        Ok(Reply::Started) => return Ok((control, supervisor)),
        Ok(Reply::Refused(error)) => error,
        Err(source) => {
            let source = sent.err().unwrap_or(source);
            Error::from_io(what(), &source).with_kind(ErrorKind::Internal)
        }
    };
    end(control, &mut supervisor);
    Err(refusal)
}

/// Refuses a supervisor that somebody else could have written: it runs with the host's rights. The loader has checked the
/// directory that it lies in.
pub(crate) fn check_trust(path: &Path) -> Result<()> {
    let what = || format!("execute the supervisor {}", path.display());
    let missing = |source: std::io::Error| {
        let fix = format!("install {}, which belongs to the plugin", path.display());
        Error::from_io(what(), &source).with_kind(ErrorKind::Unsupported).with_fix(fix)
    };
    let stat = std::fs::symlink_metadata(path).map_err(missing)?;
    let refuse = |why: &str| {
        Error::new(ErrorKind::Denied, what(), why).with_fix(format!("chown root {0}; chmod go-w {0}", path.display()))
    };
    if !stat.is_file() {
        return Err(refuse("it is not a regular file"));
    }
    if stat.uid() != 0 && stat.uid() != Uid::effective().as_raw() {
        return Err(refuse("it belongs to somebody else"));
    }
    if stat.mode() & 0o6022 != 0 {
        return Err(refuse("others can write to it, or it is set-uid"));
    }
    Ok(())
}

fn spawn(path: &Path, id: &TaskId, control: UnixStream) -> Result<Child> {
    check_trust(path)?;
    // The id is for those who read the process list. The command, and with it this process's copy of the supervisor's
    // end, is gone on return: else a supervisor that dies would not be seen.
    let mut command = Command::new(path);
    command.arg(id.to_string()).env_clear().stdin(Stream::from(std::os::fd::OwnedFd::from(control)));
    command.stdout(Stream::null()).stderr(Stream::null()).spawn().map_err(|source| {
        let what = format!("execute the supervisor {}", path.display());
        let fix = format!("install {}, which belongs to the plugin", path.display());
        Error::from_io(what, &source).with_kind(ErrorKind::Unsupported).with_fix(fix)
    })
}

fn reply(control: &Control) -> std::io::Result<Reply> {
    let mut from = control.stream();
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    Ok(serde_json::from_slice(&wire::body(length, &mut from)?)?)
}

/// Makes sure that a supervisor which has refused, or no longer makes sense, is gone with whatever it runs.
fn end(control: Control, supervisor: &mut Child) {
    // No signal: where the host ignores SIGCHLD, the number may be another process's by now. One that has refused takes
    // no orders, any other obeys this or sees the end of file, and all of them exit.
    _ = control.order(Order::Kill);
    drop(control);
    // ECHILD where the host ignores SIGCHLD or reaps every child itself: then nothing is left to do.
    _ = supervisor.wait();
}

/// Supervisors that have told their outcome, or whose task object is gone, and that have yet to exit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaving(Arc<Mutex<Vec<Child>>>);

impl Leaving {
    /// Takes over the duty to reap `supervisor`.
    pub(crate) fn add(&self, supervisor: Child) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(supervisor);
        self.sweep();
    }

    /// Reaps those that have exited; never blocks for one that has not.
    pub(crate) fn sweep(&self) {
        // An error is ECHILD: somebody else has reaped it.
        let mut leaving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain_mut(|supervisor| matches!(supervisor.try_wait(), Ok(None)));
    }
}
