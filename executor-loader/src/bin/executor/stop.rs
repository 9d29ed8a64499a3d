//! `executor stop` and `executor kill`: end tasks, several at once, or signal them.

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use executor_loader::executor_api::record::Record;
use executor_loader::executor_api::{ErrorKind, TaskId, TaskSpec};
use executor_loader::{Error, Loader, Records, Task};
use serde_json::{Value, json};

use super::args::{Global, Kill, Stop};
use super::config::Config;
use super::report::{self, exit};
use super::{outcome, print, resolve};

/// For tasks that say nothing of their own.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn stop(global: &Global, config: &Config, args: &Stop) -> Result<u8, Error> {
    let usual = config.grace().ok().flatten().unwrap_or(GRACE);
    each(global, &args.ids, args.json, |task, record| {
        let own = serde_json::from_value::<TaskSpec>(record.spec.clone()).ok().and_then(|spec| spec.grace);
        task.stop(args.grace.or(own).unwrap_or(usual))
    })
}

pub(crate) fn kill(global: &Global, args: &Kill) -> Result<u8, Error> {
    each(global, &args.ids, args.json, |task, _| match args.signal {
        Some(signal) => task.signal(signal),
        None => {
            task.kill()?;
            // The kill is asked for and certain; what is printed next should be true already.
            task.wait().map(drop)
        }
    })
}

/// Carries `act` out on every task at once, and prints those on which it went well.
fn each(
    global: &Global,
    words: &[OsString],
    json: bool,
    act: impl Fn(&Task, &Record) -> Result<(), Error> + Sync,
) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let mut code = exit::SUCCESS;
    let mut ids: Vec<TaskId> = Vec::new();
    for word in words {
        match records.resolve(word) {
            Ok(id) if ids.contains(&id) => (),
            Ok(id) => ids.push(id),
            Err(error) => code = worse(code, failed(global, &error)),
        }
    }
    if ids.is_empty() {
        return Ok(code);
    }
    let loader = resolve::loader(global)?;
    let done = thread::scope(|scope| {
        let one = |id: &TaskId| one(&loader, &records, id, &act);
        let begun: Vec<_> =
            ids.iter().map(|id| (id, thread::Builder::new().spawn_scoped(scope, move || one(id)))).collect();
        // A thread that could not be had is done without, after the others have begun.
        let join = |(id, thread): (_, std::io::Result<thread::ScopedJoinHandle<'_, _>>)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| one(id)),
            Err(_) => one(id),
        };
        begun.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut told = Vec::new();
    for (id, done) in ids.iter().zip(done) {
        match done {
            Ok(()) if json => told.push(document(&records, id)),
            Ok(()) => print::text(&format!("{id}\n"))?,
            Err(error) => code = worse(code, failed(global, &error)),
        }
    }
    if json {
        print::json(&json!({ "schema": 1, "tasks": told }))?;
    }
    Ok(code)
}

fn one(
    loader: &Loader,
    records: &Records,
    id: &TaskId,
    act: &impl Fn(&Task, &Record) -> Result<(), Error>,
) -> Result<(), Error> {
    act(&loader.open(id)?, &records.find(id)?.record)
}

/// What has become of the task.
fn document(records: &Records, id: &TaskId) -> Value {
    use executor_loader::executor_api::record::State;
    match records.find(id).map(|found| found.state) {
        Ok(State::Ended(end)) => {
            json!({ "id": id, "state": "ended", "outcome": end.outcome, "exit_code": outcome::code(&end.outcome) })
        }
        _ => json!({ "id": id, "state": "running" }),
    }
}

fn failed(global: &Global, error: &Error) -> u8 {
    report::error(error, global.verbose);
    // A signal for a task that has ended finds nobody, but the task is no missing one.
    let missing = error.task().is_some_and(|error| error.kind() == ErrorKind::NotFound && error.errno().is_none());
    if missing { exit::NO_SUCH_TASK } else { exit::FAILED }
}

/// A task that could not be ended counts for more than one that was not there.
fn worse(one: u8, other: u8) -> u8 {
    if one == exit::FAILED || other == exit::SUCCESS { one } else { other }
}
