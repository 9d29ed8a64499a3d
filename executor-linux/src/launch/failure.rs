//! Words for a start that failed: the helper says a number and an errno, the plan knows what was meant.
//!
//! Only the program itself is told as not found or not executable; a sandbox that could not be made never is.

use std::io;
use std::path::Path;

use executor_api::{Error, ErrorKind};
use nix::errno::Errno;

use super::reply::Stage;
use crate::plan::{Plan, Program, Step};

/// A start that somebody has stopped.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Busy, "start the task", "it was stopped while it was being started")
}

/// Why the step with this number, or this [`Stage`], was refused.
pub(super) fn explain(plan: &Plan, step: u32, errno: i32) -> Error {
    if let Some(stage) = Stage::ALL.into_iter().find(|stage| *stage as u32 == step) {
        return explain_stage(stage, errno);
    }
    let number = usize::try_from(step).unwrap_or(usize::MAX);
    match plan.supervisor.iter().chain(&plan.child).nth(number) {
        Some(Step::Execute(program)) => explain_program(plan, program, errno),
        Some(Step::Directory(directory)) => explain_directory(plan, directory, errno),
        Some(step) => explain_step(step, errno),
        None => Error::new(ErrorKind::Internal, "start the task", format!("there is no step {step}")).with_errno(errno),
    }
}

fn from_errno(what: String, errno: i32) -> Error {
    let error = Error::from_io(what, &io::Error::from_raw_os_error(errno));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotExecutable => error.with_kind(ErrorKind::Internal),
        _ => error,
    }
}

fn explain_stage(stage: Stage, errno: i32) -> Error {
    match stage {
        Stage::Script => from_errno("read the plan of the task in its supervisor".into(), errno),
        Stage::Supervisor => from_errno("make the supervisor of the task".into(), errno),
        Stage::Settle => from_errno("keep the supervisor out of the task's reach".into(), errno),
        Stage::Child => from_errno("make the task's main process".into(), errno),
        Stage::Died => {
            let why = "it was killed before the program was executed";
            Error::new(ErrorKind::Busy, "start the task's main process", why)
        }
        Stage::Stopped => Error::new(
            ErrorKind::Busy,
            "start the task's main process",
            "it was stopped, or its time limit was reached, before the program was executed",
        ),
    }
}

fn explain_step(step: &Step, errno: i32) -> Error {
    let error = from_errno(format!("isolate the task: {step}"), errno);
    match step {
        Step::Rlimit(limit) => {
            let error = from_errno(format!("limit rlimit {limit}"), errno);
            match errno == Errno::EPERM as i32 {
                true => error.with_fix("ask for no more than the host's hard limit, or raise that (CAP_SYS_RESOURCE)"),
                false => error,
            }
        }
        Step::Nice(_) | Step::OomScore(_) => {
            error.with_fix("ask for no less than the host itself has, or give it CAP_SYS_NICE and CAP_SYS_RESOURCE")
        }
        Step::Bind { .. } if errno == Errno::ELOOP as i32 => {
            error.with_fix("remove the link at its target in the task's directory")
        }
        _ => error,
    }
}

fn whose(plan: &Plan) -> String {
    let uid = plan.child.iter().find_map(|step| if let Step::User(uid) = step { Some(*uid) } else { None });
    uid.map_or_else(|| "the host's own user".to_owned(), |uid| format!("user {uid}"))
}

fn explain_directory(plan: &Plan, directory: &Path, errno: i32) -> Error {
    let what = format!("enter the working directory {} as {}", directory.display(), whose(plan));
    match Errno::from_raw(errno) {
        Errno::ENOENT => Error::invalid(what, "there is no such directory in the task's root").with_errno(errno),
        Errno::ENOTDIR => Error::invalid(what, "it is not a directory").with_errno(errno),
        Errno::EACCES => from_errno(what, errno).with_fix("let this user search every directory on the way to it"),
        _ => from_errno(what, errno),
    }
}

fn explain_program(plan: &Plan, program: &Program, errno: i32) -> Error {
    let name = program.args.first().map(|name| name.display().to_string()).unwrap_or_default();
    let what = format!("execute {name} as {}", whose(plan));
    let error = match Errno::from_raw(errno) {
        Errno::ENOENT | Errno::ENOTDIR if program.candidates.len() > 1 => {
            let why = "there is no such program in the task's PATH, inside its root";
            Error::new(ErrorKind::NotFound, what, why).with_fix("give its absolute path, or bind its directory")
        }
        Errno::ENOENT | Errno::ENOTDIR => {
            let why = "there is no such program in the task's root, or the interpreter that it names is not there";
            Error::new(ErrorKind::NotFound, what, why).with_fix("bind the directory that holds it")
        }
        Errno::EACCES => {
            let why = "it is no file that this user may execute";
            Error::new(ErrorKind::NotExecutable, what, why).with_fix("check its mode and those of its directories")
        }
        Errno::ENOEXEC => {
            let why = "it is no program of this machine, and no script that starts with #!";
            Error::new(ErrorKind::NotExecutable, what, why)
        }
        _ => return from_errno(what, errno),
    };
    error.with_errno(errno)
}
