//! Asks plugins what they can do on this host, each in a process of its own that may crash, hang or lie.
//!
//! A plugin answers through the program `executor-probe` (prober.rs). Only an answer that starts with the random number
//! of its request counts; an exit status never does. Whatever the process left running in its group is killed.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use executor_api::TaskName;
use executor_api::plugin::HostSettings;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::prober::{Answer, Request};
use crate::refusal::{Refusal, Stage};
use crate::trust::FileIdentity;

/// How long a plugin may take to answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// How many processes ask at once.
const AT_ONCE: usize = 8;
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

/// One plugin to ask.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) path: &'a Path,
    pub(crate) identity: &'a FileIdentity,
    pub(crate) settings: HostSettings,
}

/// Asks all of `questions` with the program `prober`, several at once; the answers are in the same order.
pub(crate) fn probe_all(prober: &Path, questions: &[Question<'_>]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(questions.len());
    for batch in questions.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let asking: Vec<_> = batch.iter().map(|question| scope.spawn(|| ask(prober, question))).collect();
            // A panic in `ask` would be ours: it becomes a refusal, the host's process goes on.
            let panicked = |_| Err(Refusal::new(Stage::Probe, "the loader panicked while it asked"));
            answers.extend(asking.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)));
        });
    }
    answers
}

fn ask(prober: &Path, question: &Question<'_>) -> Answer {
    let request = Request {
        nonce: TaskName::random().as_str().to_owned(),
        path: question.path.to_owned(),
        identity: question.identity.clone(),
        settings: question.settings.clone(),
    };
    let start = |error: io::Error| {
        let refusal = Refusal::new(Stage::Probe, format!("{} cannot be started: {error}", prober.display()));
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                refusal.with_fix("install executor-probe beside the plugins again")
            }
            _ => refusal,
        }
    };
    let (channel, theirs) = UnixStream::pair().map_err(start)?;
    let child = spawn(prober, theirs.into()).map_err(start)?;
    let mut probing = Probing { child, ended: None };
    let line = exchange(&channel, &request);
    let ended = probing.end();
    match line {
        Ok(line) => read_answer(&line, &request.nonce),
        Err(Silence::Late) => Err(Refusal::new(Stage::Probe, format!("no answer within {} s", DEADLINE.as_secs()))),
        Err(Silence::Ended) => Err(Refusal::new(Stage::Probe, format!("no answer: {}", words(ended)))),
        Err(Silence::Broken(error)) => Err(Refusal::new(Stage::Probe, format!("no answer: {error}"))),
    }
}

fn spawn(prober: &Path, stdin: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(prober);
    // A group of its own: whatever the library starts can be killed with it.
    command.env_clear().process_group(0).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Why there is no answer.
enum Silence {
    Late,
    Ended,
    Broken(io::Error),
}

/// Sends the request and reads one line, until the deadline.
fn exchange(mut channel: &UnixStream, request: &Request) -> Result<Vec<u8>, Silence> {
    let until = Instant::now() + DEADLINE;
    let json = serde_json::to_string(request).map_err(|error| Silence::Broken(error.into()))?;
    match channel.write_all(format!("{json}\n").as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Silence::Ended),
        written => written.map_err(Silence::Broken)?,
    }
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    while line.last() != Some(&b'\n') {
        wait_readable(channel, until)?;
        match channel.read(&mut buffer) {
            Ok(0) => return Err(Silence::Ended),
            Ok(count) => line.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Silence::Ended),
            Err(error) => return Err(Silence::Broken(error)),
        }
        if line.len() > LONGEST_ANSWER {
            return Err(Silence::Broken(io::Error::other("the answer is too long")));
        }
    }
    Ok(line)
}

fn wait_readable(channel: &UnixStream, until: Instant) -> Result<(), Silence> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Silence::Late);
        }
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(channel.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => (),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(Silence::Broken(errno.into())),
        }
    }
}

