//! Host and supervisor are killed at every system call of a start: the task is there, whole, or it is not.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use executor_api::{Cause, ErrorKind};
use executor_loader::executor_api;
use executor_tests::say;
use libtest_mimic::{Failed, Trial};

use crate::expect::{LONG, of_task, same, truth, until};
use crate::host::Host;
use crate::place::Place;
use crate::trace::{Stage, Who, traced};

/// A start has no fewer calls than these.
const LEAST: usize = 200;
/// How often each is tried: who is how far when it happens differs.
const PASSES: usize = 3;
/// How many are tried at a time.
const WORKERS: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    vec![traced("a_start_that_is_killed_at_any_call_leaves_a_task_or_nothing", everywhere)]
}

/// What was left of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A task that ran until it was killed.
    Ran,
    /// A record whose supervisor was gone.
    Lost,
    /// A task whose main process was killed in execve itself: whether the program had begun, nobody can tell.
    Died,
    Absent,
}

type Point = (Who, String, usize);

fn everywhere() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let calls = stage.calls()?;
    let points: Vec<Point> = (0..PASSES).flat_map(|_| calls.clone()).collect();
    let begun = Instant::now();
    let (queue, fates) = (Mutex::new(points.into_iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().expect("no worker panics here").next();
    let work = || -> Result<(), Failed> {
        let place = stage.place()?;
        let mut host = Host::new(&place)?;
        let mut number = 0;
        while let Some(point) = next() {
            number += 1;
            let fate = tried(&stage, &place, &mut host, &point, &format!("k{number}"));
            let fate = fate.map_err(|error| format!("{point:?}: {}", error.message().unwrap_or("?")))?;
            fates.lock().expect("no worker panics here").push((point.0, fate));
        }
        host.rest()?;
        place.clean()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    let fates = fates.into_inner().expect("no worker panicked");
    let count = |who: Who| {
        let of = |fate| fates.iter().filter(|found| **found == (who, fate)).count();
        let [ran, lost, died, absent] = [Fate::Ran, Fate::Lost, Fate::Died, Fate::Absent].map(of);
        format!("{who:?}: {ran} ran, {lost} lost, {died} died, {absent} absent")
    };
    let (host, supervisor, took) = (count(Who::Host), count(Who::Supervisor), begun.elapsed());
    say(&format!("3. killed at {} calls, {PASSES} times each, in {took:?}; {host}; {supervisor}", calls.len()));
    same("points", fates.len(), calls.len() * PASSES)?;
    truth(calls.len() >= LEAST, || format!("only {} calls", calls.len()))
}

/// Starts a task whose host or supervisor is killed at `point`.
fn tried(stage: &Stage, place: &Place, host: &mut Host, point: &Point, which: &str) -> Result<Fate, Failed> {
    let (who, call, nth) = point;
    // What the program does once it is executed is no part of the start.
    let bound = if call == "execve" { "" } else { "-b execve " };
    let options = format!("{bound}-o /dev/null -e inject={call}:signal=SIGKILL:when={nth}");
    match who {
        Who::Host => {
            let mut victim = Host::under(place, &stage.host_prefix(&options))?;
            // It may be gone before it has read the order.
            _ = victim.order(&format!("start {which} exec sleep 1000"));
            victim.rest()?;
        }
        Who::Supervisor => {
            stage.trace_supervisor(place, which, &options)?;
            let answer = host.ask(&format!("start {which} exec sleep 1000"))?;
            let reasoned = answer.starts_with("refused Some(") && answer.contains(": ");
            truth(reasoned || answer.starts_with("started "), || format!("the host says {answer:?}"))?;
        }
    }
    let fate = settled(place, which)?;
    truth(fate != Fate::Died || call == "execve", || "a task was said to run whose program was never executed".into())?;
    place.gone(&place.id(which).to_string())?;
    place.collect()?;
    Ok(fate)
}

/// Finds the task and kills it, or makes sure that there is none and that none is to come.
fn settled(place: &Place, which: &str) -> Result<Fate, Failed> {
    until("it is there or not", || {
        let nobody = place.processes(which).is_empty();
        match of_task(place.open(which)) {
            Ok(Ok(task)) => Some(killed(&task)),
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => nobody.then_some(Ok(Fate::Absent)),
            Ok(Err(error)) => Some(Err(format!("neither there nor not: {error}").into())),
            Err(error) => Some(Err(error)),
        }
    })?
}

fn killed(task: &executor_loader::Task) -> Result<Fate, Failed> {
    task.kill()?;
    let outcome = task.wait_timeout(LONG)?.ok_or("it was killed and runs")?;
    same("again", task.wait()?, outcome)?;
    match outcome.cause {
        Cause::Stopped => Ok(Fate::Ran),
        Cause::Lost => Ok(Fate::Lost),
        Cause::Own => Ok(Fate::Died),
        other => Err(format!("ended by {other:?}").into()),
    }
}
