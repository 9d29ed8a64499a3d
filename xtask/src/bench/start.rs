//! `bench start`: what a start of the command costs beside one of a tiny program, and where the time goes.
//!
//! Everything runs once in each round, in an order that moves on, so that whatever else the machine does meets all
//! alike; figures are medians and their ratios in one run. Parts are differences between commands that exist, and what
//! the example `timing` says from within a host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::duration;
use super::measure::{Cost, adopt_orphans, measure, percentile};
use crate::build::{Progress, build};
use crate::cargo::{Workspace, artefacts};
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;

const ROUNDS: usize = 200;
const TINY_SOURCE: &str = "int main(void) { return 0; }\n";

const TRUE: &str = "true";
const TINY: &str = "static, does nothing";
const VERSION: &str = "executor --version";
const FIND: &str = "executor run, no plugin";
const RUN: &str = "executor run true";
const RUN_AGED: &str = "  answers 10 s old";
const RUN_UNCACHED: &str = "  no answers cached";
const HOST: &str = "host that runs two tasks";
/// The steps that the host tells, and what they are.
const STEPS: [(&str, &str); 9] = [
    ("find", "find plugins, answers cached"),
    ("load", "load the plugin, check its layout"),
    ("start", "start: supervisor, record, task"),
    ("wait", "wait for its end"),
    ("collect", "remove its record"),
    ("next_start", "next start in the same host"),
    ("next_wait", "wait for its end"),
    ("next_collect", "remove its record"),
    ("record", "a record alone, made and ended"),
];

/// What a run finds in the cache of the plugins' answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Kept,
    /// Those that are believed for a while only are too old.
    Aged,
    None,
}

impl Answers {
    /// Brings the state directory into this state.
    fn prepare(self, state: &Path) -> Result {
        let cache = state.join("cache");
        match self {
            Self::Kept => Ok(()),
            Self::Aged => age(&cache.join("plugins.json")),
            Self::None => fs::remove_dir_all(&cache).doing(format!("remove {}", cache.display())),
        }
    }
}

/// Makes every answer one of long ago: those of plugins that cannot be used are then asked for again.
fn age(cache: &Path) -> Result {
    let text = fs::read_to_string(cache).doing(format!("read {}", cache.display()))?;
    let mut content: Value = serde_json::from_str(&text).doing(format!("read {}", cache.display()))?;
    let answers = content["answers"].as_array_mut().doing(format!("{} holds no answers", cache.display()))?;
    answers.iter_mut().for_each(|answer| answer["asked"] = 0.into());
    fs::write(cache, content.to_string()).doing(format!("write {}", cache.display()))
}

/// A program that is measured.
#[derive(Debug)]
struct Subject {
    name: &'static str,
    program: PathBuf,
    args: &'static [&'static str],
    answers: Answers,
    expected: i32,
    costs: Vec<Cost>,
}

