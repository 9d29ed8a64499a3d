//! A task is stopped by whoever has found it: with its grace, by two at once, and while it is only being started.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use executor_api::{Cause, Ended, ErrorKind, units::Signal};
use executor_loader::executor_api;
use executor_loader::{Stdio, Task};
use executor_tests::{Need, say, trial};
use libtest_mimic::{Failed, Trial};

use crate::expect::{LONG, PROMPT, ended, of_task, same, truth, until};
use crate::place::Place;
use crate::processes;

/// How much later than its grace a task may be gone on a machine that does other things as well.
const LATE: Duration = Duration::from_millis(300);
/// Does not listen.
const STUBBORN: &str = "trap '' TERM; echo $$ >WORK/ready; while :; do sleep 0.02; done";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Need::Built];
    vec![
        trial("a_child_in_the_background_holds_nobody_up", needs, background),
        trial("a_frozen_task_can_be_killed_by_another", needs, frozen),
        trial("the_grace_is_kept_for_another_as_for_the_host", needs, grace),
        trial("two_may_stop_a_task_at_once", needs, two),
        trial("a_task_that_is_being_started_is_there_or_not", needs, early),
    ]
}

fn background() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut command = place.shell("one", "sleep 1000 & echo $$ >WORK/ready; read go; exit 4");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut task = command.start(&place.loader)?;
    place.written("ready")?;
    let other = place.open("one")?;
    task.stdin = None;
    let begun = Instant::now();
    ended(&task.wait()?, Ended::Exited(4), Cause::Own)?;
    ended(&other.wait()?, Ended::Exited(4), Cause::Own)?;
    let took = begun.elapsed();
    truth(took < PROMPT, || format!("it took {took:?}"))?;
    let mut rest = String::new();
    task.stdout.take().ok_or("no pipe")?.read_to_string(&mut rest)?;
    place.clean()?;
    say(&format!("6. a child in the background that holds stdout: both waiters told after {took:?}"));
    Ok(())
}

fn frozen() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = place.start("one", "echo $$ >WORK/ready; kill -STOP $$; exit 0")?;
    let main: i32 = place.written("ready")?.parse()?;
    until("it is stopped", || (processes::state(main).as_deref() == Some("T")).then_some(()))?;
    place.open("one")?.kill()?;
    ended(&task.wait_timeout(LONG)?.ok_or("it runs")?, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
    place.clean()?;
    say("6. a task that is held by SIGSTOP: killed by another");
    Ok(())
}

fn grace() -> Result<(), Failed> {
    let mut times = Vec::new();
    for millis in [0, 100, 300, 1000] {
        for by_host in [true, false] {
            let place = Place::new()?;
            let task = place.start("one", STUBBORN)?;
            place.written("ready")?;
            let stopper = if by_host { &task } else { &place.open("one")? };
            let grace = Duration::from_millis(millis);
            let begun = Instant::now();
            stopper.stop(grace)?;
            let took = begun.elapsed();
            ended(&stopper.wait()?, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
            let kept = (grace..grace + LATE).contains(&took);
            truth(kept, || format!("a grace of {grace:?} took {took:?} (by the host: {by_host})"))?;
            times.push(format!("{millis}: {}", took.as_millis()));
            // A host that does not ask for the end reaps the supervisor when it drops the task.
            drop(task);
            place.clean()?;
        }
    }
    say(&format!("6. grace and time that it took, in ms: {}", times.join(", ")));
    Ok(())
}

fn two() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = place.start("one", STUBBORN)?;
    place.written("ready")?;
    let others = [place.open("one")?, place.open("one")?];
    let stop = |task: &Task, millis| {
        let begun = Instant::now();
        task.stop(Duration::from_millis(millis)).map(|()| begun.elapsed())
    };
    let (long, short) = thread::scope(|scope| {
        let long = scope.spawn(|| stop(&others[0], 10_000));
        let short = stop(&others[1], 300);
        (long.join(), short)
    });
    let (long, short) = (long.map_err(|_| "a stop panicked")??, short?);
    truth(short >= Duration::from_millis(300), || format!("the shorter grace was {short:?}"))?;
    truth(long < Duration::from_millis(600) + LATE, || format!("the shorter grace counts, and it took {long:?}"))?;
    let outcome = task.wait()?;
    ended(&outcome, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
    same("both know", [others[0].wait()?, others[1].wait()?], [outcome; 2])?;
    drop(task);
    place.clean()?;
    say(&format!("6. two stop at once, graces 10 s and 300 ms: both done after {long:?} and {short:?}"));
    Ok(())
}

/// Opens an id again and again while its supervisor is being started, and kills the task as soon as it is there: before its
/// program is executed, and then the start says so, or after.
fn early() -> Result<(), Failed> {
    const ROUNDS: usize = 50;
    let place = Place::new()?;
    let (mut absent, mut there, mut before) = (0, 0, 0);
    for round in 0..ROUNDS {
        let which = format!("e{round}");
        let done = AtomicBool::new(false);
        let (started, opened) = thread::scope(|scope| {
            let looker = scope.spawn(|| look(&place, &which, &done));
            let started = of_task(place.shell(&which, "exec sleep 1000").start(&place.loader));
            // A start that was refused for another reason has left nothing to look for.
            done.store(!matches!(&started, Ok(Ok(_))), Ordering::Relaxed);
            (started, looker.join())
        });
        let (missed, found) = opened.map_err(|_| "the looker panicked")??;
        (absent, there) = (absent + missed, there + usize::from(found));
        match started? {
            Ok(task) => {
                let outcome = task.wait_timeout(LONG)?.ok_or("it was killed and runs")?;
                ended(&outcome, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
            }
            Err(error) if error.kind() == ErrorKind::Busy => before += 1,
            Err(error) => return Err(error.to_string().into()),
        }
    }
    same("it was found each time", there, ROUNDS)?;
    place.clean()?;
    say(&format!(
        "6. killed while being started: {ROUNDS} rounds, {absent} times not there yet, {before} before the program"
    ));
    Ok(())
}

/// Kills the task as soon as it is found; how often it was not there, and whether it was at last.
fn look(place: &Place, which: &str, done: &AtomicBool) -> Result<(usize, bool), Failed> {
    let begun = Instant::now();
    let mut missed = 0;
    while !done.load(Ordering::Relaxed) && begun.elapsed() < LONG {
        match of_task(place.open(which))? {
            Ok(task) => {
                task.kill()?;
                same("the cause", task.wait_timeout(LONG)?.map(|outcome| outcome.cause), Some(Cause::Stopped))?;
                return Ok((missed, true));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => missed += 1,
            Err(error) => return Err(format!("neither there nor not: {error}").into()),
        }
    }
    Ok((missed, false))
}
