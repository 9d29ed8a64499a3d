//! From the request to a running task: resolves names, makes everything the child needs, forks, and waits for execve.
//!
//! The child's report comes on a pipe that closes with execve: one byte when all is ready for it, and nothing more means
//! that the program runs. A child that was killed on the way has not sent that byte. On an error the child is reaped
//! before the host hears of it, unless it hangs where no signal reaches it.
//!
//! A start may take as long as a dead file server does, so orders are obeyed and the time is kept meanwhile. A host that
//! hangs up before it was told that its task runs gets none.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use executor_api::record::{Live, Record, StateDir};
use executor_api::spec::DEFAULT_PATH;
use executor_api::units::Signal;
use executor_api::{Cause, Ended, Error, ErrorKind, Outcome, Result, TaskSpec, Usage};
use executor_fallback::wire::{Order, Request};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid};
use signal_hook::low_level::pipe;

use crate::child::{self, Plan};
use crate::failure::Failure;
use crate::host::Host;
use crate::identity::{self, Caller, Database, Owner};
use crate::outside::Outside;
use crate::priority::Priority;
use crate::rlimit::{self, Limit};
use crate::sys::{self, Words};
use crate::times::Times;
use crate::{inbox, tree};

const ACT: &str = "start the task's main process";

/// How long a child that was killed on its way may take to be gone: one that hangs in the kernel holds nobody up.
const QUICK: Duration = Duration::from_millis(100);
/// How long after the time limit a start is given up: longer than one takes that does not hang.
const SLACK: Duration = Duration::from_secs(1);

/// A task whose program has been executed, and what reaches it from outside.
pub(crate) struct Task<'a> {
    pub(crate) running: Running,
    pub(crate) outside: Outside<'a>,
    pub(crate) times: Times,
    /// Signals that came before there was a program to take them.
    pub(crate) early: Vec<Signal>,
}

/// A program that has been executed.
pub(crate) struct Running {
    /// The main process, leader of its session and process group.
    pub(crate) main: Pid,
    /// Readable when a child has ended.
    pub(crate) children: UnixStream,
    pub(crate) started: SystemTime,
    /// What asks it to end.
    pub(crate) stop_signal: Signal,
}

/// Reads a request from `control` and starts its task.
pub(crate) fn launch(control: &UnixStream) -> Result<Task<'_>> {
    let (request, stdio) = inbox::request(control)?;
    let spec = &request.spec;
    let host = spec.die_with_host.then(|| Host::parent(request.host)).transpose()?;
    let owner = identity::owner(&spec.identity, &Caller::current(), &Database)?;
    let mut plan = Plan::new(stdio, owner.clone(), getpid());
    fill(&mut plan, spec)?;
    let limits = rlimit::limits(&request.resources)?;
    plan.limits.clone_from(&limits);
    let outside = Outside::new(control, record(&request)?, host);
    // The limit counts from here, so that it is never longer than asked for.
    let times = Times::new(Instant::now(), request.resources.wall_time, spec.grace);
    let mut start = Start { outside, times, early: Vec::new(), doom: None };
    match start.run(plan, &request, owner.as_ref(), &limits) {
        Ok(running) => Ok(Task { running, outside: start.outside, times: start.times, early: start.early }),
        Err(error) => Err(start.take_back(error)),
    }
}

/// Takes the task's id and writes its record: before anything of it runs, so that whatever runs can be found.
fn record(request: &Request) -> Result<Live> {
    let unwritable = |error: serde_json::Error| Error::invalid("write the record", error.to_string());
    let mut record = Record::new(&request.id);
    record.command = request.spec.command_line();
    record.spec = serde_json::to_value(&request.spec).map_err(unwritable)?;
    record.resources = serde_json::to_value(&request.resources).map_err(unwritable)?;
    record.applied.clone_from(&request.applied);
    StateDir::open(&request.state)?.create(&request.id)?.commit(&record)
}

/// A task on its way from its record to its program.
struct Start<'a> {
    outside: Outside<'a>,
    times: Times,
    early: Vec<Signal>,
    /// When it is given up.
    doom: Option<Instant>,
}