impl Subject {
    fn new(name: &'static str, program: impl Into<PathBuf>, args: &'static [&'static str]) -> Self {
        let program = program.into();
        Self { name, program, args, answers: Answers::Kept, expected: 0, costs: Vec::new() }
    }

    /// Runs it once and answers with what it said on standard error, and what that cost.
    fn run(&self, plugins: &Path, state: &Path) -> Result<(String, Cost)> {
        let mut command = Command::new(&self.program);
        command.args(self.args).env_clear().stdin(Stdio::null());
        command.env("EXECUTOR_STATE_DIR", state).env("EXECUTOR_PLUGIN_PATH", plugins);
        let (output, cost) = measure(&mut command)?;
        Ok((self.said(&output)?, cost))
    }

    fn said(&self, output: &Output) -> Result<String> {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(self.expected) {
            return Ok(said);
        }
        Err(Error::new(format!("{}: {}: {}", self.name.trim(), output.status, said.trim_end())))
    }

    /// The time by the clock, or the processor time, that this share of the runs stayed within.
    fn wall(&self, percent: usize) -> Duration {
        self.percentile(percent, |cost| cost.wall)
    }

    fn cpu(&self, percent: usize) -> Duration {
        self.percentile(percent, |cost| cost.cpu)
    }

    fn percentile(&self, percent: usize, of: impl Fn(&Cost) -> Duration) -> Duration {
        let mut sorted: Vec<Duration> = self.costs.iter().map(of).collect();
        sorted.sort_unstable();
        percentile(&sorted, percent)
    }

    /// Its line in the table; `one` is what ratios are of.
    fn row(&self, one: &Self) -> String {
        let [low, median, high] = [10, 50, 95].map(|percent| shown(self.wall(percent)));
        let wall = self.wall(50).as_secs_f64() / one.wall(50).as_secs_f64();
        let cpu = self.cpu(50).as_secs_f64() / one.cpu(50).as_secs_f64();
        let spent = shown(self.cpu(50));
        format!("{:<26} {low:>10} {median:>10} {high:>10} {wall:>7.2} {spent:>10} {cpu:>7.2}", self.name)
    }
}

/// What a host says of its steps, name by name.
type Steps = BTreeMap<String, Vec<Duration>>;

pub(super) fn start() -> Result {
    let workspace = Workspace::find()?;
    let installed = build(&workspace, Profile::Release, Progress::Shown)?;
    let host = host(&workspace)?;
    let temporary = tempfile::tempdir().doing("make a directory to measure in")?;
    let mut subjects = subjects(&installed.executor(), host, tiny(&temporary)?);
    adopt_orphans()?;
    let state = |answers: Answers| temporary.path().join(format!("{answers:?}"));
    for subject in &subjects {
        // Not counted: fills the caches of the kernel and of the loader.
        subject.run(&installed.plugins, &state(subject.answers))?;
    }
    let mut steps = Steps::new();
    for round in 0..ROUNDS {
        let count = subjects.len();
        for at in 0..count {
            let subject = &mut subjects[(round + at) % count];
            let state = state(subject.answers);
            subject.answers.prepare(&state)?;
            let (said, cost) = subject.run(&installed.plugins, &state)?;
            subject.costs.push(cost);
            if subject.name == HOST {
                said.lines().filter_map(step).for_each(|(name, time)| steps.entry(name).or_default().push(time));
            }
        }
    }
    print(&subjects, steps)
}

/// What is measured; the first one is 1.
fn subjects(executor: &Path, host: PathBuf, tiny: Option<PathBuf>) -> Vec<Subject> {
    let run: &[&str] = &["run", "-q", "--", "true"];
    let command = |name, args| Subject::new(name, executor, args);
    let find = command(FIND, &["run", "-q", "--plugin", "none", "--", "true"]);
    let there = ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists());
    let mut subjects: Vec<Subject> = there.map(|path| Subject::new(TRUE, path, &[])).into_iter().collect();
    subjects.extend(tiny.map(|program| Subject::new(TINY, program, &[])));
    subjects.extend([
        command(VERSION, &["--version"]),
        // 125: the executor itself failed, having looked for plugins.
        Subject { expected: 125, ..find },
        command(RUN, run),
        Subject { answers: Answers::Aged, ..command(RUN_AGED, run) },
        Subject { answers: Answers::None, ..command(RUN_UNCACHED, run) },
        Subject::new(HOST, host, &[]),
    ]);
    subjects
}

/// The example that tells the steps of a start, built as a host would be.
fn host(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package=executor-loader", "--example=timing"]);
    let built = artefacts(&mut cargo)?;
    built.into_iter().find(|file| file.ends_with("examples/timing")).doing("cargo built no example timing")
}

