//! `executor run`: one task in the foreground, its exit code as ours, signals handed on.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use executor_loader::executor_api::record::State;
use executor_loader::executor_api::units::Signal;
use executor_loader::executor_api::{Applied, Error as TaskError, ErrorKind, Outcome, Usage};
use executor_loader::{Error, Loader, Task, not_enforced_line};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use super::args::{Global, Run};
use super::config::Config;
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
    let done = run_to_end(global, config, args);
    let (code, document) = match &done {
        Ok(Done::Planned) => return Ok(report::exit::SUCCESS),
        Ok(Done::Ended { outcome, limit, document }) => {
            report::tell_end(outcome, *limit, global.quiet);
            (outcome::code(outcome), document.clone())
        }
        Err(error) => {
            let code = report::start_failure(error);
            (code, outcome::failure(error, code))
        }
    };
    let reported = to.map_or(Ok(()), |to| write(to, &document));
    match (done, reported) {
        (Err(error), _) => Err(error),
        // The task has ended and its end is known: that its report is not, is an error of ours.
        (_, Err(error)) => Err(error),
        _ => Ok(code),
    }
}

enum Done {
    Planned,
    Ended { outcome: Outcome, limit: Option<Duration>, document: Value },
}

fn run_to_end(global: &Global, config: &Config, args: &Run) -> Result<Done, Error> {
    let mut command = resolve::command(&args.options, config, Ground::Fore)?;
    let loader = resolve::loader(global)?;
    if args.options.behaviour.dry_run {
        plan::print(&command, &loader, args.json)?;
        return Ok(Done::Planned);
    }
    // Before the start: a signal that comes meanwhile is kept, and handed on after it.
    let running = Arc::new(OnceLock::new());
    forward(Arc::clone(&running))?;
    let started = command.start(&loader)?;
    let task = running.get_or_init(|| started);
    let applied = task.applied().unwrap_or_default();
    if let (false, Some(line)) = (global.quiet, not_enforced_line(&applied)) {
        report::say(&format!("{line} ({})", task.id().plugin()));
    }
    let outcome = task.wait()?;
    let document = document(&loader, task, &outcome, &applied);
    match loader.collect(task.id()) {
        // Not every plugin keeps records.
        Err(error) if !is(&error, ErrorKind::NotFound) => report::error(&error, global.verbose),
        _ => (),
    }
    Ok(Done::Ended { outcome, limit: command.resources().wall_time, document })
}

/// The report on a task that has ended. What it used is with its record, where the plugin keeps one.
fn document(loader: &Loader, task: &Task, outcome: &Outcome, applied: &Applied) -> Value {
    let recorded = || match loader.records().ok()?.find(task.id()).ok()?.state {
        State::Ended(end) => Some(end.usage),
        _ => None,
    };
    let usage: Usage = task.stats().ok().or_else(recorded).unwrap_or_default();
    outcome::document(task.id(), outcome, &usage, applied)
}

/// Hands signals on to the task, once it runs, for as long as this process lives.
fn forward(running: Arc<OnceLock<Task>>) -> Result<(), Error> {
    let mut signals = Signals::new(FORWARDED).map_err(|error| TaskError::from_io("take over signals", &error))?;
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
    let (what, opened) = match to {
        ReportTo::File(path) => (path.display().to_string(), File::create(path)),
        ReportTo::Fd(fd) => (format!("descriptor {fd}"), sys::take(*fd).map(File::from)),
    };
    let failed = |error| TaskError::from_io(format!("open {what} for the report"), &error);
    // Not found is what is told of programs.
    Ok(opened.map_err(|error| failed(error).with_kind(ErrorKind::InvalidSpec))?)
}

fn write(mut to: File, document: &Value) -> Result<(), Error> {
    let written = to.write_all(format!("{document}\n").as_bytes());
    Ok(written.map_err(|error| TaskError::from_io("write the report", &error).with_kind(ErrorKind::Internal))?)
}
