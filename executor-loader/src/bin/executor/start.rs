//! `executor start`: a task in the background; its id is all that is printed.

use executor_loader::Error;
use executor_loader::executor_api::Error as TaskError;
use serde_json::json;

use super::args::{Global, Start};
use super::begin::begin;
use super::config::Config;
use super::report::{self, exit};
use super::resolve::{self, Ground};
use super::{plan, print};

pub(crate) fn start(global: &Global, config: &Config, args: &Start) -> Result<u8, Error> {
    let mut command = resolve::command(&args.options, config, Ground::Back)?;
    if command.spec().die_with_host {
        let why = "`executor start` ends at once, and the task would with it";
        return Err(TaskError::invalid("let the task die with its host", why).with_fix("use `executor run`").into());
    }
    let loader = resolve::loader(global)?;
    if args.options.behaviour.dry_run {
        plan::print(&command, &loader, args.json)?;
        return Ok(exit::SUCCESS);
    }
    let (task, got) = begin(global, &args.options, &mut command, &loader)?;
    let id = task.id();
    let told = match args.json {
        true => format!("{:#}\n", got.written_into(json!({ "schema": 1, "id": id, "plugin": id.plugin() }))),
        false => format!("{id}\n"),
    };
    match print::bytes(told.as_bytes(), &mut std::io::stdout()) {
        Ok(true) => Ok(exit::SUCCESS),
        // Nobody knows the id now: the task must not run on unseen.
        untold => {
            report::say(&format!("the task {id} is killed again: its id cannot be told"));
            task.kill()?;
            task.wait()?;
            untold.map(|_| exit::EXECUTOR_FAILED)
        }
    }
}