/// A static program that does nothing, where there is a C compiler that can make one.
fn tiny(dir: &TempDir) -> Result<Option<PathBuf>> {
    let [source, program] = ["tiny.c", "tiny"].map(|name| dir.path().join(name));
    fs::write(&source, TINY_SOURCE).doing("write a program that does nothing")?;
    let made = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).output();
    let made = made.is_ok_and(|made| made.status.success());
    if !made {
        println!("left out: {TINY}: cc makes no static programs here");
    }
    Ok(made.then_some(program))
}

/// One line of what the host says: `find  449 us`.
fn step(line: &str) -> Option<(String, Duration)> {
    let [name, time, "us"] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
    Some((name.to_owned(), Duration::from_micros(time.parse().ok()?)))
}

fn print(subjects: &[Subject], mut steps: Steps) -> Result {
    let median = |name: &str| subjects.iter().find(|subject| subject.name == name).map(|subject| subject.wall(50));
    let one = subjects.first().doing("there is nothing to measure")?;
    println!("\n{ROUNDS} rounds, interleaved; ratios of medians; user+sys is that of all processes together");
    let [low, high, ratio, cpu] = ["p10", "p95", "ratio", "user+sys"];
    println!("{:<26} {low:>10} {:>10} {high:>10} {ratio:>7} {cpu:>10} {ratio:>7}", "", "median");
    subjects.iter().for_each(|subject| println!("{}", subject.row(one)));
    if one.wall(95) > 2 * one.wall(50) {
        println!("the machine is busy: who needs several processes waits for a processor as often; go by user+sys");
    }

    println!("\nwhere the time of `executor run` goes");
    let above = |name, base| Some(duration_between(median(base)?, median(name)?));
    for (part, between) in [
        ("the command: link, read words", above(VERSION, if median(TINY).is_some() { TINY } else { TRUE })),
        ("find plugins, answers cached", above(FIND, VERSION)),
        ("ask again those not usable", above(RUN_AGED, RUN)),
        ("ask every plugin", above(RUN_UNCACHED, RUN)),
        ("all the rest: load, start, end", above(RUN, FIND)),
    ] {
        println!("{part:<36} {:>10}", between.unwrap_or_default());
    }
    println!("\nthe same from within a host, step by step");
    for (step, what) in STEPS {
        let times = steps.get_mut(step).doing(format!("the host does not tell how long it takes to {step}"))?;
        times.sort_unstable();
        println!("{what:<36} {:>10}", shown(percentile(times, 50)));
    }
    Ok(())
}

fn duration_between(from: Duration, to: Duration) -> String {
    duration((to.as_secs_f64() - from.as_secs_f64()) * 1e9)
}

fn shown(time: Duration) -> String {
    duration(time.as_secs_f64() * 1e9)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_hosts_steps_are_read_and_other_lines_are_not() {
        assert_eq!(step("next_start       1562 us"), Some(("next_start".to_owned(), Duration::from_micros(1562))));
        assert_eq!(step("executor: not enforced: files"), None);
        assert_eq!(step("find soon us"), None);
    }

    #[test]
    fn aged_answers_are_kept_but_for_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("plugins.json");
        fs::write(&cache, r#"{"answers":[{"asked":5,"score":1}],"situation":"s"}"#).unwrap();
        age(&cache).unwrap();
        assert_eq!(fs::read_to_string(&cache).unwrap(), r#"{"answers":[{"asked":0,"score":1}],"situation":"s"}"#);
        fs::write(&cache, "{}").unwrap();
        assert!(age(&cache).unwrap_err().to_string().ends_with("holds no answers"));
    }

    #[test]
    fn a_program_that_ends_otherwise_than_expected_is_an_error_with_its_words() {
        let subject = Subject::new(VERSION, "executor", &["--version"]);
        let ended = |code: i32| Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            stderr: b"no such thing\n".to_vec(),
        };
        let error = subject.said(&ended(3)).unwrap_err().to_string();
        assert_eq!(error, "executor --version: exit status: 3: no such thing");
        assert_eq!(subject.said(&ended(0)).unwrap(), "no such thing\n");
    }
}
