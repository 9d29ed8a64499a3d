//! Starts a supervisor, hands it the request, and waits for its word that the task runs, or for a stop.
//!
//! The supervisor is spawned, never forked from the host's memory. It is a child of the host, so the host has to reap
//! it: once the outcome is known, or with the plugin's next act ([`Leaving`]). Only that one process is ever waited for.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio as Stream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use executor_api::{Error, ErrorKind, Result, TaskId};
use nix::unistd::Uid;

use crate::control::Control;
use crate::stdio::Stdio;
use crate::task::Ground;
use crate::wire::{self, Order, Reply, Request};

/// How long a stop waits for a supervisor that has yet to read, and a stopped start for one that has yet to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a start looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// The start of a task, for whoever stops it meanwhile: a start may take as long as a dead file server does.
#[derive(Debug, Default)]
pub(crate) struct Attempt(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    /// The way to the supervisor, once orders can go it.
    control: Option<Arc<Control>>,
    stopped: Option<Instant>,
}

impl Attempt {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the task killed if it has come to that, and keeps it from being started otherwise. Waits for no start.
    pub(crate) fn stop(&self) -> io::Result<()> {
        let mut progress = self.progress();
        progress.stopped.get_or_insert_with(Instant::now);
        let control = progress.control.clone();
        drop(progress);
        control.map_or(Ok(()), |control| control.order(Order::Kill, PATIENCE).map(drop))
    }

    fn is_stopped(&self) -> bool {
        self.progress().stopped.is_some()
    }

    /// Whether it was stopped so long ago that nothing more is waited for.
    fn is_given_up(&self) -> bool {
        self.progress().stopped.is_some_and(|at| at.elapsed() >= PATIENCE)
    }

    /// Makes the way to the supervisor known, and sends it the stop that came first.
    fn announce(&self, control: &Arc<Control>) -> io::Result<()> {
        let mut progress = self.progress();
        progress.control = Some(Arc::clone(control));
        let stopped = progress.stopped.is_some();
        drop(progress);
        if stopped { control.order(Order::Kill, PATIENCE).map(drop) } else { Ok(()) }
    }
}

/// Starts the task of `request`; on an error nothing runs, and nothing is left but a supervisor that does not answer.
pub(crate) fn launch(
    ground: &Ground,
    id: &TaskId,
    request: &Request,
    stdio: &Stdio<'_>,
    attempt: &Attempt,
) -> Result<(Arc<Control>, Child)> {
    let what = || format!("start the supervisor of task {id}");
    let stopped =
        || Error::new(ErrorKind::Busy, format!("start task {id}"), "it was stopped while it was being started");
    let frame = wire::frame(request).map_err(|source| Error::invalid(what(), source.to_string()))?;
    let (ours, theirs) = UnixStream::pair().map_err(|source| Error::from_io(what(), &source))?;
    if attempt.is_stopped() {
        return Err(stopped());
    }
    let mut supervisor = spawn(&ground.supervisor, id, theirs)?;
    let control = Arc::new(Control::new(ours));
    // A supervisor that is already gone may have left the reason: the reply counts for more than the failed sending.
    let sent = control.request(&frame, stdio.numbers(), LOOK, || attempt.is_given_up());
    if sent.is_err() {
        // It waits for the rest of the request: without an end of it, both would wait for ever. What it has to say can
        // still be read.
        _ = control.stream().shutdown(Shutdown::Write);
    }
    // Not before: an order must not come between two parts of the request.
    let answer = attempt.announce(&control).and_then(|()| reply(&control, attempt));
    let refusal = match answer {
        Ok(Some(Reply::Started)) => return Ok((control, supervisor)),
        Ok(Some(Reply::Refused(error))) => error,
        // It hangs, or is on its way out: the one starts nothing any more, and neither is waited for.
        Ok(None) | Err(_) if attempt.is_stopped() => {
            dismiss(&control);
            ground.leaving.add(supervisor);
            return Err(stopped());
        }
        answer => {
            let source = answer.err().unwrap_or(io::ErrorKind::TimedOut.into());
            let source = sent.err().unwrap_or(source);
            Error::from_io(what(), &source).with_kind(ErrorKind::Internal)
        }
    };
    end(&control, &mut supervisor);
    Err(refusal)
}

/// Refuses a supervisor that somebody else could have written: it runs with the host's rights. The loader has checked the
/// directory that it lies in.
pub(crate) fn check_trust(path: &Path) -> Result<()> {
    let what = || format!("execute the supervisor {}", path.display());
    let stat = std::fs::symlink_metadata(path).map_err(|source| not_executed(path, &source))?;
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
    command.stdout(Stream::null()).stderr(Stream::null()).spawn().map_err(|source| not_executed(path, &source))
}

/// The error of a supervisor that cannot be executed; not found is what is told of a task's program.
fn not_executed(path: &Path, source: &io::Error) -> Error {
    let error = Error::from_io(format!("execute the supervisor {}", path.display()), source);
    match error.kind() {
        // Its host has too little of something: the supervisor is all right.
        ErrorKind::Exhausted => error,
        _ => {
            let fix = format!("install {}, which belongs to the plugin", path.display());
            error.with_kind(ErrorKind::Unsupported).with_fix(fix)
        }
    }
}

/// The supervisor's answer; none where it does not come soon after a stop.
fn reply(control: &Control, attempt: &Attempt) -> io::Result<Option<Reply>> {
    while !control.is_readable(LOOK)? {
        if attempt.is_given_up() {
            return Ok(None);
        }
    }
    let mut from = control.stream();
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    Ok(Some(serde_json::from_slice(&wire::body(length, &mut from)?)?))
}

/// Makes sure that a supervisor which has refused, or no longer makes sense, is gone with whatever it runs.
fn end(control: &Control, supervisor: &mut Child) {
    dismiss(control);
    // ECHILD where the host ignores SIGCHLD or reaps every child itself: then nothing is left to do.
    _ = supervisor.wait();
}

/// Lets a supervisor start nothing more, and kill whatever it runs.
fn dismiss(control: &Control) {
    // No signal: where the host ignores SIGCHLD, the number may be another process's by now. One that has refused takes
    // no orders, any other obeys this or sees the end of file, and all of them exit. Hung up and not dropped: whoever stops
    // the task, or a process that the host forks, has the socket as well.
    _ = control.order(Order::Kill, Duration::ZERO);
    control.hang_up();
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
