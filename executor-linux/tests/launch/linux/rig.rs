//! What a trial starts tasks with, and what it holds of one.

use std::fs::{self, File, Permissions};
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor_api::record::{End, Record, State, StateDir};
use executor_api::units::Signal;
use executor_api::{Ended, Outcome, Resources, Result, TaskId, TaskName, TaskSpec};
use executor_linux::launch::{
    Attempt, Descriptors, GroupDescriptors, Launcher, Order, RecordDescriptors, Root, Running,
};
use executor_linux::plan::{self, Groups, Owner, Plan, Request, Support};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;

/// Longer than anything takes on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const KILLED: Ended = Ended::Signalled(Signal::KILL);
/// Nobody, with nobody's own group.
pub(crate) const OWNER: u32 = 65534;
const SUPPORT: Support = Support { ipc: true, hostname: true };

/// A launcher, records and a root.
pub(crate) struct Rig {
    pub(crate) launcher: Launcher,
    place: PathBuf,
    /// None where somebody else removes it.
    _dir: Option<TempDir>,
}

/// A task that was started.
pub(crate) struct Task {
    pub(crate) running: Running,
    pub(crate) output: PipeReader,
    pub(crate) id: TaskId,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let rig = Self::at(dir.path());
        Self { _dir: Some(dir), ..rig }
    }

    /// With records and a root in `place`, which stays.
    pub(crate) fn at(place: &Path) -> Self {
        let root = place.join("root");
        match fs::create_dir(&root) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => panic!("{error}"),
            _ => fs::set_permissions(&root, Permissions::from_mode(0o755)).expect("a mode"),
        }
        Self { launcher: Launcher::new(), place: place.to_owned(), _dir: None }
    }

    /// With a spawner for each task.
    pub(crate) fn direct() -> Self {
        Self { launcher: Launcher::direct(), ..Self::new() }
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.place.join("root")
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(self.place.join("state")).expect("a state directory")
    }

    pub(crate) fn start(&self, spec: &TaskSpec) -> Result<Task> {
        self.start_limited(spec, &Resources::default())
    }

    pub(crate) fn start_limited(&self, spec: &TaskSpec, resources: &Resources) -> Result<Task> {
        self.start_with(spec, resources, &Groups::default(), &Attempt::default(), || Ok(GroupDescriptors::default()))
    }

    pub(crate) fn start_with(
        &self,
        spec: &TaskSpec,
        resources: &Resources,
        groups: &Groups,
        attempt: &Attempt,
        make: impl FnOnce() -> Result<GroupDescriptors>,
    ) -> Result<Task> {
        let root = Root::new(&self.root(), &Root::programs())?;
        let plan = planned(spec, resources, groups, &root)?;
        self.launch(&plan, &root, attempt, make)
    }

    /// Starts a plan in a root that is made.
    pub(crate) fn launch(
        &self,
        plan: &Plan,
        root: &Root,
        attempt: &Attempt,
        make: impl FnOnce() -> Result<GroupDescriptors>,
    ) -> Result<Task> {
        let id: TaskId = format!("linux.{}", TaskName::random()).parse().expect("an id");
        let files = self.record(&id);
        let null = File::options().read(true).write(true).open("/dev/null").expect("a device");
        let (output, pen) = std::io::pipe().expect("a pipe");
        let [lock, alive, control, end] = files.each_ref().map(AsFd::as_fd);
        let record = RecordDescriptors { lock, alive, control, end };
        let fds = Descriptors { record, stdio: [null.as_fd(), pen.as_fd(), null.as_fd()], root };
        let running = self.launcher.launch(plan, &fds, attempt, make)?;
        Ok(Task { running, output, id })
    }

    /// The plan of a task that is to be started by [`Rig::launch_prepared`].
    pub(crate) fn prepared(&self, spec: &TaskSpec) -> Plan {
        let root = Root::new(&self.root(), &Root::programs()).expect("a root");
        planned(spec, &Resources::default(), &Groups::default(), &root).expect("a plan")
    }

    /// Runs a task to its end; how long its root, its record, and then the task took.
    pub(crate) fn launch_prepared(&self, plan: &Plan) -> [Duration; 3] {
        let begin = Instant::now();
        let root = Root::new(&self.root(), &Root::programs()).expect("a root");
        let rooted = begin.elapsed();
        let files = self.record(&format!("linux.{}", TaskName::random()).parse().expect("an id"));
        let recorded = begin.elapsed() - rooted;
        let null = File::options().read(true).write(true).open("/dev/null").expect("a device");
        let [lock, alive, control, end] = files.each_ref().map(AsFd::as_fd);
        let record = RecordDescriptors { lock, alive, control, end };
        let fds = Descriptors { record, stdio: [null.as_fd(); 3], root: &root };
        let begin = Instant::now();
        let none = || Ok(GroupDescriptors::default());
        let running = self.launcher.launch(plan, &fds, &Attempt::default(), none).expect("it starts");
        running.ending(Some(Instant::now() + PATIENCE)).expect("the end").expect("in time");
        [rooted, recorded, begin.elapsed()]
    }

    /// Makes a record and opens its files: lock, alive, control, end. Between the two locks nobody holds it, which is
    /// nobody's business here.
    fn record(&self, id: &TaskId) -> [File; 4] {
        let live = self.state().create(id).and_then(|draft| draft.commit(&Record::new(id))).expect("a record");
        let dir = self.place.join("state/tasks").join(id.to_string());
        let open = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
            options.open(dir.join(name)).expect(name)
        };
        let files = ["lock", "alive", "control", "outcome.json"].map(open);
        drop(live);
        files[0].try_lock().expect("nobody has it");
        files
    }

    /// Runs `spec` to its end: the outcome, and all that it wrote to its standard output.
    pub(crate) fn run(&self, spec: &TaskSpec) -> (Outcome, String) {
        let mut task = self.start(spec).unwrap_or_else(|error| panic!("it starts: {error}"));
        let mut text = String::new();
        task.output.read_to_string(&mut text).expect("text");
        (task.wait(), text)
    }

    /// The end that was recorded, once the supervisor has let go of the record.
    pub(crate) fn recorded(&self, id: &TaskId) -> End {
        match self.state().find(id).expect("a record").state {
            State::Ended(end) => end,
            State::Running(watch) => watch.wait(Some(PATIENCE)).expect("readable").expect("it ends in time"),
            state => panic!("{state:?}"),
        }
    }
}

