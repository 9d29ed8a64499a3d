//! What a task directory is here: a working directory and three variables of the environment, and nothing else.
//!
//! As in the seed's executor for any Unix, the task sees the directories where the host has them, so the variables hold
//! the host's paths. What the spec itself says wins over all of this.

use std::io;
use std::path::Path;

use executor_api::{Error, ErrorKind, Result, TaskDir, TaskSpec};
use nix::errno::Errno;

/// Refuses a directory that no task can be told about: its directories must be there, its names must be names.
pub(crate) fn check(dir: &TaskDir) -> Result<()> {
    for path in [Some(&dir.root), dir.alloc.as_ref()].into_iter().flatten() {
        is_directory(path)?;
    }
    for name in [&dir.env.alloc, &dir.env.task, &dir.env.secrets] {
        if name.contains(['=', '\0']) {
            let why = "the name of a variable holds neither = nor a NUL byte";
            return Err(Error::invalid(format!("tell the task its directory in {name:?}"), why));
        }
    }
    Ok(())
}

fn is_directory(path: &Path) -> Result<()> {
    let what = || format!("give the task the directory {}", path.display());
    if !path.is_absolute() {
        return Err(Error::invalid(what(), "the path is not absolute"));
    }
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::invalid(what(), "it is not a directory").with_errno(Errno::ENOTDIR as i32)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::from_io(what(), &source).with_kind(ErrorKind::InvalidSpec).with_fix("make it first"))
        }
        Err(source) => Err(Error::from_io(what(), &source)),
    }
}

/// `spec` for a task in `dir`: in its `local` if there is one, and told by the environment where everything is.
pub(crate) fn inside(mut spec: TaskSpec, dir: &TaskDir) -> TaskSpec {
    let local = dir.root.join("local");
    let names = [
        (&dir.env.alloc, dir.alloc.clone()),
        (&dir.env.task, Some(local.clone())),
        (&dir.env.secrets, Some(dir.root.join("secrets"))),
    ];
    for (name, path) in names {
        if let Some(path) = path.filter(|_| !name.is_empty()) {
            spec.env.entry(name.into()).or_insert_with(|| path.into());
        }
    }
    let directory = if local.is_dir() { local } else { dir.root.clone() };
    spec.cwd.get_or_insert(directory);
    spec
}
