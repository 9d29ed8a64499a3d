//! `executor ps`, `inspect` and `stats`: what the records tell of tasks.

use std::time::{Duration, SystemTime};

use executor_loader::executor_api::record::{Found, State};
use executor_loader::executor_api::{Error as TaskError, ErrorKind, Feature, TaskId, Usage};
use executor_loader::{Candidate, Error, Records};
use serde_json::{Value, json};

use super::args::{Global, Listing, OneTask};
use super::outcome::{self, unix_ms};
use super::report::exit;
use super::{print, resolve};

pub(crate) fn ps(global: &Global, args: &Listing) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let (mut entries, mut rows) = (Vec::new(), vec![["ID", "STATE", "AGE", "COMMAND"].map(str::to_owned).to_vec()]);
    for id in records.list()? {
        // One by one: a task that is watched holds descriptors.
        let found = records.find(&id);
        match found.as_ref().map_err(|error| error.task().map(TaskError::kind)) {
            // Collected meanwhile.
            Err(Some(ErrorKind::NotFound)) => continue,
            // That it cannot be looked at now says nothing of the task.
            Err(Some(ErrorKind::Exhausted)) => return found.map(|_| exit::FAILED),
            _ => (),
        }
        match args.json {
            true => entries.push(entry(&id, &found)),
            false => rows.push(row(&id, &found)),
        }
    }
    match args.json {
        true => print::json(&json!({ "schema": 1, "tasks": entries }))?,
        false => print::text(&print::table(&rows))?,
    }
    Ok(exit::SUCCESS)
}

fn state(found: &Result<Found, Error>) -> &'static str {
    match found.as_ref().map(|found| &found.state) {
        Ok(State::Running(_)) => "running",
        Ok(State::Ended(_)) => "ended",
        _ => "damaged",
    }
}

fn row(id: &TaskId, found: &Result<Found, Error>) -> Vec<String> {
    let (state, age, command) = match found {
        Err(error) => ("damaged".to_owned(), "-".to_owned(), error.to_string()),
        Ok(Found { record, state, .. }) => {
            let state = match state {
                State::Running(_) => "running".to_owned(),
                State::Ended(end) => end.outcome.to_string(),
                _ => "unknown".to_owned(),
            };
            (state, record.created.map_or("-".into(), age), print::words(&record.command))
        }
    };
    vec![id.to_string(), state, age, command]
}

/// How long ago, in whole seconds.
fn age(created: SystemTime) -> String {
    let since = SystemTime::now().duration_since(created).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(since.as_secs())).to_string()
}

fn entry(id: &TaskId, found: &Result<Found, Error>) -> Value {
    let mut entry = json!({ "id": id, "name": id.name(), "plugin": id.plugin(), "state": state(found) });
    match found {
        Err(error) => entry["why"] = json!(error.to_string()),
        Ok(found) => {
            entry["created_unix_ms"] = json!(unix_ms(found.record.created));
            entry["command"] = command(found);
            if let State::Ended(end) = &found.state {
                entry["outcome"] = json!(end.outcome);
                entry["exit_code"] = json!(outcome::code(&end.outcome));
            }
        }
    }
    entry
}

/// The words of the command, as the record has them: those that are not UTF-8 in hexadecimal.
fn command(found: &Found) -> Value {
    serde_json::to_value(&found.record).map_or(Value::Null, |mut record| record["command"].take())
}

pub(crate) fn inspect(global: &Global, args: &OneTask) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let id = records.resolve(&args.id)?;
    let found = records.find(&id);
    let mut entry = entry(&id, &found);
    // What is known of a damaged task is that it is.
    let found = found?;
    if let (Value::Object(to), Ok(Value::Object(record))) = (&mut entry, serde_json::to_value(&found.record)) {
        let more = ["spec", "resources", "applied", "supervisor", "groups"];
        to.extend(record.into_iter().filter(|(key, _)| more.contains(&key.as_str())));
    }
    // As the record has the paths: they need not be UTF-8.
    let path = |stream: &str| found.record.spec.pointer(&format!("/{stream}/file/path")).cloned();
    entry["logs"] = json!({ "stdout": path("stdout"), "stderr": path("stderr") });
    if let State::Ended(end) = &found.state {
        entry["usage"] = json!(end.usage);
    }
    match args.json {
        true => print::json(&json!({ "schema": 1, "task": entry }))?,
        false => print::text(&print::table(&facts(&entry)))?,
    }
    Ok(exit::SUCCESS)
}

/// One row for each thing that is known, lists and objects as JSON.
fn facts(entry: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| text.to_owned());
    let known = entry.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    known.map(|(key, value)| vec![key.clone(), text(value)]).collect()
}

pub(crate) fn stats(global: &Global, args: &OneTask) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let id = records.resolve(&args.id)?;
    let found = records.find(&id)?;
    let usage = match &found.state {
        State::Ended(end) => end.usage,
        _ => measured(global, &records, &id)?,
    };
    match args.json {
        true => print::json(&json!({ "schema": 1, "id": id, "state": state(&Ok(found)), "usage": usage }))?,
        false => print::text(&print::table(&facts(&json!(usage))))?,
    }
    Ok(exit::SUCCESS)
}

/// What a task uses that runs: only its plugin can tell.
fn measured(global: &Global, records: &Records, id: &TaskId) -> Result<Usage, Error> {
    let loader = resolve::loader(global)?;
    let refused = match loader.open(id)?.stats() {
        Ok(usage) => return Ok(usage),
        Err(error) => error,
    };
    if let State::Ended(end) = records.find(id)?.state {
        // It has ended meanwhile, and what it used in all is with its record.
        return Ok(end.usage);
    }
    let candidate = loader.report().iter().find(|candidate| candidate.name.as_ref() == Some(id.plugin()));
    let stats = candidate.and_then(Candidate::capabilities).map(|capabilities| capabilities.support(Feature::Stats));
    Err(match stats {
        Some(stats) if refused.task().is_some_and(|error| error.kind() == ErrorKind::Unsupported) => {
            let why = format!("the plugin {} cannot tell: {}", id.plugin(), stats.why);
            let error = TaskError::new(ErrorKind::Unsupported, format!("measure the task {id} while it runs"), why);
            error.with_fix("wait for its end, or run it with another plugin").into()
        }
        _ => refused,
    })
}
