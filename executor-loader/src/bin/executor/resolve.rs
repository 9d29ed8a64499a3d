//! From words to what the library takes: units, environment, directories.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use executor_loader::executor_api::Error as TaskError;
use executor_loader::{Command, Error, Loader, LoaderBuilder, Stdio};

use super::args::{Global, Run};
use super::report;

/// The plugins of this host, as the options say.
pub(crate) fn loader(global: &Global) -> Result<Loader, Error> {
    builder(global).build()
}

/// The same, with every plugin asked anew: for whoever looks at them.
pub(crate) fn fresh_loader(global: &Global) -> Result<Loader, Error> {
    builder(global).fresh().build()
}

fn builder(global: &Global) -> LoaderBuilder {
    let mut builder = Loader::builder();
    for dir in &global.plugin_path {
        builder = builder.dir(dir);
    }
    if let Some(file) = &global.lock_file {
        builder = builder.lock_file(file);
    }
    if let Some(dir) = &global.state_dir {
        builder = builder.state_dir(dir);
    }
    for file in &global.public_key {
        builder = builder.public_key(file);
    }
    if global.verbose {
        builder = builder.log(|level, line| report::say(&format!("{level:?}: {line}").to_lowercase()));
    }
    builder
}

/// The command of `run`, with this process's streams.
pub(crate) fn command(run: &Run) -> Result<Command, Error> {
    let (program, args) =
        run.command.split_first().ok_or_else(|| TaskError::invalid("run a command", "none is given"))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    for word in &run.env {
        let (name, value) = variable(word)?;
        command.env(name, value);
    }
    let resources = command.resources_mut();
    (resources.wall_time, resources.memory) = (run.timeout, run.memory);
    (resources.cpus, resources.pids) = (run.cpus, run.pids);
    command.spec_mut().cwd.clone_from(&run.workdir);
    command.spec_mut().identity.user.clone_from(&run.user);
    if let Some(name) = &run.name {
        command.name(name.clone());
    }
    if let Some(plugin) = &run.plugin {
        command.plugin(plugin.clone());
    }
    if run.best_effort {
        command.best_effort();
    }
    if run.require_isolation {
        command.require_isolation();
    }
    Ok(command)
}

/// `NAME=VALUE`, or `NAME` for the value that it has here.
fn variable(word: &OsStr) -> Result<(OsString, OsString), Error> {
    let bytes = word.as_bytes();
    let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
        let missing = || {
            TaskError::invalid(format!("set the environment variable {word:?}"), "it is not set here either")
                .with_fix("write NAME=VALUE")
        };
        return Ok((word.to_owned(), std::env::var_os(word).ok_or_else(missing)?));
    };
    let [name, value] = [&bytes[..at], &bytes[at + 1..]].map(|part| OsString::from_vec(part.to_owned()));
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_split_at_the_first_equals_sign() {
        let read = |word: &str| variable(OsStr::new(word)).map_err(|error| error.to_string());
        assert_eq!(read("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(read("A="), Ok(("A".into(), OsString::new())));
        assert!(read("EXECUTOR_SURELY_NOT_SET").is_err_and(|error| error.contains("EXECUTOR_SURELY_NOT_SET")));
    }
}
