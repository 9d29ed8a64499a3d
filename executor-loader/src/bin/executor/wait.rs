//! `executor wait`: waits for a task and exits like it. Needs no plugin: the record tells the end.

use executor_loader::Error;
use executor_loader::executor_api::record::{End, State};
use executor_loader::executor_api::{Error as TaskError, ErrorKind};

use super::args::{Global, Wait};
use super::{outcome, print, report, resolve};

pub(crate) fn wait(global: &Global, args: &Wait) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let id = records.resolve(&args.id)?;
    let found = records.find(&id)?;
    let end: End = match found.state {
        State::Ended(end) => end,
        State::Running(watch) => {
            let broken = || TaskError::new(ErrorKind::Internal, format!("wait for the task {id}"), "it runs for ever");
            watch.wait(None)?.ok_or_else(broken)?
        }
        _ => return Err(TaskError::unsupported("wait for a task in this state").into()),
    };
    if args.json {
        print::json(&outcome::document(&id, &end.outcome, &end.usage, &found.record.applied.clone().into()))?;
    }
    report::tell_end(&end.outcome, None, global.quiet);
    match args.rm.then(|| records.collect(&id)) {
        // Another was first.
        Some(Err(error)) if error.task().is_some_and(|error| error.kind() == ErrorKind::NotFound) => (),
        // The end is known, and what was asked for.
        Some(Err(error)) => report::error(&error, global.verbose),
        _ => (),
    }
    Ok(outcome::code(&end.outcome))
}
