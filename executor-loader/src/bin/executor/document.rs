//! Files that this command reads: a whole task for `--spec`, settings for `--config`.
//!
//! JSON where the name ends in `.json`, TOML where it ends in `.toml`, else whichever it can be read as. What is not known
//! is refused: a limit with a misspelt name must not be ignored.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use executor_loader::Error;
use executor_loader::executor_api::{
    Error as TaskError, ErrorKind, PluginName, Resources, TaskDir, TaskName, TaskSpec,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest file that is read.
const LARGEST: u64 = 4 << 20;
/// How long whoever is to write a file may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);

/// A whole task: what `--spec` reads.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Document {
    /// The task's name; random if not given.
    pub(crate) name: Option<TaskName>,
    /// The only plugin that may run it.
    pub(crate) plugin: Option<PluginName>,
    /// The command and its surroundings.
    pub(crate) spec: TaskSpec,
    /// Its limits.
    pub(crate) resources: Resources,
    /// Its own directory.
    pub(crate) task_dir: Option<TaskDir>,
}

/// A document with the streams that it names itself: what is absent has another default here than in the interface.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) document: Document,
    pub(crate) streams: Vec<&'static str>,
}

/// Reads the task in the file `path`.
pub(crate) fn task(path: &Path) -> Result<Given, Error> {
    const ACT: &str = "read the task in";
    let text = text(path, ACT)?;
    // Straight from the text: what is given twice is refused, and not dropped on the way.
    let document: Document = parse(path, ACT, &text)?;
    let value: Value = parse(path, ACT, &text)?;
    let named = |stream: &&str| value.get("spec").is_some_and(|spec| spec.get(stream).is_some());
    let streams = ["stdin", "stdout", "stderr"].into_iter().filter(named).collect();
    Ok(Given { document, streams })
}

/// Reads `text`, which stands in the file `path`, as a `T`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, act: &str, text: &str) -> Result<T, Error> {
    let json = || serde_json::from_str(text).map_err(|error| invalid(act, path, &error));
    let toml = || toml::from_str(text).map_err(|error| invalid(act, path, &error.message()));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(),
        Some("toml") => toml(),
        _ if text.trim_start().starts_with('{') => json(),
        _ => toml(),
    }
}

/// The text of the file `path`, whatever may lie there.
pub(crate) fn text(path: &Path, act: &str) -> Result<String, Error> {
    // A FIFO that nobody writes to must not hold this command up.
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    content(opened.map_err(|error| unread(act, path, &error))?, path, act)
}

/// The whole of `file`, which was opened by `path` without waiting.
pub(crate) fn content(file: File, path: &Path, act: &str) -> Result<String, Error> {
    let failed = |error: io::Error| unread(act, path, &error);
    let is_file = file.metadata().map_err(failed)?.is_file();
    if !is_file {
        // Somebody is to write to it: a shell's <(…), a pipe. Nobody at all would look like an empty file.
        let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, patience).map_err(|errno| failed(errno.into()))? == 0 {
            return Err(invalid(act, path, &format!("nobody has written to it for {} s", PATIENCE.as_secs())));
        }
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).map_err(|errno| failed(errno.into()))?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map_err(|errno| failed(errno.into()))?;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(invalid(act, path, &format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    if bytes.is_empty() && !is_file {
        return Err(invalid(act, path, &"whoever had it open wrote nothing"));
    }
    String::from_utf8(bytes).map_err(|_| invalid(act, path, &"it is not UTF-8"))
}

fn unread(act: &str, path: &Path, error: &io::Error) -> Error {
    // Not found is what is told of programs.
    TaskError::from_io(format!("{act} {}", path.display()), error).with_kind(ErrorKind::InvalidSpec).into()
}

fn invalid(act: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    TaskError::invalid(format!("{act} {}", path.display()), why.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(extension: &str, text: &str) -> Result<Given, String> {
        let file = tempfile::Builder::new().suffix(extension).tempfile().expect("a file");
        std::fs::write(file.path(), text).expect("write");
        task(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_is_the_same_in_json_and_in_toml() {
        let json = r#"{"name":"a","spec":{"program":"make","args":["-j4"],"stdin":"null"},"resources":{"pids":8}}"#;
        let toml = "name = 'a'\n[spec]\nprogram = 'make'\nargs = ['-j4']\nstdin = 'null'\n[resources]\npids = 8\n";
        for (extension, text) in [(".json", json), ("", json), (".toml", toml), ("", toml)] {
            let read = read_as(extension, text).expect(text);
            assert_eq!(read.streams, ["stdin"]);
            assert_eq!(read.document.spec.args, ["-j4"]);
            assert_eq!(read.document.resources.pids.map(|pids| pids.get()), Some(8));
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for text in [
            r#"{"resource":{}}"#,
            r#"{"spec":{"program":"a","sandbox":1}}"#,
            "[resources]\nmemory = 5\n",
            r#"{"resources":{"memory_byte":1}}"#,
        ] {
            let error = read_as("", text).expect_err(text);
            assert!(error.contains("unknown field"), "{error}");
        }
        for text in [
            r#"{"resources":{"pids":8},"resources":{}}"#,
            r#"{"resources":{"pids":8,"pids":9}}"#,
            r#"{"spec":{"program":"a","env":{"A":"1","A":"2"}}}"#,
            "[resources]\npids = 1\npids = 2\n",
        ] {
            let error = read_as("", text).expect_err(text);
            assert!(error.contains("duplicate") || error.contains("twice"), "{error}");
        }
        assert!(read_as(".json", "{").is_err() && read_as(".toml", "= 1").is_err() && read_as("", "\u{0}").is_err());
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        assert!(task(Path::new("/")).is_err() && task(Path::new("/surely/not")).is_err());
        let endless = task(Path::new("/dev/zero")).expect_err("endless").to_string();
        assert!(endless.contains("larger than 4 MiB"), "{endless}");
    }
}