fn planned(spec: &TaskSpec, resources: &Resources, groups: &Groups, root: &Root) -> Result<Plan> {
    let owner = Owner { uid: OWNER, gid: OWNER, groups: vec![OWNER] };
    let (binds, directory) = (root.targets(), Path::new("/"));
    plan::plan(&Request { spec, resources, owner: &owner, binds: &binds, directory, groups }, &SUPPORT)
}

impl Task {
    pub(crate) fn wait(&self) -> Outcome {
        let ending = self.running.ending(Some(Instant::now() + PATIENCE)).expect("the end is known");
        let ending = ending.expect("it ends in time");
        assert_eq!(ending.unrecorded, None);
        ending.outcome
    }

    /// Its supervisor's process id.
    pub(crate) fn supervisor(&self) -> u32 {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.running.supervisor().as_raw_fd()));
        let info = info.expect("text");
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("a number");
        pid.trim().parse().expect("a number")
    }

    /// Waits until nothing of it is left.
    pub(crate) fn is_gone(&self) {
        let time = PollTimeout::try_from(PATIENCE).expect("a time");
        let mut fds = [PollFd::new(self.running.supervisor(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, time), Ok(1), "its supervisor stays");
    }

    /// One line of what it writes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.output.read(&mut byte).expect("readable") == 1 && byte != *b"\n" {
            line.extend_from_slice(&byte);
        }
        String::from_utf8(line).expect("text")
    }
}

impl Drop for Task {
    /// A trial that fails leaves no task running.
    fn drop(&mut self) {
        // False where it has ended, which is the rule.
        drop(self.running.order(Order::Kill));
    }
}

/// A shell script as a task.
pub(crate) fn sh(script: &str) -> TaskSpec {
    let mut spec = TaskSpec::new("/bin/sh");
    spec.args = vec!["-c".into(), script.into()];
    spec.env.insert("PATH".into(), executor_api::spec::DEFAULT_PATH.into());
    spec
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes whose command line holds `word`, apart from this one.
pub(crate) fn with_word(word: &str) -> Vec<u32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("a list").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.windows(word.len()).any(|window| window == word.as_bytes())
    };
    pids.filter(|pid| *pid != own).filter(has).collect()
}
