//! What a spec says of the task's end: the signal that asks, the grace at the time limit, the end with the host.
//!
//! A host that is to be killed is this program again, with [`ROLE`] set.

use std::io::{BufRead, BufReader};
use std::process::{Command as Program, Stdio as Stream};
use std::time::{Duration, Instant};

use executor_api::units::Signal;
use executor_api::{Cause, Ended, Feature, TaskId};
use executor_loader::executor_api;
use executor_loader::{Command, Stdio};
use executor_tests::say;
use libtest_mimic::Failed;
use nix::unistd::Pid;

use crate::stop::{gone, ready_as};
use crate::subject::{Case, LONG, Running, Subject, same};

/// The variable that makes this program a host with one task, and names the plugin.
pub(crate) const ROLE: &str = "EXECUTOR_CONFORMANCE_HOST";

const SIGNAL: &[Feature] = &[Feature::StopSignal, Feature::StdioPassed];
const OPENED: &[Feature] = &[Feature::StopSignal, Feature::StdioPassed, Feature::Reopen];
const GRACE: &[Feature] = &[Feature::WallTime, Feature::Grace, Feature::StdioPassed];
const HOST: &[Feature] = &[Feature::DieWithHost, Feature::StdioPassed];

pub(crate) const CASES: &[Case] = &[
    Case { name: "the_stop_signal_asks", needs: SIGNAL, check: asked },
    Case { name: "an_opened_task_is_asked_by_its_stop_signal", needs: OPENED, check: asked_by_another },
    Case { name: "at_its_limit_a_task_is_asked_and_has_timed_out_whatever_it_answers", needs: GRACE, check: answered },
    Case { name: "the_grace_at_the_limit_is_kept_and_not_longer", needs: GRACE, check: ignored },
    Case { name: "a_stop_cuts_the_grace_at_the_limit_short", needs: GRACE, check: cut_short },
    Case { name: "a_task_that_asks_to_ends_with_its_host", needs: HOST, check: bound },
    Case { name: "the_handle_is_not_the_host", needs: &[Feature::DieWithHost, Feature::Reopen], check: let_go },
];

/// Hears `INT`, and not `TERM`.
const HEARS_INT: &str = "trap 'exit 8' INT; trap '' TERM; echo ready; while :; do sleep 0.02; done";

fn asking(subject: &Subject) -> Result<Running, Failed> {
    Ok(ready_as(subject, HEARS_INT, |command| command.spec_mut().stop_signal = Some(Signal::INT))?.0)
}

fn asked(subject: &Subject) -> Result<(), Failed> {
    let running = asking(subject)?;
    running.0.stop(LONG)?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(8), Cause::Stopped))
}

fn asked_by_another(subject: &Subject) -> Result<(), Failed> {
    let running = asking(subject)?;
    subject.loader.open(running.0.id())?.stop(LONG)?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(8), Cause::Stopped))
}

/// Long enough for a shell to set its traps.
const LIMIT: Duration = Duration::from_secs(1);

fn limited(
    subject: &Subject,
    script: &str,
    grace: Duration,
) -> Result<(Running, BufReader<std::io::PipeReader>), Failed> {
    ready_as(subject, script, |command| {
        command.timeout(LIMIT);
        command.spec_mut().grace = Some(grace);
    })
}

fn answered(subject: &Subject) -> Result<(), Failed> {
    let (running, _) = limited(subject, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done", LONG)?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(0), Cause::TimedOut))
}

fn ignored(subject: &Subject) -> Result<(), Failed> {
    let grace = Duration::from_millis(300);
    let begun = Instant::now();
    let (running, _) = limited(subject, "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace)?;
    let outcome = running.end()?;
    same("it had its time", begun.elapsed() >= LIMIT + grace, true)?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::KILL), Cause::TimedOut))
}

fn cut_short(subject: &Subject) -> Result<(), Failed> {
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done";
    let (running, mut output) = limited(subject, script, LONG)?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    same("at its limit", line.trim_end(), "asked")?;
    let begun = Instant::now();
    running.0.stop(Duration::from_millis(50))?;
    same("the shorter grace counts", begun.elapsed() < LONG, true)?;
    let outcome = running.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::KILL), Cause::TimedOut))
}

/// A command whose task must not outlive its host.
fn bound_command(subject: &Subject, script: &str) -> Command {
    let mut command = subject.shell(script);
    command.spec_mut().die_with_host = true;
    command
}

/// In a host: starts a task that prints who it is where this program prints, says what it is called, and waits.
pub(crate) fn play(subject: &Subject) {
    let mut command = bound_command(subject, "echo $$; exec sleep 1000");
    command.stdout(Stdio::inherit());
    let task = command.start(&subject.loader).expect("it starts");
    say(&task.id().to_string());
    drop(task);
    loop {
        std::thread::park();
    }
}

fn bound(subject: &Subject) -> Result<(), Failed> {
    let mut host = Program::new(std::env::current_exe()?);
    host.env(ROLE, subject.name.as_str()).stdin(Stream::null()).stdout(Stream::piped());
    let mut host = host.spawn()?;
    let mut lines = BufReader::new(host.stdout.take().ok_or("no pipe")?).lines();
    // In either order.
    let said = [lines.next(), lines.next()].map(|line| line.and_then(Result::ok).unwrap_or_default());
    let killed = host.kill().and_then(|()| host.wait());
    let main = said.iter().find_map(|line| line.parse().ok()).map(Pid::from_raw);
    gone(main.ok_or_else(|| format!("the host says {said:?}"))?)?;
    killed?;
    if subject.states(Feature::Reopen) {
        let id = said.iter().find_map(|line| line.parse::<TaskId>().ok()).ok_or("no id")?;
        let task = Running::of(subject.loader.open(&id)?, subject);
        same("the cause", task.end()?.cause, Cause::Stopped)?;
    }
    Ok(())
}

fn let_go(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(bound_command(subject, "exec sleep 1000"))?;
    let id = started.0.id().clone();
    started.let_go();
    let opened = Running::of(subject.loader.open(&id)?, subject);
    same("it runs on", opened.0.wait_timeout(Duration::from_millis(300))?, None)?;
    opened.0.kill()?;
    same("the cause", opened.end()?.cause, Cause::Stopped)
}