impl Start<'_> {
    /// Forks the main process and waits until it has executed the program.
    fn run(&mut self, plan: Plan, request: &Request, owner: Option<&Owner>, limits: &[Limit]) -> Result<Running> {
        let begin = |source: io::Error| Error::from_io(ACT, &source);
        // Before the fork, or an end of the child could be missed.
        let children = watch_children().map_err(begin)?;
        let (mut report, pen) = io::pipe().map_err(begin)?;
        // This end's flag alone: the child's own writes still wait.
        fcntl(&report, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| begin(errno.into()))?;
        if self.is_over() {
            return Err(self.cut_short(None));
        }
        let started = SystemTime::now();
        // The child's copy of the pen closes with execve; this process's own is dropped with the closure.
        let main = sys::fork_into(move || child::run(plan, pen)).map_err(begin)?;
        let bytes = match self.hear(&mut report) {
            Ok(Some(bytes)) if bytes == [child::READY] => {
                if self.doom.is_some() {
                    // It runs, and ends of what it would have been given up for.
                    self.times.stop(Instant::now(), Duration::ZERO);
                }
                let stop_signal = request.spec.stop_signal.unwrap_or(Signal::TERM);
                return Ok(Running { main, children, started, stop_signal });
            }
            Ok(None) => return Err(self.cut_short(end(main, &children))),
            heard => heard,
        };
        sys::kill(main.as_raw(), libc::SIGKILL).and_then(|()| sys::reap(main)).map_err(begin)?;
        let bytes = bytes.map_err(begin)?.unwrap_or_default();
        let bytes = bytes.strip_prefix(&[child::READY]).unwrap_or(&bytes);
        let unread = || Error::new(ErrorKind::Internal, ACT, "it ended before the program was executed");
        Err(Failure::from_bytes(bytes).map_or_else(unread, |failure| failure.explain(&request.spec, owner, limits)))
    }

    /// The child's whole report; none once the task is to be killed and the report is not complete.
    fn hear(&mut self, report: &mut PipeReader) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        loop {
            // What was read before this is kept in `bytes`.
            match report.read_to_end(&mut bytes) {
                Ok(_) => return Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
            if self.is_over() {
                return Ok(None);
            }
            self.outside.doze(report.as_fd(), earliest(self.doom, self.times.next()));
        }
    }

    /// Takes the orders that have come, and says whether the start is to be given up.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        // Nobody has been told that the task runs. Where nobody can be any more, it does not.
        let mut killed = false;
        for order in self.outside.orders() {
            match order {
                Order::Signal(signal) => self.early.push(signal),
                Order::Stop(grace) => self.times.stop(now, grace),
                Order::Kill => killed = true,
            }
        }
        if killed || !self.outside.host_holds_on() {
            self.times.stop(now, Duration::ZERO);
            self.doom = Some(now);
        }
        if self.times.kills(now) {
            // A limit may be shorter than any start takes: a task that is late is told as one, not as one that never ran.
            let slack = if self.times.cause() == Cause::TimedOut { SLACK } else { Duration::ZERO };
            self.doom = earliest(self.doom, Some(now + slack));
        }
        self.doom.is_some_and(|doom| doom <= now)
    }

    /// The refusal of a start that came to its end before its program, with `status` where that was seen. Whoever has
    /// found the task already is told so by the record.
    fn cut_short(&mut self, status: Option<ExitStatus>) -> Error {
        let cause = self.times.cause();
        let outcome = status.map(|status| Outcome::from_status(status, cause));
        let outcome = outcome.unwrap_or_else(|| Outcome::new(Ended::Unknown, cause));
        let why = match cause {
            Cause::TimedOut => "its time limit was reached before the program was executed",
            _ => "it was stopped before the program was executed",
        };
        let error = Error::new(ErrorKind::Busy, ACT, why);
        match self.outside.live.end(&outcome, &Usage::default()) {
            Ok(()) => error,
            Err(unrecorded) => error.with_fix(format!("whoever waits for it is told that it is lost: {unrecorded}")),
        }
    }

    /// Takes the record back: nothing runs, and `error` says why.
    fn take_back(self, error: Error) -> Error {
        match self.outside.live.discard() {
            Ok(()) => error,
            Err(left) => {
                let fix = left.fix().or(error.fix()).unwrap_or("collect the task").to_owned();
                error.with_fix(format!("{fix}; its record is left behind: {left}"))
            }
        }
    }
}

