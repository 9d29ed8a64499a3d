//! A place of its own for each trial, the installed command in it, and what is expected of a command that has ended.
//!
//! Nothing of this process's environment reaches the command, no state directory is shared, and no command is waited for
//! without an end: one that hangs is killed and told.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use executor_tests::prefix;
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A command that has not ended by then hangs. Generous, for a machine that builds meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Failed sub-cases that are told one by one.
const SHOWN: usize = 12;
/// Sub-cases that run at once.
const CROWD: usize = 4;

/// A directory with the records, the settings and the files of one trial; its tasks end with it.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Result<Self, Failed> {
        let place = Self { dir: tempfile::tempdir()? };
        // The tasks of root run as nobody, and some look in here.
        fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o755))?;
        let settings = place.file("settings.toml", "")?;
        fs::set_permissions(settings, fs::Permissions::from_mode(0o600))?;
        Ok(place)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf, Failed> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A directory that tasks can write to, whoever they run as.
    pub(crate) fn shared(&self) -> Result<PathBuf, Failed> {
        let dir = self.path("shared");
        fs::create_dir_all(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
        Ok(dir)
    }

    /// The installed command with these words.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        self.surround(Command::new(program()), words)
    }

    /// `before` with these words in this place.
    pub(crate) fn surround<W: AsRef<OsStr>>(&self, mut before: Command, words: &[W]) -> Command {
        before.args(words).env_clear().current_dir(self.dir.path());
        before.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        before.env("HOME", self.path("home")).env("EXECUTOR_CONFIG", self.path("settings.toml"));
        before.env("EXECUTOR_STATE_DIR", self.state());
        before
    }

    /// What comes of these words.
    pub(crate) fn executor<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Output, Failed> {
        outcome(&mut self.command(words))
    }

    /// What comes of a line: words with spaces between them.
    pub(crate) fn line(&self, line: &str) -> Result<Output, Failed> {
        self.executor(&line.split(' ').collect::<Vec<_>>())
    }

    /// `executor run -q OPTIONS -- sh -c SCRIPT`.
    pub(crate) fn run(&self, options: &[&str], script: &str) -> Result<Output, Failed> {
        self.executor(&[&["run", "-q"], options, &["--", "sh", "-c", script]].concat())
    }

    /// Starts `sh -c SCRIPT` as the task `name`.
    pub(crate) fn start(&self, name: &str, script: &str) -> Result<(), Failed> {
        self.start_with(name, &[], script)
    }

    pub(crate) fn start_with(&self, name: &str, options: &[&str], script: &str) -> Result<(), Failed> {
        let words = [&["start", "-q", "--name", name], options, &["--", "sh", "-c", script]].concat();
        let output = self.executor(&words)?;
        ended(&output, 0, &[])?;
        same("what start prints", text(&output.stdout), format!("fallback.{name}\n"))
    }

    /// The document that these words print; they succeed.
    pub(crate) fn json(&self, line: &str) -> Result<Value, Failed> {
        let output = self.line(line)?;
        ended(&output, 0, &[])?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Kills what still runs. Only a safety net: the trial has had its say, and there may be no records at all.
    pub(crate) fn end_tasks(&self) {
        let running = self.states().unwrap_or_default().into_iter().filter(|(_, state)| state == "running");
        let ids: Vec<String> = running.map(|(name, _)| format!("fallback.{name}")).collect();
        if !ids.is_empty() {
            _ = self.executor(&[vec!["kill".to_owned()], ids].concat());
        }
    }

    /// Each task and its state, as `ps` tells.
    pub(crate) fn states(&self) -> Result<Vec<(String, String)>, Failed> {
        let read = self.json("ps --json")?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tasks = read["tasks"].as_array().ok_or("no tasks in it")?;
        Ok(tasks.iter().map(|task| (word(&task["name"]), word(&task["state"]))).collect())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_tasks();
    }
}

/// The installed command.
pub(crate) fn program() -> PathBuf {
    prefix().join("bin/executor")
}

/// The same as a word for a shell.
pub(crate) fn quoted_program() -> String {
    format!("'{}'", program().display())
}

/// What comes of a command that reads nothing.
pub(crate) fn outcome(command: &mut Command) -> Result<Output, Failed> {
    end_of(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// Waits for a child's end; one that hangs is killed.
pub(crate) fn end_of(child: Child) -> Result<Output, Failed> {
    let pid = pid(&child)?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more to the end of one that was killed.
        _ = tell.send(child.wait_with_output());
    });
    let Ok(output) = told.recv_timeout(PATIENCE) else {
        // It is not reaped before its output has ended, so the number is still its own.
        kill(pid, Signal::SIGKILL)?;
        return Err(format!("it, or its output, had not ended after {PATIENCE:?}").into());
    };
    Ok(output?)
}

pub(crate) fn pid(child: &Child) -> Result<Pid, Failed> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails unless the command ended with `code`, with all of `words` on standard error and without a panic.
pub(crate) fn ended(output: &Output, code: i32, words: &[&str]) -> Result<(), Failed> {
    let complaint = text(&output.stderr);
    let missing = words.iter().find(|word| !complaint.contains(**word));
    match (output.status.code() == Some(code), missing) {
        (true, None) if !complaint.contains("panicked") => Ok(()),
        (_, missing) => Err(format!("{}, expected {code}; missing {missing:?} in: {complaint}", output.status).into()),
    }
}

/// The same, with nothing on either stream.
pub(crate) fn silent(output: &Output, code: i32) -> Result<(), Failed> {
    ended(output, code, &[])?;
    same("both streams", (text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("", ""))
}

/// Fails with both values unless they are equal.
pub(crate) fn same<T: PartialEq<U> + Debug, U: Debug>(what: &str, found: T, expected: U) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}").into()),
    }
}

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let begun = Instant::now();
    while !so()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: not so after {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Checks every row, some at once, and tells of those that fail.
pub(crate) fn each<T: Sync + Debug>(rows: &[T], check: impl Fn(&T) -> Result<(), Failed> + Sync) -> Result<(), Failed> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(failed) = check(row) {
                let shown: String = format!("{row:?}").chars().take(120).collect();
                let line = format!("{shown}: {}", failed.message().unwrap_or_default());
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        }
    };
    thread::scope(|scope| (0..CROWD).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failures.len() {
        0 => Ok(()),
        many => Err(format!("{many} fail\n{}", failures[..many.min(SHOWN)].join("\n")).into()),
    }
}
