//! `executor gc`: removes the records of ended tasks, what they printed, and what killed starts left.

use executor_loader::executor_api::TaskId;
use executor_loader::{Error, Records};
use serde_json::json;

use super::args::{Gc, Global};
use super::report::{self, exit};
use super::{print, resolve};

pub(crate) fn gc(global: &Global, args: &Gc) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let (code, ids, running) = if args.ids.is_empty() { all(global, &records)? } else { named(global, &records, args) };
    match args.json {
        true => print::json(&json!({ "schema": 1, "collected": ids, "running": running }))?,
        false => print::text(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())?,
    }
    Ok(code)
}

fn all(global: &Global, records: &Records) -> Result<(u8, Vec<TaskId>, Vec<TaskId>), Error> {
    let collected = records.collect_ended()?;
    let code = if collected.is_complete() { exit::SUCCESS } else { exit::FAILED };
    for error in collected.left {
        report::error(&error.into(), global.verbose);
    }
    Ok((code, collected.ids, collected.running))
}

fn named(global: &Global, records: &Records, args: &Gc) -> (u8, Vec<TaskId>, Vec<TaskId>) {
    let (mut code, mut ids) = (exit::SUCCESS, Vec::new());
    for word in &args.ids {
        match records.resolve(word).and_then(|id| records.collect(&id).map(|()| id)) {
            Ok(id) => ids.push(id),
            Err(error) => {
                report::error(&error, global.verbose);
                code = report::worse(code, report::look_failure(&error, exit::FAILED));
            }
        }
    }
    (code, ids, Vec::new())
}
