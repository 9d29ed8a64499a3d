//! Many tasks, one after the other and all at once: nothing is left, and nothing slows down.

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant};

use executor_api::{Cause, TaskId};
use executor_loader::Task;
use executor_loader::executor_api;
use executor_tests::{Need, say, trial};
use libtest_mimic::{Failed, Trial};

use crate::expect::{same, truth, until};
use crate::host::Host;
use crate::place::Place;

const CYCLES: usize = 1000;
const CROWD: usize = 500;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_thousand_starts_and_kills_leave_nothing_and_do_not_slow_down", &[Need::Built], many_cycles),
        trial("five_hundred_tasks_at_once_are_found_and_stopped", &[Need::Built], many_at_once),
    ]
}

/// What a host says after all its cycles.
struct Cycles {
    first: u128,
    last: u128,
    fds: [usize; 2],
    all: Duration,
}

fn many_cycles() -> Result<(), Failed> {
    let mut run = one_run()?;
    if run.last * 2 > run.first * 3 {
        say(&format!("7. the last tenth took {} us, the first {}: again", run.last, run.first));
        run = one_run()?;
    }
    let Cycles { first, last, fds, all } = run;
    say(&format!("7. {CYCLES} cycles in {all:?}: medians of the tenths {first} us and {last} us, descriptors {fds:?}"));
    same("descriptors after", fds[1], fds[0])?;
    truth(last * 2 <= first * 3, || format!("a cycle took {first} us at first, {last} us at last"))
}

fn one_run() -> Result<Cycles, Failed> {
    let place = Place::new()?;
    let mut host = Host::new(&place)?;
    host.order(&format!("cycles {CYCLES}"))?;
    let begun = Instant::now();
    let mut tenths = Vec::new();
    // A line for each tenth, lest a slow host be taken for one that hangs.
    let line = loop {
        let line = host.line()?;
        match line.strip_prefix("tenth ") {
            Some(median) => tenths.push(median.parse()?),
            None => break line,
        }
    };
    let all = begun.elapsed();
    let fds = line.strip_prefix("descriptors ").and_then(|rest| rest.split_once(' ')).ok_or(line.clone())?;
    let fds = [fds.0.parse()?, fds.1.parse()?];
    same("tenths", tenths.len(), 10)?;
    host.rest()?;
    place.clean()?;
    Ok(Cycles { first: tenths[0], last: tenths[9], fds, all })
}

/// In a host: starts and kills a task so many times, and says how long that took and how many descriptors it has.
pub(crate) fn cycles(place: &Place, count: usize) {
    cycle(place, 0);
    let before = descriptors();
    for tenth in 0..10 {
        let times = (0..count / 10).map(|round| {
            let begun = Instant::now();
            cycle(place, 1 + tenth * count / 10 + round);
            begun.elapsed().as_micros()
        });
        let mut times: Vec<u128> = times.collect();
        times.sort_unstable();
        say(&format!("tenth {}", times[times.len() / 2]));
    }
    say(&format!("descriptors {before} {}", descriptors()));
}

fn cycle(place: &Place, round: usize) {
    let which = format!("c{round}");
    let task = place.start(&which, "exec sleep 1000").expect("it starts");
    task.kill().expect("it is killed");
    let outcome = task.wait().expect("an outcome");
    assert_eq!(outcome.cause, Cause::Stopped, "round {round}");
    // The record is kept until its supervisor has let go of it.
    until("collected", || place.state.collect(task.id()).ok()).expect("it has ended");
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn many_at_once() -> Result<(), Failed> {
    let place = Place::new()?;
    // The shell raises the number of descriptors as far as it may.
    let raise = ["/bin/sh", "-c", "ulimit -S -n $(ulimit -H -n); exec \"$0\" \"$@\""].map(OsString::from);
    let mut host = Host::under(&place, &raise)?;
    host.order(&format!("crowd {CROWD}"))?;
    let begun = Instant::now();
    let listed = format!("started {CROWD}");
    let said = std::iter::from_fn(|| Some(host.line()).filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())));
    let said = said.take_while(|line| line.as_ref().is_ok_and(|line| *line != listed)).count();
    truth(said * 50 == CROWD - 50, || format!("the host has given up after {said} answers"))?;
    let started = begun.elapsed();
    let mut expected: Vec<TaskId> = (0..CROWD).map(|number| place.id(&format!("m{number}"))).collect();
    expected.sort();
    same("the list", place.state.list()?, expected)?;
    // Half are stopped by another while their host lives, half after it was killed.
    let half = CROWD / 2;
    let begun = Instant::now();
    stop(&place, 0..half)?;
    host.kill()?;
    stop(&place, half..CROWD)?;
    let stopped = begun.elapsed();
    place.clean()?;
    say(&format!("7. {CROWD} tasks at once: started in {started:?}, all listed, stopped in {stopped:?}, nothing left"));
    Ok(())
}

fn stop(place: &Place, which: std::ops::Range<usize>) -> Result<(), Failed> {
    let tasks = which.map(|number| place.open(&format!("m{number}"))).collect::<Result<Vec<Task>, _>>()?;
    for task in &tasks {
        same("it runs", task.try_wait()?, None)?;
        task.kill()?;
    }
    tasks.iter().try_for_each(|task| same("cause", task.wait()?.cause, Cause::Stopped))
}

/// In a host: starts so many tasks, and keeps them.
pub(crate) fn crowd(place: &Place, count: usize) {
    let mut tasks: Vec<Task> = Vec::new();
    for number in 0..count {
        tasks.push(place.start(&format!("m{number}"), "exec sleep 1000").expect("it starts"));
        if tasks.len().is_multiple_of(50) {
            say(&format!("started {}", tasks.len()));
        }
    }
    loop {
        std::thread::park();
    }
}
