//! `run`: builds quietly, then becomes the installed `executor run`, so the exit code is the task's.
//!
//! Every word after `run` goes on verbatim, `--` included; only a first word `--release` is for this program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::build::{Progress, build};
use crate::cargo::Workspace;
use crate::error::{Doing, Result};
use crate::flags::Profile;

/// The profile and the words for `executor run`, if this is a `run`. Its help comes from `executor` as well.
pub(crate) fn words_after_run(words: &[OsString]) -> Option<(Profile, &[OsString])> {
    let [_, verb, args @ ..] = words else { return None };
    match args {
        _ if verb != "run" => None,
        [first, rest @ ..] if first == "--release" => Some((Profile::Release, rest)),
        _ => Some((Profile::Dev, args)),
    }
}

/// Builds, then becomes `executor run args`. Returns only when that did not work.
pub(crate) fn run(profile: Profile, args: &[OsString]) -> Result {
    let installed = build(&Workspace::find()?, profile, Progress::Quiet)?;
    let program = installed.executor();
    Err(Command::new(&program).arg("run").args(args).exec()).doing(format!("execute {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_words_of_the_command_are_never_touched() {
        let line = words("xtask run -m 64M -- sh --release -- x");
        assert_eq!(words_after_run(&line), Some((Profile::Dev, &line[2..])));
        let line = words("xtask run --release -- echo");
        assert_eq!(words_after_run(&line), Some((Profile::Release, &line[3..])));
        assert_eq!(words_after_run(&words("xtask test run")), None);
        assert_eq!(words_after_run(&words("xtask")), None);
    }
}
