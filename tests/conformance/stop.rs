//! A task ends when it is told to, all of it, and says why it ended.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Cause, Ended, ErrorKind, Feature};
use executor_loader::executor_api;
use executor_loader::{Command, Stdio};
use libtest_mimic::Failed;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::launch::same_for_all;
use crate::subject::{Case, LONG, Running, Subject, same};

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_running_task_is_waited_for_in_vain", needs: &[], check: running },
    Case { name: "every_waiter_gets_the_same_outcome", needs: &[], check: waiters },
    Case { name: "force_stop_kills_and_says_stopped", needs: &[], check: kill },
    Case { name: "shutdown_lets_a_handler_finish", needs: &[Feature::StdioPassed], check: graceful },
    Case { name: "shutdown_kills_after_the_grace", needs: &[Feature::StdioPassed], check: stubborn },
    Case { name: "stopping_an_ended_task_is_no_error", needs: &[], check: ended },
    Case { name: "a_child_in_the_background_ends_with_the_task", needs: &[Feature::StdioPassed], check: children },
    Case { name: "a_child_in_the_background_does_not_hold_up_wait", needs: &[], check: background },
    Case { name: "a_stopped_process_can_be_killed", needs: &[], check: frozen },
    Case { name: "the_exit_descriptor_is_readable_after_the_end_only", needs: &[], check: descriptor },
    Case { name: "the_time_limit_kills", needs: &[Feature::WallTime], check: time_limit },
    Case { name: "a_signal_reaches_the_main_process", needs: &[Feature::Signal, Feature::StdioPassed], check: signal },
];

/// Starts `script` and waits until it has printed its first line, which it returns.
pub(crate) fn ready(subject: &Subject, script: &str) -> Result<(Running, String), Failed> {
    let mut command = subject.shell(script);
    command.stdout(Stdio::piped());
    let mut running = subject.start(command)?;
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    Ok((running, line.trim_end().to_owned()))
}

/// Starts `script` with what `change` asks for, and waits until it has printed its first line; the rest is to be read.
pub(crate) fn ready_as(
    subject: &Subject,
    script: &str,
    change: impl FnOnce(&mut Command),
) -> Result<(Running, BufReader<PipeReader>), Failed> {
    let mut command = subject.shell(script);
    command.stdout(Stdio::piped());
    change(&mut command);
    let mut running = subject.start(command)?;
    let mut output = BufReader::new(running.0.stdout.take().ok_or("no pipe")?);
    output.read_line(&mut String::new())?;
    Ok((running, output))
}

fn running(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("exec sleep 1000"))?;
    same("try_wait", running.0.try_wait()?, None)?;
    same("wait_timeout", running.0.wait_timeout(Duration::from_millis(20))?, None)
}

fn waiters(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("sleep 0.1; exit 9"))?;
    same("the end", same_for_all(&running)?.ended, Ended::Exited(9))
}

fn kill(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("exec sleep 1000"))?;
    running.0.kill()?;
    let outcome = same_for_all(&running)?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::KILL), Cause::Stopped))?;
    Ok(running.0.kill()?)
}

fn graceful(subject: &Subject) -> Result<(), Failed> {
    let (running, _) = ready(subject, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done")?;
    running.0.stop(LONG)?;
    let outcome = running.0.try_wait()?.ok_or("stop returned before the end")?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(7), Cause::Stopped))
}

fn stubborn(subject: &Subject) -> Result<(), Failed> {
    let (running, _) = ready(subject, "trap '' TERM; echo ready; while :; do sleep 0.02; done")?;
    let begun = Instant::now();
    let grace = Duration::from_millis(200);
    running.0.stop(grace)?;
    same("it had its grace", begun.elapsed() >= grace, true)?;
    let outcome = running.0.try_wait()?.ok_or("stop returned before the end")?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::KILL), Cause::Stopped))
}

fn ended(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("exit 3"))?;
    running.end()?;
    running.0.stop(LONG)?;
    running.0.kill()?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(3), Cause::Own))
}

fn children(subject: &Subject) -> Result<(), Failed> {
    let (running, child) = ready(subject, "sleep 1000 >/dev/null & echo $!; exec sleep 1000 >/dev/null")?;
    let child = Pid::from_raw(child.parse()?);
    running.0.kill()?;
    running.end()?;
    gone(child)
}

/// Waits until a process is gone, or is a zombie that somebody else has yet to reap.
pub(crate) fn gone(pid: Pid) -> Result<(), Failed> {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if nix::sys::signal::kill(pid, None).is_err() || zombie(pid) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("process {pid} is still there").into())
}

fn zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn background(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("sleep 1000 & exit 4");
    if subject.states(Feature::StdioPassed) {
        command.stdout(Stdio::piped());
    }
    let outcome = subject.start(command)?.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(4), Cause::Own))
}

fn frozen(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("kill -STOP $$; exit 0"))?;
    running.0.stop(Duration::from_millis(50))?;
    same("cause", running.end()?.cause, Cause::Stopped)
}

fn descriptor(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("exec sleep 1000"))?;
    let fd = running.0.exit_fd()?;
    let readable = |timeout: PollTimeout| poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout);
    same("while it runs", readable(PollTimeout::from(20_u8))?, 0)?;
    running.0.kill()?;
    let long = PollTimeout::try_from(LONG)?;
    same("after the end", readable(long)?, 1)?;
    same("the outcome is there", running.0.wait_timeout(LONG)?.is_some(), true)?;
    same("for good", readable(PollTimeout::ZERO)?, 1)
}

fn time_limit(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("trap '' TERM; while :; do sleep 0.02; done");
    let limit = Duration::from_millis(150);
    command.timeout(limit);
    let begun = Instant::now();
    let running = subject.start(command)?;
    let outcome = running.end()?;
    same("it had its time", begun.elapsed() >= limit, true)?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::KILL), Cause::TimedOut))
}

fn signal(subject: &Subject) -> Result<(), Failed> {
    let (running, _) = ready(subject, "trap 'exit 3' HUP; echo ready; while :; do sleep 0.02; done")?;
    running.0.signal(Signal::HUP)?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(3), Cause::Own))?;
    let late = running.0.signal(Signal::HUP);
    let kind = late.err().and_then(|error| error.task().map(executor_api::Error::kind));
    same("after the end", kind, Some(ErrorKind::NotFound))
}
