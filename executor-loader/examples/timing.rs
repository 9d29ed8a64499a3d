//! Where the time of a start goes, and what a host that lives on saves with its next one.
//!
//! After `cargo xtask build --release`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run --release -p executor-loader --example timing`

use executor_loader::executor_api::record::{Record, StateDir};
use executor_loader::executor_api::{self, Cause, Ended, ErrorKind, Outcome, TaskId, Usage};
use executor_loader::{Command, Error, Loader};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let loader = timed("find", Loader::new)?;
    // Nothing has this id: the plugin is loaded, looks for its record and says so.
    let id: TaskId = format!("fallback.timing-{}", std::process::id()).parse()?;
    let error = timed("load", || loader.open(&id)).expect_err("there is no such task");
    assert_eq!(error.task().map(executor_api::Error::kind), Some(ErrorKind::NotFound), "{error}");
    one_task(&loader, ["start", "wait", "collect"])?;
    one_task(&loader, ["next_start", "next_wait", "next_collect"])?;
    timed("record", || keep_record(&id))?;
    loader.collect(&id)
}

fn one_task(loader: &Loader, [start, wait, collect]: [&str; 3]) -> Result<(), Error> {
    let task = timed(start, || Command::new("true").start(loader))?;
    let outcome = timed(wait, || task.wait())?;
    assert!(outcome.success(), "{outcome}");
    timed(collect, || loader.collect(task.id()))
}

/// What a supervisor does, within a start and an end, so that the task is never lost.
fn keep_record(id: &TaskId) -> Result<(), Error> {
    let mut live = StateDir::open(StateDir::default_path()?)?.create(id)?.commit(&Record::new(id))?;
    Ok(live.end(&Outcome::new(Ended::Exited(0), Cause::Own), &Usage::default())?)
}

/// Does `act` and says how long that took.
fn timed<T>(name: &str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let began = Instant::now();
    let done = act();
    eprintln!("{name:<12} {:>8} us", began.elapsed().as_micros());
    done
}
