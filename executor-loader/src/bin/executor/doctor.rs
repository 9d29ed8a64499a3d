//! `executor doctor`: what works on this host, what does not, and how to mend it; then real tasks, to see.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use executor_loader::executor_api::{Cause, Demands, Ended, Feature, Level, PluginName, TaskSpec};
use executor_loader::{Candidate, Command, Error, Loader, Records, Status, Stdio};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use serde_json::json;

use super::args::{Global, Listing};
use super::report::{self, exit};
use super::{print, resolve};

/// A task of a self-test that takes longer does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Problem,
}

impl Finding {
    fn new(state: State, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state, what: what.into(), fix: fix.into() }
    }

    fn ok(what: impl Into<String>) -> Self {
        Self::new(State::Ok, what, "")
    }

    fn error(what: &str, error: &Error) -> Self {
        let why = [what.to_owned(), error.to_string(), report::causes(error)];
        let why: Vec<String> = why.into_iter().filter(|part| !part.is_empty()).collect();
        Self::new(State::Problem, why.join(": "), error.fix().unwrap_or_default())
    }
}

pub(crate) fn doctor(global: &Global, args: &Listing) -> Result<u8, Error> {
    let findings = look(global);
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (problems, warnings) = (count(State::Problem), count(State::Warning));
    if args.json {
        print::json(&json!({ "schema": 1, "problems": problems, "warnings": warnings, "findings": findings }))?;
    } else {
        let lines: String = findings.iter().map(line).collect();
        print::text(&format!("{lines}{}, {}\n", counted(problems, "problem"), counted(warnings, "warning")))?;
    }
    Ok(if problems == 0 { exit::SUCCESS } else { exit::PROBLEMS })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn line(finding: &Finding) -> String {
    let (word, color) = match finding.state {
        State::Ok => ("ok", AnsiColor::Green),
        State::Warning => ("warning", AnsiColor::Yellow),
        State::Problem => ("problem", AnsiColor::Red),
    };
    let style = Style::new().fg_color(Some(color.into()));
    let fix =
        if finding.fix.is_empty() { String::new() } else { format!("         fix: {}\n", print::plain(&finding.fix)) };
    format!("{style}{word:<8}{style:#} {}\n{fix}", print::plain(&finding.what))
}

fn look(global: &Global) -> Vec<Finding> {
    let mut findings = vec![system()];
    let records = resolve::records(global);
    findings.push(match &records {
        Ok(records) => Finding::ok(format!("records of tasks in {}", records.state_dir().display())),
        Err(error) => Finding::error("records of tasks", error),
    });
    let loader = match resolve::fresh_loader(global) {
        Ok(loader) => loader,
        Err(error) => {
            findings.push(Finding::error("plugins", &error));
            return findings;
        }
    };
    findings.extend(loader.report().iter().map(plugin));
    match loader.choose(&TaskSpec::new("true").demands(), None) {
        Err(error) => findings.push(Finding::error("a task without demands", &error)),
        Ok(choice) => {
            findings.push(default_isolation(&loader, &choice.plugin));
            if let Ok(records) = &records {
                findings.extend(self_tests(&loader, records, &choice.plugin));
            }
        }
    }
    findings
}

fn system() -> Finding {
    let user =
        if nix::unistd::geteuid().is_root() { "root".into() } else { format!("user {}", nix::unistd::geteuid()) };
    let kernel = nix::sys::utsname::uname();
    let kernel = kernel.map(|name| {
        let [system, release, machine] =
            [name.sysname(), name.release(), name.machine()].map(|part| part.to_string_lossy());
        format!("{system} {release} on {machine}")
    });
    Finding::ok(format!("{}, as {user}", kernel.unwrap_or_else(|_| std::env::consts::OS.to_owned())))
}

fn plugin(candidate: &Candidate) -> Finding {
    let what = candidate.to_string();
    match &candidate.status {
        Status::Usable(_) | Status::Shadowed { .. } => Finding::ok(what),
        // A plugin for another system, or one that misses something: others may do.
        Status::Unusable(capabilities) => Finding::new(State::Warning, what, &capabilities.fix),
        Status::Refused(refusal) => Finding::new(State::Problem, what, &refusal.fix),
        _ => Finding::new(State::Warning, what, ""),
    }
}

/// What a task that asks for nothing is not isolated from.
fn default_isolation(loader: &Loader, chosen: &PluginName) -> Finding {
    let candidate = loader.report().iter().find(|candidate| candidate.name.as_ref() == Some(chosen));
    let capabilities = candidate.and_then(Candidate::capabilities).cloned().unwrap_or_default();
    let demands: Demands = TaskSpec::new("true").demands();
    let lacking: Vec<Feature> = demands
        .iter()
        .map(|(feature, _)| feature)
        .filter(|feature| capabilities.support(*feature).level != Level::Hard)
        .collect();
    if lacking.is_empty() {
        return Finding::ok(format!("{chosen} enforces all of the default isolation"));
    }
    let names: Vec<&str> = lacking.iter().map(|feature| feature.name()).collect();
    let mut fixes: Vec<String> = lacking.iter().map(|feature| capabilities.support(*feature).fix).collect();
    fixes.retain(|fix| !fix.is_empty());
    fixes.dedup();
    let what = format!("{chosen} does not enforce all of the default isolation: {}", names.join(", "));
    Finding::new(State::Warning, what, fixes.join("; "))
}

type SelfTest = fn(&Loader, &PluginName) -> Result<Option<String>, Error>;

/// Tasks that are run to see that they end as they should; each says what went wrong.
const SELF_TESTS: [(&str, SelfTest); 3] = [
    ("a task's exit code comes through", exit_code),
    ("a time limit ends a task", time_limit),
    ("a stop reaches every process", tree),
];

fn self_tests(loader: &Loader, records: &Records, plugin: &PluginName) -> Vec<Finding> {
    let one = |(what, test): &(&str, SelfTest)| {
        let begun = Instant::now();
        match test(loader, plugin) {
            Ok(None) => Finding::ok(format!("{what} ({plugin}, {} ms)", begun.elapsed().as_millis())),
            Ok(Some(why)) => Finding::new(State::Problem, format!("{what} ({plugin}): {why}"), ""),
            Err(error) => Finding::error(&format!("{what} ({plugin})"), &error),
        }
    };
    let findings = SELF_TESTS.iter().map(one).collect();
    // What a broken self-test left; the tasks of others are theirs.
    for id in records.list().unwrap_or_default() {
        if id.name().as_str().starts_with(&prefix()) {
            _ = records.collect(&id);
        }
    }
    findings
}

/// What the names of this process's own tasks begin with.
fn prefix() -> String {
    format!("doctor-{}-", std::process::id())
}

/// A task of `plugin`, ended after a while whatever becomes of it.
fn shell(plugin: &PluginName, name: &str, script: &str) -> Result<Command, Error> {
    let mut command = Command::new("/bin/sh");
    let name = executor_loader::executor_api::TaskName::new(format!("{}{name}", prefix()))?;
    command.args(["-c", script]).plugin(plugin.clone()).name(name).timeout(PATIENCE);
    Ok(command)
}

fn exit_code(loader: &Loader, plugin: &PluginName) -> Result<Option<String>, Error> {
    let outcome = shell(plugin, "code", "exit 7")?.start(loader)?.wait()?;
    Ok((outcome.ended != Ended::Exited(7)).then(|| format!("`exit 7` {outcome}")))
}

fn time_limit(loader: &Loader, plugin: &PluginName) -> Result<Option<String>, Error> {
    let task = shell(plugin, "limit", "exec sleep 1000")?.timeout(Duration::from_millis(50)).start(loader)?;
    let outcome = task.wait_timeout(PATIENCE)?;
    if outcome.is_none() {
        task.kill()?;
    }
    let why = match outcome {
        Some(outcome) if outcome.cause == Cause::TimedOut => return Ok(None),
        Some(outcome) => outcome.to_string(),
        None => "it still ran after 5 s".into(),
    };
    Ok(Some(why))
}

/// Every process of the task holds its output open: that the pipe ends says that none is left.
fn tree(loader: &Loader, plugin: &PluginName) -> Result<Option<String>, Error> {
    let script = "(trap '' TERM HUP; sleep 1000) & (setsid sleep 1000 || sleep 1000) & echo ready; wait";
    let mut task = shell(plugin, "tree", script)?.stdout(Stdio::piped()).start(loader)?;
    let Some(mut output) = task.stdout.take() else { return Ok(Some("it has no output".into())) };
    let mut said = [0; 6];
    if output.read_exact(&mut said).is_err() {
        return Ok(Some(format!("it did not get ready: {}", task.wait()?)));
    }
    task.stop(Duration::ZERO)?;
    let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    let quiet = poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0);
    Ok((!quiet).then(|| "5 s after the stop some process of it was still there".into()))
}
