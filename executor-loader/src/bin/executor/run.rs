//! `executor run`: one task in the foreground, its exit code as ours, signals handed on.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use executor_loader::executor_api::record::State;
use executor_loader::executor_api::units::Signal;
use executor_loader::executor_api::{Error as TaskError, ErrorKind, Outcome, Usage};
use executor_loader::{Error, Loader, Task};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use super::args::{Global, Run};
use super::begin::{Got, begin};
use super::config::Config;
use super::report::exit;
use super::resolve::{self, Ground};
use super::values::ReportTo;
use super::{outcome, plan, report, sys};

/// Handed on to the task.
const FORWARDED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];
/// For a task whose plugin cannot signal, and that is to end.
const GRACE: Duration = Duration::from_secs(5);
/// Two interrupts within this time mean it: the task is killed.
const INSISTING: Duration = Duration::from_secs(2);

pub(crate) fn run(global: &Global, config: &Config, args: &Run) -> Result<u8, Error> {
    // First of all, before anything else of this process is open by that number.
    let to = args.report.as_ref().map(open).transpose()?;
    let done = run_to_end(global, config, args, to.as_ref());
    if let (Err(error), Some(to)) = (&done, &to) {
        let code = report::start_failure(error);
        if let Err(unwritten) = write(to, &outcome::failure(error, code)) {
            report::error(&unwritten, global.verbose);
        }
    }
    done
}

fn run_to_end(global: &Global, config: &Config, args: &Run, to: Option<&File>) -> Result<u8, Error> {
    let mut command = resolve::command(&args.options, config, Ground::Fore)?;
    let loader = resolve::loader(global)?;
    if args.options.behaviour.dry_run {
        plan::print(&command, &loader, args.json)?;
        return Ok(exit::SUCCESS);
    }
    // Before the start: a signal that comes meanwhile is kept, and handed on after it.
    let running = Arc::new(OnceLock::new());
    forward(Arc::clone(&running))?;
    let (started, got) = begin(global, &args.options, &mut command, &loader)?;
    let task = running.get_or_init(|| started);
    let outcome = match task.wait() {
        Ok(outcome) => outcome,
        Err(error) => {
            // What nobody waits for must not run on: the caller is told that it failed.
            report::say(&format!("the task {} is killed: its end cannot be waited for", task.id()));
            task.kill()?;
            return Err(error);
        }
    };
    report::tell_end(&outcome, command.resources().wall_time, global.quiet);
    // Before the record goes, which is the only other place that tells the end.
    if let Some(to) = to {
        write(to, &document(&loader, task, &outcome, &got)).inspect_err(|_| {
            report::say(&format!("the task {} {outcome}; its record is kept", task.id()));
        })?;
    }
    match loader.collect(task.id()) {
        // Not every plugin keeps records.
        Err(error) if !is(&error, ErrorKind::NotFound) => report::error(&error, global.verbose),
        _ => (),
    }
    Ok(outcome::code(&outcome))
}

/// The report on a task that has ended. What it used is with its record, where the plugin keeps one.
fn document(loader: &Loader, task: &Task, outcome: &Outcome, got: &Got) -> Value {
    let recorded = || match loader.records().ok()?.find(task.id()).ok()?.state {
        State::Ended(end) => Some(end.usage),
        _ => None,
    };
    let usage: Usage = task.stats().ok().or_else(recorded).unwrap_or_default();
    outcome::document(task.id(), outcome, &usage, got)
}

/// Hands signals on to the task, once it runs, for as long as this process lives.
fn forward(running: Arc<OnceLock<Task>>) -> Result<(), Error> {
    // What this process was started to ignore it goes on ignoring: nohup(1).
    let kept =
        FORWARDED.into_iter().filter(|signal| ![SIGHUP, SIGINT, SIGQUIT].contains(signal) || !sys::is_ignored(*signal));
    let mut signals = Signals::new(kept).map_err(|error| TaskError::from_io("take over signals", &error))?;
    let hand_on = move || {
        let mut interrupted: Option<Instant> = None;
        for number in signals.forever() {
            let task = running.wait();
            let insisting = number == SIGINT && interrupted.is_some_and(|first| first.elapsed() < INSISTING);
            interrupted = if number == SIGINT { Some(Instant::now()) } else { interrupted };
            if let Err(error) = if insisting { task.kill() } else { hand(task, number) } {
                report::error(&error, false);
            }
        }
    };
    let started = thread::Builder::new().name("executor-signals".into()).spawn(hand_on);
    Ok(started.map(drop).map_err(|error| TaskError::from_io("hand signals on", &error))?)
}

fn hand(task: &Task, number: i32) -> Result<(), Error> {
    let Ok(signal) = Signal::new(number) else { return Ok(()) };
    match task.signal(signal) {
        Err(error) if is(&error, ErrorKind::NotFound) => Ok(()),
        Err(error) if is(&error, ErrorKind::Unsupported) => match number {
            SIGHUP | SIGINT | SIGQUIT | SIGTERM => task.stop(GRACE),
            _ => Ok(()),
        },
        answer => answer,
    }
}

fn is(error: &Error, kind: ErrorKind) -> bool {
    error.task().is_some_and(|error| error.kind() == kind)
}

/// Opens the place of the report; what cannot be written must be known before anything runs.
fn open(to: &ReportTo) -> Result<File, Error> {
    // Not emptied before there is something to write, and no FIFO holds this command up.
    let by_path = |path| {
        File::options().write(true).create(true).truncate(false).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
    };
    let (what, opened) = match to {
        ReportTo::File(path) => (path.display().to_string(), by_path(path)),
        ReportTo::Fd(fd) => (format!("descriptor {fd}"), sys::take(*fd).map(File::from)),
    };
    let failed = |error| TaskError::from_io(format!("open {what} for the report"), &error);
    // Not found is what is told of programs.
    let file = opened.map_err(|error| failed(error).with_kind(ErrorKind::InvalidSpec))?;
    let flags = fcntl(&file, FcntlArg::F_GETFL).map_err(|errno| failed(errno.into()))?;
    if OFlag::from_bits_retain(flags & OFlag::O_ACCMODE.bits()) == OFlag::O_RDONLY {
        return Err(TaskError::invalid(format!("write the report to {what}"), "it is open for reading only").into());
    }
    Ok(file)
}

fn write(mut to: &File, document: &Value) -> Result<(), Error> {
    let emptied = match to.metadata() {
        Ok(stat) if stat.is_file() => to.set_len(0),
        _ => Ok(()),
    };
    let written = emptied.and_then(|()| to.write_all(format!("{document}\n").as_bytes()));
    Ok(written.map_err(|error| TaskError::from_io("write the report", &error).with_kind(ErrorKind::Internal))?)
}
