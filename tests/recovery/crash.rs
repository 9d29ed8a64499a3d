//! A host is killed, and the task goes on; a supervisor is killed, and everybody is told at once.

use std::fs;
use std::thread;
use std::time::Instant;

use executor_api::{Cause, Ended, Outcome};
use executor_loader::Task;
use executor_loader::executor_api;
use executor_tests::{Need, say, trial};
use libtest_mimic::{Failed, Trial};

use crate::expect::{LONG, PROMPT, ended, same, truth, until};
use crate::host::Host;
use crate::place::Place;
use crate::processes;

/// Ends with 7 when it is told to.
const UNTIL_TOLD: &str = "echo $$ >WORK/ready; while [ ! -e WORK/go ]; do sleep 0.02; done; exit 7";
/// How many wait at once.
const WAITERS: usize = 10;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Need::Built];
    vec![
        trial("a_task_outlives_its_host_and_tells_every_waiter", needs, waiters),
        trial("a_task_whose_host_was_killed_is_stopped_gracefully", needs, graceful),
        trial("an_end_that_no_host_saw_is_recorded", needs, unseen),
        trial("everybody_is_told_at_once_when_the_supervisor_is_killed", needs, lost),
    ]
}

/// A place with the task `one`, whose host has been killed.
fn orphaned(script: &str) -> Result<Place, Failed> {
    let place = Place::new()?;
    let mut host = Host::new(&place)?;
    host.start("one", script)?;
    place.written("ready")?;
    host.kill()?;
    Ok(place)
}

/// What each of many waiters gets, and when the last has got it.
fn all_wait(tasks: &[Task], meanwhile: impl FnOnce() -> Result<Instant, Failed>) -> Result<Vec<Outcome>, Failed> {
    thread::scope(|scope| {
        let waiting: Vec<_> = tasks.iter().map(|task| scope.spawn(|| task.wait_timeout(LONG))).collect();
        let begun = meanwhile()?;
        let outcome = |waiter: thread::ScopedJoinHandle<'_, executor_loader::Result<Option<Outcome>>>| {
            let outcome = waiter.join().map_err(|_| "a waiter panicked")??;
            outcome.ok_or_else(|| Failed::from("a waiter was not told"))
        };
        let outcomes = waiting.into_iter().map(outcome).collect::<Result<Vec<_>, Failed>>()?;
        let took = begun.elapsed();
        truth(took < PROMPT, || format!("the last waiter was told after {took:?}"))?;
        Ok(outcomes)
    })
}

fn waiters() -> Result<(), Failed> {
    let place = orphaned(UNTIL_TOLD)?;
    let mut other = Host::new(&place)?;
    let order = format!("wait {}", place.id("one"));
    same("another process", other.ask(&order)?.as_str(), "opened")?;
    let tasks = (0..WAITERS).map(|_| place.open("one")).collect::<Result<Vec<_>, _>>()?;
    same("it runs", tasks[0].try_wait()?, None)?;
    let told = || {
        fs::write(place.work("go"), "")?;
        Ok(Instant::now())
    };
    let outcomes = all_wait(&tasks, told)?;
    for outcome in &outcomes {
        ended(outcome, Ended::Exited(7), Cause::Own)?;
        same("every waiter's outcome", outcome, &outcomes[0])?;
    }
    same("another process", other.line()?, outcomes[0].to_string())?;
    same("again", tasks[0].wait()?, outcomes[0])?;
    same("to who opens it later", place.open("one")?.wait()?, outcomes[0])?;
    drop(other);
    place.clean()?;
    say(&format!("1. host killed: {WAITERS} waiters and another process told the exit code 7"));
    Ok(())
}

fn graceful() -> Result<(), Failed> {
    let place = orphaned("trap 'exit 9' TERM; echo $$ >WORK/ready; while :; do sleep 0.02; done")?;
    let task = place.open("one")?;
    task.stop(LONG)?;
    ended(&task.try_wait()?.ok_or("stop returned before the end")?, Ended::Exited(9), Cause::Stopped)?;
    place.clean()?;
    say("1. host killed: stopped by another, its handler exits with 9");
    Ok(())
}

fn unseen() -> Result<(), Failed> {
    let place = orphaned(UNTIL_TOLD)?;
    fs::write(place.work("go"), "")?;
    until("the supervisor is gone", || place.processes("one").is_empty().then_some(()))?;
    let outcome = place.open("one")?.wait()?;
    ended(&outcome, Ended::Exited(7), Cause::Own)?;
    truth(outcome.started <= outcome.finished && outcome.started.is_some(), || format!("times: {outcome:?}"))?;
    place.clean()?;
    say("1. host killed, task ended unseen: the recorded exit code 7");
    Ok(())
}

fn lost() -> Result<(), Failed> {
    const ROUNDS: usize = 10;
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..ROUNDS {
        let place = Place::new()?;
        let started = place.start("one", "echo $$ >WORK/ready; sleep 1000 & sleep 1000")?;
        let main: i32 = place.written("ready")?.parse()?;
        let mut other = Host::new(&place)?;
        same("another process", other.ask(&format!("wait {}", place.id("one")))?.as_str(), "opened")?;
        let second = Place::at(&place.base, &place.plugins, place.word.clone())?;
        let tasks = [started, place.open("one")?, second.open("one")?];
        let supervisor = place.supervisor("one")?;
        let begun = Instant::now();
        let outcomes = all_wait(&tasks, || {
            processes::end(supervisor);
            Ok(Instant::now())
        })?;
        for outcome in &outcomes {
            ended(outcome, Ended::Unknown, Cause::Lost)?;
        }
        truth(other.line()?.ends_with("its supervisor is gone"), || "another process was told otherwise".into())?;
        slowest = slowest.max(begun.elapsed());
        truth(slowest < PROMPT, || format!("the last was told after {slowest:?}"))?;
        until("the main process dies with its supervisor", || (!processes::lives(main)).then_some(()))?;
        ended(&place.open("one")?.wait()?, Ended::Unknown, Cause::Lost)?;
        tasks[1].kill()?;
        tasks[1].stop(LONG)?;
        // What the main process leaves behind is the promise that this plugin does not make.
        processes::carrying(&place.word)
            .into_iter()
            .filter(|pid| *pid != other.pid().cast_signed())
            .for_each(processes::end);
        drop(other);
        drop(tasks);
        place.clean()?;
    }
    say(&format!("2. supervisor killed: {ROUNDS} rounds, 4 waiters each, the slowest told after {slowest:?}"));
    Ok(())
}
