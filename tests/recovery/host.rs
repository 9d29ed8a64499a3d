//! The hosts that trials kill: this program again, which takes one order a line and answers each with a line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use executor_api::TaskId;
use executor_loader::executor_api;
use executor_tests::say;
use libtest_mimic::Failed;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::expect::{LONG, truth, until, words};
use crate::place::{Place, TRIAL};

/// The variable that makes this program a host, and names the trial's directory.
pub(crate) const ROLE: &str = "EXECUTOR_RECOVERY_HOST";
/// The variable with the directory of the plugins.
const PLUGINS: &str = "EXECUTOR_RECOVERY_PLUGINS";
/// A file that is not there: a host asks for it before it starts a task, so that a trace shows where that begins.
pub(crate) const BEGIN: &str = "/executor-recovery-begin";

/// Takes orders from standard input until it ends.
pub(crate) fn play() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("the trial sets {name}"));
    let (base, plugins) = (PathBuf::from(variable(ROLE)), PathBuf::from(variable(PLUGINS)));
    let word = variable(TRIAL).into_string().expect("a word");
    let place = Place::at(&base, &plugins, word).expect("the trial has made the place");
    // What has been started is kept, as a host would.
    let mut tasks = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let (order, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match order {
            "start" | "bound" => {
                let (which, script) = rest.split_once(' ').expect("a task and a script");
                let absent = std::fs::metadata(BEGIN).is_err();
                assert!(absent, "{BEGIN} is only a mark");
                let mut command = place.shell(which, script);
                command.spec_mut().die_with_host = order == "bound";
                match command.start(&place.loader) {
                    Ok(task) => {
                        say(&format!("started {}", task.id()));
                        tasks.push(task);
                    }
                    Err(error) => {
                        let kind = error.task().map(executor_api::Error::kind);
                        say(&format!("refused {kind:?} {}", words(&error)));
                    }
                }
            }
            "wait" => say(&waited(&place, &rest.parse().expect("an id"))),
            "cycles" => crate::cycles::cycles(&place, rest.parse().expect("a number")),
            "crowd" => crate::cycles::crowd(&place, rest.parse().expect("a number")),
            "orders" => crate::odd::give_orders(&place, &rest.parse().expect("an id")),
            "foreign" => crate::odd::among_strangers(&place, rest.parse().expect("a number")),
            "hold" => hold(Path::new(rest)),
            _ => panic!("no order: {line}"),
        }
    }
    ExitCode::SUCCESS
}

fn waited(place: &Place, id: &TaskId) -> String {
    let task = match place.loader.open(id) {
        Ok(task) => task,
        Err(error) => return format!("refused {}", words(&error)),
    };
    say("opened");
    task.wait().map_or_else(|error| format!("failed {}", words(&error)), |outcome| outcome.to_string())
}

/// Takes the lock of a record as somebody who collects it, and keeps it.
fn hold(path: &Path) {
    let file = File::options().read(true).write(true).open(path).expect("a lock");
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).expect("it is free");
    lock.set_len(0).and_then(|()| writeln!(lock, "collector {}", std::process::id())).expect("written");
    say("held");
    loop {
        std::thread::park();
    }
}

/// A host in a process of its own; killed when dropped.
pub(crate) struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    pub(crate) fn new(place: &Place) -> Result<Self, Failed> {
        Self::under(place, &[])
    }

    /// A host that `prefix`, a program with its arguments, executes.
    pub(crate) fn under(place: &Place, prefix: &[OsString]) -> Result<Self, Failed> {
        let own = std::env::current_exe()?;
        let mut words = prefix.iter().map(OsString::as_os_str).chain([own.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env(ROLE, &place.base).env(PLUGINS, &place.plugins).env(TRIAL, &place.word);
        // Complaints would be those of a host that is killed on purpose.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and does not wait for the answer.
    pub(crate) fn order(&mut self, order: &str) -> Result<(), Failed> {
        Ok(writeln!(self.stdin.as_mut().ok_or("its input has ended")?, "{order}")?)
    }

    /// The next line; empty where the host has ended.
    pub(crate) fn line(&mut self) -> Result<String, Failed> {
        if self.stdout.buffer().is_empty() {
            let mut fds = [PollFd::new(self.stdout.get_ref().as_fd(), PollFlags::POLLIN)];
            truth(poll(&mut fds, PollTimeout::try_from(LONG)?)? == 1, || "the host does not answer".into())?;
        }
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Gives an order and waits for the answer.
    pub(crate) fn ask(&mut self, order: &str) -> Result<String, Failed> {
        self.order(order)?;
        self.line()
    }

    /// Starts `script` as the task `which`.
    pub(crate) fn start(&mut self, which: &str, script: &str) -> Result<(), Failed> {
        let answer = self.ask(&format!("start {which} {script}"))?;
        if answer.starts_with("started ") { Ok(()) } else { Err(answer.into()) }
    }

    /// Kills it where it stands.
    pub(crate) fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends its input, and waits for its end; the rest of what it says.
    pub(crate) fn rest(mut self) -> Result<Vec<String>, Failed> {
        self.stdin = None;
        until("the host ends", || self.child.try_wait().transpose())??;
        // An error is one of text that was cut off.
        let lines = (&mut self.stdout).lines().map_while(Result::ok).collect();
        Ok(lines)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // An error is that of a host which has ended.
        _ = self.kill();
    }
}
