//! A task is found again by its id: while it runs, after it ended, by whoever asks.

use std::os::fd::AsFd;
use std::time::Duration;

use executor_api::units::Signal;
use executor_api::{Cause, Ended, ErrorKind, Feature, TaskName};
use executor_loader::executor_api;
use libtest_mimic::Failed;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::launch::same_for_all;
use crate::stop::ready;
use crate::subject::{Case, LONG, Running, Subject, same};

const NEEDS: &[Feature] = &[Feature::Reopen];
const WITH_OUTPUT: &[Feature] = &[Feature::Reopen, Feature::StdioPassed];

pub(crate) const CASES: &[Case] = &[
    Case { name: "an_opened_task_ends_as_the_started_one", needs: NEEDS, check: same_end },
    Case { name: "a_task_lives_on_without_a_handle", needs: NEEDS, check: without_a_handle },
    Case { name: "an_ended_task_has_its_recorded_outcome", needs: NEEDS, check: recorded },
    Case { name: "an_opened_task_is_stopped_gracefully", needs: WITH_OUTPUT, check: stopped },
    Case { name: "an_opened_task_is_signalled_and_killed", needs: WITH_OUTPUT, check: signalled },
    Case { name: "an_opened_task_has_an_exit_descriptor", needs: NEEDS, check: descriptor },
    Case { name: "an_opened_task_knows_its_command_and_what_it_got", needs: NEEDS, check: known },
    Case { name: "an_id_is_taken_until_it_is_collected", needs: NEEDS, check: taken },
    Case { name: "a_running_task_is_not_collected", needs: NEEDS, check: not_collected },
];

fn open(subject: &Subject, running: &Running) -> Result<executor_loader::Task, Failed> {
    Ok(subject.loader.open(running.0.id())?)
}

fn same_end(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(subject.shell("sleep 0.1; exit 9"))?;
    let opened = open(subject, &started)?;
    same("it runs", opened.try_wait()?, None)?;
    let outcome = opened.wait_timeout(LONG)?.ok_or("it has not ended")?;
    same("ended", (outcome.ended, outcome.cause), (Ended::Exited(9), Cause::Own))?;
    same("the other's", same_for_all(&started)?.ended, outcome.ended)
}

fn without_a_handle(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(subject.shell("sleep 0.2; exit 5"))?;
    let id = started.0.id().clone();
    started.let_go();
    let opened = Running::of(subject.loader.open(&id)?, subject);
    same("ended", opened.end()?.ended, Ended::Exited(5))
}

fn recorded(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(subject.shell("kill -TERM $$"))?;
    started.end()?;
    for _ in 0..2 {
        let outcome = open(subject, &started)?.wait()?;
        same("the end", (outcome.ended, outcome.cause), (Ended::Signalled(Signal::TERM), Cause::Own))?;
        same("times are known", outcome.started.is_some() && outcome.finished.is_some(), true)?;
    }
    Ok(())
}

fn stopped(subject: &Subject) -> Result<(), Failed> {
    let (started, _) = ready(subject, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done")?;
    open(subject, &started)?.stop(LONG)?;
    let outcome = started.end()?;
    same("the end", (outcome.ended, outcome.cause), (Ended::Exited(7), Cause::Stopped))
}

fn signalled(subject: &Subject) -> Result<(), Failed> {
    let (started, _) = ready(subject, "trap 'exit 3' HUP; echo ready; while :; do sleep 0.02; done")?;
    let opened = open(subject, &started)?;
    opened.signal(Signal::HUP)?;
    same("the end", opened.wait()?.ended, Ended::Exited(3))?;
    let kind = opened.signal(Signal::HUP).err().and_then(|error| error.task().map(executor_api::Error::kind));
    same("after the end", kind, Some(ErrorKind::NotFound))?;
    opened.kill()?;
    let (started, _) = ready(subject, "echo ready; exec sleep 1000")?;
    open(subject, &started)?.kill()?;
    same("the end", started.end()?.cause, Cause::Stopped)
}

fn descriptor(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(subject.shell("exec sleep 1000"))?;
    let fd = open(subject, &started)?.exit_fd()?;
    let readable = |timeout: PollTimeout| poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout);
    same("while it runs", readable(PollTimeout::from(20_u8))?, 0)?;
    started.0.kill()?;
    same("after the end", readable(PollTimeout::try_from(LONG)?)?, 1)?;
    let late = open(subject, &started)?.exit_fd()?;
    same("for those who come later", poll(&mut [PollFd::new(late.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)?, 1)
}

fn known(subject: &Subject) -> Result<(), Failed> {
    let started = subject.start(subject.shell("exec sleep 1000"))?;
    let opened = open(subject, &started)?;
    same("the command", opened.handle().command()?, started.0.handle().command()?)?;
    same("what it got", opened.applied()?, started.0.applied()?)
}

fn taken(subject: &Subject) -> Result<(), Failed> {
    let name = TaskName::random();
    let named = |script: &str| {
        let mut command = subject.shell(script);
        command.name(name.clone());
        command
    };
    let first = subject.start(named("exit 0"))?;
    let refused = |what: &str| same(what, subject.refusal(named("exit 1"))?.kind(), ErrorKind::Exists);
    refused("while it runs, or just has")?;
    first.end()?;
    refused("after it has ended")?;
    subject.loader.collect(first.0.id())?;
    let again = subject.start(named("exit 2"))?;
    same("the id is free again", again.end()?.ended, Ended::Exited(2))
}

fn not_collected(subject: &Subject) -> Result<(), Failed> {
    let running = subject.start(subject.shell("exec sleep 1000"))?;
    let refused = subject.loader.collect(running.0.id()).err();
    same(
        "while it runs",
        refused.and_then(|error| error.task().map(executor_api::Error::kind)),
        Some(ErrorKind::Busy),
    )?;
    same("it is listed", subject.loader.tasks()?.contains(running.0.id()), true)?;
    same("it runs on", running.0.wait_timeout(Duration::from_millis(20))?, None)
}
