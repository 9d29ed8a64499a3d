//! Groups with real processes in them: what is asserted is the kernel's answer.
//!
//! A trial names the limits that it is about. Where this host cannot enforce one it is skipped, by name and with the
//! reason; where `EXECUTOR_TEST_REQUIRE` promises it, by `root` or by the limit's name, it fails. Groups are made below
//! our own group and nowhere else, with names that say whose they are; those of dead runs are removed first. Nothing
//! sleeps to be right: what takes time is polled for, up to a deadline.

mod inside;
mod kill;
mod life;
mod limits;
mod refusals;
mod shares;
mod sys;
mod update;

use std::fs;
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use executor_api::{Feature, Level, Resources};
use executor_linux::cgroup::{Controller, Failure, GroupName, Groups, Hierarchies, support};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "inside") {
        inside::run(&words[2..]);
        return ExitCode::SUCCESS;
    }
    sweep();
    let mut arguments = Arguments::from_args();
    // They measure shares of time.
    arguments.test_threads.get_or_insert(1);
    let trials =
        [limits::trials(), shares::trials(), refusals::trials(), kill::trials(), life::trials(), update::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A trial about `features`, which this host must enforce.
fn trial(name: &'static str, features: &'static [Feature], test: fn() -> Result<Completion, Failed>) -> Trial {
    Trial::ignorable_test(name, move || {
        let stated = support(host());
        let missing = features.iter().find_map(|feature| {
            let (_, found) = stated.iter().find(|(known, _)| known == feature)?;
            (found.level != Level::Hard).then(|| (feature.name(), found.why.clone()))
        });
        let Some((feature, why)) = missing else { return test() };
        let promised = std::env::var("EXECUTOR_TEST_REQUIRE").unwrap_or_default();
        let promises = |need: &str| promised.split(',').any(|name| name.trim() == need);
        if promises(feature) || (promises("root") && !geteuid().is_root()) {
            return Err(format!("{feature} was promised: {why}").into());
        }
        skip(name, &format!("needs {feature}: {why}"))
    })
}

/// What a trial that has nothing against it returns.
const HOLDS: Result<Completion, Failed> = Ok(Completion::Completed);

/// Says loudly that a trial proves nothing here.
#[expect(clippy::print_stdout, reason = "a suite is a program that reports on standard output")]
fn skip(name: &str, reason: &str) -> Result<Completion, Failed> {
    println!("skipped: {name}: {reason}");
    Ok(Completion::ignored_with(reason))
}

fn host() -> &'static Hierarchies {
    static HOST: LazyLock<Hierarchies> = LazyLock::new(|| Hierarchies::find().expect("/proc is mounted"));
    &HOST
}

fn resources(json: &str) -> Resources {
    let resources: Resources = serde_json::from_str(json).expect("well formed");
    resources.validate().expect("they fit each other");
    resources
}

/// A name that no other trial has.
fn name() -> GroupName {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    GroupName::new(&format!("executor-test-{}-{count}", std::process::id())).expect("a name")
}

/// Groups of one trial: what is in them is killed, and they are removed, however the trial ends.
struct Made(Option<Groups>);

impl Made {
    fn try_new(json: &str, also: &[Controller]) -> Result<Self, Failure> {
        Groups::make(host(), &name(), &resources(json), also).map(|groups| Self(Some(groups)))
    }

    fn new(json: &str) -> Self {
        Self::try_new(json, &[]).expect("they are made")
    }

    /// Ends it here, and sees that nothing is left.
    fn end(mut self) {
        let groups = self.0.take().expect("it is there");
        let paths = groups.paths();
        groups.kill(PATIENCE).expect("they can be killed");
        groups.remove(PATIENCE).expect("they can be removed");
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    }
}

impl std::ops::Deref for Made {
    type Target = Groups;
    fn deref(&self) -> &Groups {
        self.0.as_ref().expect("it is there")
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(groups) = self.0.take() {
            // The trial has failed already: its own message counts.
            _ = groups.kill(PATIENCE);
            _ = groups.remove(PATIENCE);
        }
    }
}

/// A child of this process that has put itself into groups.
struct Child {
    pid: Pid,
    output: PipeReader,
    status: Option<WaitStatus>,
}

impl Child {
    /// Starts this program's own `inside` with `words`, as a launcher would.
    fn enter(groups: &Groups, words: &[&str]) -> Self {
        let (output, pen) = std::io::pipe().expect("a pipe");
        let entry = groups.entry().expect("it can be entered");
        let pid = sys::spawn(&entry, words, &pen).expect("a child");
        Self { pid, output, status: None }
    }

    fn wait(&mut self) -> WaitStatus {
        *self.status.get_or_insert_with(|| waitpid(self.pid, None).expect("a child"))
    }

    /// All that it has to say, and how it ended.
    fn finish(mut self) -> (String, WaitStatus) {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("text");
        let status = self.wait();
        (text, status)
    }

    /// Waits for the next byte that it writes.
    fn await_sign(&mut self) {
        self.output.read_exact(&mut [0]).expect("it gives a sign");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            // It is a child that was not waited for: the number is still its own.
            kill(self.pid, Signal::SIGKILL).expect("a child can be signalled");
            self.wait();
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The text of a control file of the group that counts `controller`.
fn file_of(groups: &Groups, controller: Controller, file: &str) -> String {
    let group = groups.of(controller).expect("it is counted");
    fs::read_to_string(group.dir().path().join(file)).expect(file).trim_end().to_owned()
}

/// Some disk that its number is capped by.
fn disk() -> Option<PathBuf> {
    let disks = fs::read_dir("/sys/block").ok()?.filter_map(Result::ok);
    let disks = disks.filter(|entry| entry.path().join("device").exists());
    disks.map(|entry| Path::new("/dev").join(entry.file_name())).find(|disk| disk.exists())
}

/// Every place where this suite makes groups.
fn places() -> Vec<PathBuf> {
    let own = host().iter().filter_map(|hierarchy| hierarchy.own_dir());
    own.flat_map(|own| [own.parent().map(Path::to_owned), Some(own)]).flatten().collect()
}

/// The groups in `places` whose name begins with `begin`.
fn groups_named(begin: &str) -> Vec<PathBuf> {
    let entries = places().into_iter().filter_map(|place| fs::read_dir(place).ok()).flatten().filter_map(Result::ok);
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begin));
    named.map(|entry| entry.path()).collect()
}

/// Removes what runs of this suite have left that are dead by now.
fn sweep() {
    const BEGIN: &str = "executor-test-";
    let run = |path: &Path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        name.strip_prefix(BEGIN)?.split('-').next()?.parse::<u32>().ok()
    };
    let is_dead = |path: &PathBuf| run(path).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    let left: Vec<PathBuf> = groups_named(BEGIN).into_iter().filter(is_dead).collect();
    let groups = Groups::reopen(host(), &left).expect("they are ours");
    groups.kill(PATIENCE).expect("they can be killed");
    groups.remove(PATIENCE).expect("they can be removed");
}
