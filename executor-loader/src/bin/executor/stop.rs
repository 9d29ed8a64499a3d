//! `executor stop` and `executor kill`: end tasks, several at once, or signal them.

use std::ffi::OsString;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use executor_loader::executor_api::record::Record;
use executor_loader::executor_api::{Error as TaskError, ErrorKind, Outcome, TaskId, TaskSpec};
use executor_loader::{Error, Loader, Records, Task};
use serde_json::{Value, json};

use super::args::{Global, Kill, Stop};
use super::config::Config;
use super::report::{self, exit};
use super::{outcome, print, resolve};

/// For tasks that say nothing of their own.
const GRACE: Duration = Duration::from_secs(5);
/// A task that was killed and has not ended after this has a supervisor that does nothing.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn stop(global: &Global, config: &Config, args: &Stop) -> Result<u8, Error> {
    let usual = config.stop_grace().unwrap_or(GRACE);
    each(global, &args.ids, args.json, |task, record| {
        let own = serde_json::from_value::<TaskSpec>(record.spec.clone()).ok().and_then(|spec| spec.grace);
        let grace = args.grace.or(own).unwrap_or(usual);
        let asked = Arc::clone(task);
        // Asking waits for the end, without an end where the supervisor does nothing.
        let asking = thread::Builder::new().spawn(move || asked.stop(grace));
        let asking = asking.map_err(|error| TaskError::from_io(format!("stop the task {}", record.id), &error))?;
        let ended = ended(task, record, grace.saturating_add(PATIENCE));
        match asking.is_finished() {
            // What kept it from being asked is why it has not ended.
            true => asking.join().unwrap_or(Ok(())).and(ended),
            false => ended,
        }
    })
}

pub(crate) fn kill(global: &Global, args: &Kill) -> Result<u8, Error> {
    each(global, &args.ids, args.json, |task, record| match args.signal {
        Some(signal) => task.signal(signal).and_then(|()| task.try_wait()),
        None => {
            task.kill()?;
            ended(task, record, PATIENCE)
        }
    })
}

/// Waits for the end, which must come now.
fn ended(task: &Task, record: &Record, patience: Duration) -> Result<Option<Outcome>, Error> {
    let Some(outcome) = task.wait_timeout(patience)? else {
        let pid = record.supervisor.pid;
        let why = format!("it has not ended {} s after it had to", PATIENCE.as_secs());
        let error = TaskError::new(ErrorKind::Busy, format!("end the task {}", record.id), why);
        return Err(error.with_fix(format!("look at its supervisor, process {pid}: is it stopped?")).into());
    };
    Ok(Some(outcome))
}

/// Carries `act` out on every task at once, and prints those on which it went well.
fn each(
    global: &Global,
    words: &[OsString],
    json: bool,
    act: impl Fn(&Arc<Task>, &Record) -> Result<Option<Outcome>, Error> + Sync,
) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let mut code = exit::SUCCESS;
    let mut ids: Vec<TaskId> = Vec::new();
    for word in words {
        match records.resolve(word) {
            Ok(id) if ids.contains(&id) => (),
            Ok(id) => ids.push(id),
            Err(error) => code = report::worse(code, failed(global, &error)),
        }
    }
    let done = if ids.is_empty() { Vec::new() } else { at_once(&resolve::loader(global)?, &records, &ids, &act) };
    let mut told = Vec::new();
    for (id, done) in ids.iter().zip(done) {
        match done {
            Ok(outcome) if json => told.push(document(id, outcome)),
            Ok(_) => print::text(&format!("{id}\n"))?,
            Err(error) => code = report::worse(code, failed(global, &error)),
        }
    }
    if json {
        print::json(&json!({ "schema": 1, "tasks": told }))?;
    }
    Ok(code)
}

fn at_once(
    loader: &Loader,
    records: &Records,
    ids: &[TaskId],
    act: &(impl Fn(&Arc<Task>, &Record) -> Result<Option<Outcome>, Error> + Sync),
) -> Vec<Result<Option<Outcome>, Error>> {
    let one = |id: &TaskId| act(&Arc::new(loader.open(id)?), &records.find(id)?.record);
    thread::scope(|scope| {
        let begun: Vec<_> =
            ids.iter().map(|id| (id, thread::Builder::new().spawn_scoped(scope, move || one(id)))).collect();
        let joined = begun.into_iter().map(|(id, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| one(id)),
            // A thread that could not be had is done without, after the others have begun.
            Err(_) => one(id),
        });
        joined.collect()
    })
}

/// What has become of the task, as it was seen.
fn document(id: &TaskId, outcome: Option<Outcome>) -> Value {
    match outcome {
        Some(outcome) => {
            json!({ "id": id, "state": "ended", "outcome": outcome, "exit_code": outcome::code(&outcome) })
        }
        None => json!({ "id": id, "state": "running" }),
    }
}

fn failed(global: &Global, error: &Error) -> u8 {
    report::error(error, global.verbose);
    // A signal for a task that has ended finds nobody, but the task is no missing one.
    let missing = error.task().is_some_and(|error| error.kind() == ErrorKind::NotFound && error.errno().is_none());
    if missing { exit::NO_SUCH_TASK } else { exit::FAILED }
}