/// Kills `main`, and whatever it has just become, and reaps it; its status is none where it cannot die.
fn end(main: Pid, children: &UnixStream) -> Option<ExitStatus> {
    // By its own number as well: it leads no group before it has made one.
    _ = sys::kill(main.as_raw(), libc::SIGKILL);
    tree::kill(main);
    let status = tree::has_ended_within(main, children, QUICK).then(|| sys::reap(main).ok()).flatten();
    tree::clear(children, QUICK);
    status
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

fn watch_children() -> io::Result<UnixStream> {
    let (children, bell) = UnixStream::pair()?;
    children.set_nonblocking(true)?;
    pipe::register(libc::SIGCHLD, bell)?;
    Ok(children)
}

/// Puts the words of `spec` into the form that the kernel takes.
fn fill(plan: &mut Plan, spec: &TaskSpec) -> Result<()> {
    let args = spec.command_line();
    let directory = spec.cwd.as_deref().unwrap_or(Path::new("/"));
    plan.priority = Priority::new(spec);
    plan.umask = spec.umask.map_or(plan.umask, |umask| Mode::from_bits_truncate(umask.bits() as libc::mode_t));
    plan.directory = word(directory.as_os_str())?;
    plan.candidates = candidates(&args[0], &search_path(spec))?;
    plan.args = Words::new(args.iter().map(|arg| word(arg)).collect::<Result<_>>()?);
    let env = spec.env.iter().map(|(name, value)| {
        let parts = [name.as_bytes(), b"=", value.as_bytes()];
        word(OsStr::from_bytes(&parts.concat()))
    });
    plan.env = Words::new(env.collect::<Result<_>>()?);
    Ok(())
}

fn word(word: &OsStr) -> Result<CString> {
    CString::new(word.as_bytes()).map_err(|_| Error::invalid("run a command", "a word of it holds a NUL byte"))
}

/// Where bare names are looked up: the task's own `PATH`.
pub(crate) fn search_path(spec: &TaskSpec) -> OsString {
    spec.env.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into())
}

/// Where `program` may be: an absolute path there, a bare name in each directory of `path`. An empty directory is the
/// working directory, as POSIX has it.
fn candidates(program: &OsStr, path: &OsStr) -> Result<Vec<CString>> {
    let what = || format!("execute {}", program.display());
    let bytes = program.as_bytes();
    if bytes.is_empty() {
        let why = "the name of the program is empty once the task's environment is put in";
        return Err(Error::new(ErrorKind::NotFound, "execute the program", why).with_errno(libc::ENOENT));
    }
    if bytes.starts_with(b"/") {
        return Ok(vec![word(program)?]);
    }
    if bytes.contains(&b'/') {
        return Err(Error::invalid(what(), "a program is an absolute path or a name without a slash"));
    }
    let candidate = |directory: &[u8]| match directory {
        b"" => word(program),
        _ => word(&OsString::from_vec([directory, b"/", bytes].concat())),
    };
    path.as_bytes().split(|byte| *byte == b':').map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_looked_up_where_the_task_says() {
        let find = |program: &str, path: &str| {
            let found = candidates(OsStr::new(program), OsStr::new(path)).map_err(|error| error.kind());
            found.map(|found| found.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>())
        };
        assert_eq!(find("sh", "/a:/b"), Ok(vec!["/a/sh".into(), "/b/sh".into()]));
        assert_eq!(find("sh", "/a::"), Ok(vec!["/a/sh".into(), "sh".into(), "sh".into()]));
        assert_eq!(find("/bin/sh", "/a"), Ok(vec!["/bin/sh".into()]));
        assert_eq!(find("bin/sh", "/a"), Err(ErrorKind::InvalidSpec));
        assert_eq!(find("", "/a"), Err(ErrorKind::NotFound));
        assert_eq!(search_path(&TaskSpec::new("sh")), DEFAULT_PATH);
    }
}
