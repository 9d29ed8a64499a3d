//! Hosts and supervisors under strace(1), which kills them at a system call, or makes a call fail.
//!
//! A supervisor is reached by way of a directory of plugins in which a script stands in its place: it runs the real one
//! under strace with the options in the file that has the task's id for a name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use executor_tests::{Need, prefix, say};
use libtest_mimic::{Completion, Failed, Trial};
use tempfile::TempDir;

use crate::expect::{truth, until};
use crate::host::{BEGIN, Host};
use crate::place::Place;

const SUPERVISOR: &str = "executor-fallback-supervisor";
/// The need's name in `EXECUTOR_TEST_REQUIRE`.
const NAME: &str = "strace";

/// A trial that needs strace(1) as well as an installation.
pub(crate) fn traced(name: &str, test: fn() -> Result<(), Failed>) -> Trial {
    let own_name = name.to_owned();
    Trial::ignorable_test(name, move || {
        let promised = std::env::var("EXECUTOR_TEST_REQUIRE").unwrap_or_default();
        let required = Need::Built.is_required() || promised.split(',').any(|need| need.trim() == NAME);
        if program().is_some() && Need::Built.is_met() {
            return test().map(|()| Completion::Completed);
        }
        let reason = format!("needs {}, {NAME}", Need::Built.name());
        if required {
            return Err(format!("{reason}: promised and missing").into());
        }
        say(&format!("skipped: {own_name}: {reason}"));
        Ok(Completion::ignored_with(reason))
    })
}

/// Where strace is, if it can trace here.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join(NAME)).find(|file| file.is_file())?;
    let mut attempt = Command::new(&found);
    attempt.args(["-qq", "-o", "/dev/null", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
    attempt.status().is_ok_and(|status| status.success()).then_some(found)
}

/// Who is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Host,
    /// With the task that it forks, up to the program.
    Supervisor,
}

/// The plugins with a script in the supervisor's place.
pub(crate) struct Stage {
    dir: TempDir,
    strace: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Result<Self, Failed> {
        let dir = tempfile::Builder::new().prefix("executor-test-").tempdir()?;
        let strace = program().ok_or("there is no strace")?;
        let installed = prefix().join("lib/executor/1");
        for name in ["libexecutor_fallback.so", "executor-probe"] {
            fs::copy(installed.join(name), dir.path().join(name))?;
        }
        let (options, real) = (dir.path().display(), installed.join(SUPERVISOR));
        let (real, tool) = (real.display(), strace.display());
        // The tracer is no parent of the traced (-D): the supervisor stays the host's child.
        let script = format!(
            "#!/bin/sh\nif [ -e '{options}/'\"$1\" ]; then read -r options <'{options}/'\"$1\"\n\
             exec '{tool}' -D -f -qq $options '{real}' \"$@\"; fi\nexec '{real}' \"$@\"\n"
        );
        let file = dir.path().join(SUPERVISOR);
        fs::write(&file, script)?;
        fs::set_permissions(&file, Permissions::from_mode(0o755))?;
        Ok(Self { dir, strace })
    }

    pub(crate) fn place(&self) -> Result<Place, Failed> {
        Place::with_plugins(self.dir.path())
    }

    /// What traces a host, with these options.
    pub(crate) fn host_prefix(&self, options: &str) -> Vec<OsString> {
        let words = ["-qq"].into_iter().chain(options.split(' ')).map(OsString::from);
        [self.strace.clone().into_os_string()].into_iter().chain(words).collect()
    }

    /// Has the supervisor of the task `which` traced with these options.
    pub(crate) fn trace_supervisor(&self, place: &Place, which: &str, options: &str) -> Result<(), Failed> {
        Ok(fs::write(self.dir.path().join(place.id(which).to_string()), format!("{options}\n"))?)
    }

    /// Every system call of a start: whose, its name, and the how-manieth it is of its name.
    pub(crate) fn calls(&self) -> Result<Vec<(Who, String, usize)>, Failed> {
        let place = self.place()?;
        let (host_log, supervisor_log) = (place.work("host"), place.work("supervisor"));
        let to = |log: &Path| format!("-b execve -o {}", log.display());
        self.trace_supervisor(&place, "calls", &to(&supervisor_log))?;
        let mut host = Host::under(&place, &self.host_prefix(&to(&host_log)))?;
        host.start("calls", "exec sleep 1000")?;
        place.open("calls")?.kill()?;
        host.rest()?;
        until("the supervisor is gone", || place.processes("calls").is_empty().then_some(()))?;
        let mut calls = Vec::new();
        for (who, log, begin, end) in
            [(Who::Host, host_log, BEGIN, "\"started "), (Who::Supervisor, supervisor_log, "execve(", "Started")]
        {
            let text = fs::read_to_string(log)?;
            let found = between(&text, begin, end).map(|(name, nth)| (who, name, nth));
            let before = calls.len();
            calls.extend(found);
            truth(calls.len() > before + 10, || format!("the trace of the {who:?} is cut short: {text}"))?;
        }
        place.clean()?;
        Ok(calls)
    }
}

/// The calls in a trace from the line with `begin` to that with `end`, by name and number; the number counts from the
/// process's beginning, and a call that several processes make so often is told once.
fn between(text: &str, begin: &str, end: &str) -> impl Iterator<Item = (String, usize)> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut found = Vec::new();
    let mut begun = false;
    for line in text.lines() {
        begun |= line.contains(begin);
        let (pid, call) = match line.split_once(' ') {
            Some((pid, call)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => (pid, call.trim_start()),
            _ => ("", line),
        };
        let name = call.split_once('(').map_or("", |(name, _)| name);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry((pid.to_owned(), name.to_owned())).or_default();
        *count += 1;
        let point = (name.to_owned(), *count);
        if begun && !found.contains(&point) {
            found.push(point);
        }
        if line.contains(end) {
            break;
        }
    }
    found.into_iter()
}
