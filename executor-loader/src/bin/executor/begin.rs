//! The start of a task, the same in the foreground and in the background: what it needs is made, and what it lacks is said.

use executor_loader::executor_api::Applied;
use executor_loader::executor_api::task_dir::AllocDir;
use executor_loader::{Command, Error, Loader, Task, not_enforced_line};
use serde_json::{Value, json};

use super::args::Global;
use super::options::TaskOptions;
use super::{report, resolve};

/// What a task got of what it demanded; none where its plugin cannot tell.
pub(crate) struct Got(Option<Applied>);

impl Got {
    /// `document` with it: null where it is not known, which is not the same as nothing.
    pub(crate) fn written_into(&self, mut document: Value) -> Value {
        document["enforced"] = json!(self.0.as_ref().map(|applied| &applied.enforced));
        document["not_enforced"] = json!(self.0.as_ref().map(|applied| &applied.not_enforced));
        document
    }
}

impl From<Applied> for Got {
    fn from(applied: Applied) -> Self {
        Self(Some(applied))
    }
}

/// Starts `command`, which `options` describe.
pub(crate) fn begin(
    global: &Global,
    options: &TaskOptions,
    command: &mut Command,
    loader: &Loader,
) -> Result<(Task, Got), Error> {
    if let (Some(alloc), Some(name)) = (&options.files.alloc_dir, command.task_name().cloned()) {
        // Not before a plugin was found: what cannot run leaves nothing.
        command.choose(loader)?;
        command.task_dir(AllocDir::new(resolve::here(alloc)?).build(name.as_str())?);
    }
    let task = command.start(loader)?;
    let applied = task.applied();
    let line = match &applied {
        Ok(applied) => not_enforced_line(applied),
        Err(error) => Some(format!("what of it is enforced is not known: {error}")),
    };
    if let (false, Some(line)) = (global.quiet, line) {
        report::say(&format!("{line} ({})", task.id().plugin()));
    }
    Ok((task, Got(applied.ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_null_and_not_an_empty_list() {
        let document = Got(None).written_into(json!({ "schema": 1 }));
        assert_eq!(document, json!({ "schema": 1, "enforced": null, "not_enforced": null }));
        let document = Got::from(Applied::default()).written_into(json!({}));
        assert_eq!(document, json!({ "enforced": [], "not_enforced": [] }));
    }
}