fn read_answer(line: &[u8], nonce: &str) -> Answer {
    let json = line.strip_prefix(nonce.as_bytes());
    let json = json.ok_or_else(|| Refusal::new(Stage::Probe, "no answer: something else was printed in its place"))?;
    let answer: Result<Answer, _> = serde_json::from_slice(json);
    answer.unwrap_or_else(|error| Err(Refusal::new(Stage::Probe, format!("its answer cannot be read: {error}"))))
}

/// A running probe, which never outlives this value.
struct Probing {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Probing {
    /// Kills the whole group and reaps the probe; how it ended, if that can be known.
    fn end(&mut self) -> Option<ExitStatus> {
        /// How long a killed process may take to go.
        const LONGEST_DEATH: Duration = Duration::from_secs(1);
        let until = Instant::now() + LONGEST_DEATH;
        // One that has ended by itself is reaped only after its group was killed, so that the number of the group cannot
        // belong to somebody else yet. A host that reaps all children may have done so already: then nobody is signalled.
        let group = i32::try_from(self.child.id()).ok().map(Pid::from_raw);
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if let Some(group) = group.filter(|group| waitid(Id::Pid(*group), look).is_ok()) {
            // ESRCH: everything has ended already.
            _ = killpg(group, Signal::SIGKILL);
        }
        while self.ended.is_none() && Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_micros(200)),
                Ok(status) => self.ended = status,
                // The host reaps all children itself: the status is gone.
                Err(_) => return None,
            }
        }
        self.ended
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end();
        }
    }
}

/// How the probe ended, in words; SIGKILL is our own doing and comes after the fact.
fn words(ended: Option<ExitStatus>) -> String {
    match ended.map(|status| (status.code(), status.signal())) {
        Some((Some(code), _)) => format!("the process ended with status {code}"),
        Some((_, Some(signal))) => format!("the process was killed by signal {signal}"),
        _ => "the process ended, nobody saw how".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{ChildStdin, ChildStdout};

    use super::*;

    /// A probe that has ended and is not reaped.
    struct Ended {
        probing: Probing,
        /// To and from a process in its group that repeats what it is told.
        words: ChildStdin,
        echo: BufReader<ChildStdout>,
    }

    fn ended() -> Ended {
        let mut leader = Command::new("/bin/sh");
        leader.args(["-c", "exec 3<&0; cat <&3 & exit 0"]).process_group(0);
        let mut child = leader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let (words, echo) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        waitid(id(&child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it ends");
        Ended { probing: Probing { child, ended: None }, words, echo: BufReader::new(echo) }
    }

    fn id(child: &Child) -> Id<'static> {
        Id::Pid(Pid::from_raw(child.id().cast_signed()))
    }

    /// The next line of the other process; empty where it is gone.
    fn line(echo: &mut BufReader<ChildStdout>) -> String {
        let mut fds = [PollFd::new(echo.get_ref().as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(30_000_u16)), Ok(1), "neither a word nor its end");
        let mut line = String::new();
        echo.read_line(&mut line).expect("text");
        line
    }

    #[test]
    fn what_a_probe_leaves_behind_in_its_group_is_killed() {
        let Ended { mut probing, words, mut echo } = ended();
        assert_eq!(probing.end().and_then(|status| status.code()), Some(0));
        assert_eq!(line(&mut echo), "", "it is gone");
        drop(words);
    }

    /// The number of a probe that somebody else has reaped may be a stranger's by now: here it is that of a group which has
    /// lost its leader.
    #[test]
    fn the_group_of_a_probe_that_somebody_else_has_reaped_is_not_signalled() {
        let Ended { mut probing, mut words, mut echo } = ended();
        waitid(id(&probing.child), WaitPidFlag::WEXITED).expect("it is reaped");
        assert_eq!(probing.end(), None, "nobody can say how it ended");
        drop(probing);
        words.write_all(b"alive\n").expect("it reads");
        assert_eq!(line(&mut echo), "alive\n");
    }
}
