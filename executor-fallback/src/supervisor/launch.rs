//! From the request to a running task: resolves names, makes everything the child needs, forks, and waits for execve.
//!
//! The child's report comes on a pipe that closes with execve: one byte when all is ready for it, and nothing more means
//! that the program runs. A child that was killed on the way has not sent that byte. On an error the child is reaped
//! before the host hears of it.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Instant, SystemTime};

use executor_api::record::{Live, Record, StateDir};
use executor_api::spec::DEFAULT_PATH;
use executor_api::{Error, ErrorKind, Result, TaskSpec};
use executor_fallback::wire::Request;
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid};
use signal_hook::low_level::pipe;

use crate::child::{self, Plan};
use crate::failure::Failure;
use crate::identity::{self, Caller, Database, Owner};
use crate::inbox;
use crate::priority::Priority;
use crate::rlimit::{self, Limit};
use crate::sys::{self, Words};

/// A task whose program has been executed, and its record.
pub(crate) struct Task {
    pub(crate) running: Running,
    pub(crate) live: Live,
}

/// A program that has been executed.
pub(crate) struct Running {
    /// The main process, leader of its session and process group.
    pub(crate) main: Pid,
    /// Readable when a child has ended.
    pub(crate) children: UnixStream,
    pub(crate) started: SystemTime,
    /// When its wall-clock limit is reached.
    pub(crate) limit: Option<Instant>,
}

/// Reads a request from `control` and starts its task.
pub(crate) fn launch(control: &UnixStream) -> Result<Task> {
    let (request, stdio) = inbox::request(control)?;
    let spec = &request.spec;
    let owner = identity::owner(&spec.identity, &Caller::current(), &Database)?;
    let mut plan = Plan::new(stdio, owner.clone(), getpid());
    fill(&mut plan, spec)?;
    let limits = rlimit::limits(&request.resources)?;
    plan.limits.clone_from(&limits);
    let live = record(&request)?;
    match start(plan, &request, owner.as_ref(), &limits) {
        Ok(running) => Ok(Task { running, live }),
        Err(error) => {
            live.discard();
            Err(error)
        }
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

/// Forks the main process and waits until it has executed the program.
fn start(plan: Plan, request: &Request, owner: Option<&Owner>, limits: &[Limit]) -> Result<Running> {
    let begin = |source: io::Error| Error::from_io("start the task's main process", &source);
    // Before the fork, or an end of the child could be missed.
    let children = watch_children().map_err(begin)?;
    let (mut report, pen) = io::pipe().map_err(begin)?;
    // The limit counts from here, so that it is never longer than asked for. One that the clock cannot express never comes.
    let (started, now) = (SystemTime::now(), Instant::now());
    let limit = request.resources.wall_time.and_then(|limit| now.checked_add(limit));
    // The child's copy of the pen closes with execve; this process's own is dropped with the closure.
    let main = sys::fork_into(move || child::run(plan, pen)).map_err(begin)?;
    let mut bytes = Vec::new();
    let read = report.read_to_end(&mut bytes);
    if read.is_ok() && bytes == [child::READY] {
        return Ok(Running { main, children, started, limit });
    }
    let bytes = bytes.strip_prefix(&[child::READY]).unwrap_or(&bytes);
    sys::kill(main.as_raw(), libc::SIGKILL).and_then(|()| sys::reap(main)).map_err(begin)?;
    let unread =
        || Error::new(ErrorKind::Internal, "start the task's main process", "it ended before the program was executed");
    Err(Failure::from_bytes(bytes).map_or_else(unread, |failure| failure.explain(&request.spec, owner, limits)))
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
