//! An id belongs to one task at a time: until it is collected, and whoever else wants it.

use std::time::{Duration, Instant};

use executor_api::record::Collected;
use executor_api::{Cause, Ended, ErrorKind, units::Signal};
use executor_loader::executor_api;
use executor_tests::{Need, say, trial};
use libtest_mimic::{Failed, Trial};

use crate::expect::{LONG, ended, of_task, refused, same, truth};
use crate::host::Host;
use crate::place::Place;
use crate::trace::{Stage, traced};

/// How often two hosts want the same id.
const RACES: usize = 100;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Need::Built];
    vec![
        trial("an_id_is_taken_until_its_task_is_collected", needs, taken),
        trial("a_task_that_has_ended_can_be_collected_at_once", needs, collected),
        traced("a_task_that_has_ended_can_be_collected_before_its_supervisor_lets_go", collected_early),
        trial("who_holds_a_lock_for_long_is_named", needs, stuck),
        trial("one_of_two_hosts_gets_a_name", needs, race),
    ]
}

fn taken() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = place.start("one", "exec sleep 1000")?;
    let again = || of_task(place.shell("one", "touch WORK/ran").start(&place.loader));
    let error = refused("while it runs", again()?, ErrorKind::Exists)?;
    truth(error.fix().is_some(), || format!("no fix: {error}"))?;
    refused("collect", place.state.collect(&place.id("one")), ErrorKind::Busy)?;
    same("collect_all", place.state.collect_all()?, Collected::default())?;
    same("it runs", task.try_wait()?, None)?;
    task.kill()?;
    ended(&task.wait()?, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
    refused("after the end", again()?, ErrorKind::Exists)?;
    same("what was refused ran", place.work("ran").exists(), false)?;
    place.clean()?;
    refused("collect", place.state.collect(&place.id("one")), ErrorKind::NotFound)?;
    let next = place.start("one", "exit 3")?;
    ended(&next.wait()?, Ended::Exited(3), Cause::Own)?;
    place.clean()?;
    say("8. an id is taken until it is collected: Exists, Busy, NotFound, free");
    Ok(())
}

/// Whoever was told the end may collect the task.
fn collected() -> Result<(), Failed> {
    const ROUNDS: usize = 200;
    let place = Place::new()?;
    let mut busy = Vec::new();
    for _ in 0..ROUNDS {
        let task = place.start("one", "exec sleep 1000")?;
        task.kill()?;
        task.wait()?;
        busy.extend(place.state.collect(&place.id("one")).err());
        place.clean()?;
    }
    truth(busy.is_empty(), || format!("{} of {ROUNDS} refused, first: {}", busy.len(), busy[0]))?;
    say(&format!("8. collected right after the end: {ROUNDS} rounds"));
    Ok(())
}

/// The same, where the supervisor is slow to let go of the record after it has told the end.
fn collected_early() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    stage.trace_supervisor(&place, "one", "-o /dev/null -e inject=write,sendto:delay_exit=200000")?;
    let task = place.start("one", "exec sleep 1000")?;
    task.kill()?;
    task.wait()?;
    place.state.collect(&place.id("one"))?;
    place.clean()?;
    say("8. collected while the supervisor has yet to let go");
    Ok(())
}

fn stuck() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = place.start("one", "exit 7")?;
    ended(&task.wait()?, Ended::Exited(7), Cause::Own)?;
    crate::expect::until("its supervisor is gone", || place.processes("one").is_empty().then_some(()))?;
    let mut holder = Host::new(&place)?;
    let answer = holder.ask(&format!("hold {}", place.record_dir("one").join("lock").display()))?;
    same("the holder", answer.as_str(), "held")?;
    ended(&place.open("one")?.wait()?, Ended::Exited(7), Cause::Own)?;
    let begun = Instant::now();
    let error = refused("collect", place.state.collect(&place.id("one")), ErrorKind::Busy)?;
    let took = begun.elapsed();
    let named = error.to_string().contains(&format!("process {}", holder.pid()));
    truth(named, || format!("process {} is not named: {error}", holder.pid()))?;
    truth(took < Duration::from_secs(7), || format!("it took {took:?}"))?;
    let collected = place.state.collect_all()?;
    let [(what, _)] = &collected.left[..] else { return Err(format!("{collected:?}").into()) };
    same("what is left", what.as_str(), place.id("one").to_string().as_str())?;
    holder.kill()?;
    place.clean()?;
    say(&format!("8. a stuck collector is named after {took:?}"));
    Ok(())
}

fn race() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut hosts = [Host::new(&place)?, Host::new(&place)?];
    let mut won = [0, 0];
    for round in 0..RACES {
        let which = format!("r{round}");
        for host in &mut hosts {
            host.order(&format!("start {which} exec sleep 1000"))?;
        }
        let [first, second] = [hosts[0].line()?, hosts[1].line()?];
        let answers = [&first, &second];
        let winners = answers.map(|answer| answer.starts_with("started "));
        let taken = answers.iter().any(|answer| answer.starts_with("refused Some(Exists)"));
        truth(winners[0] != winners[1] && taken, || format!("round {round}: {answers:?}"))?;
        won[usize::from(winners[1])] += 1;
        let task = place.open(&which)?;
        same("it runs", task.try_wait()?, None)?;
        task.stop(Duration::ZERO)?;
        same("the end", task.wait_timeout(LONG)?.map(|end| end.cause), Some(Cause::Stopped))?;
    }
    drop(hosts);
    place.clean()?;
    say(&format!("9. two hosts want one name: {RACES} rounds, won by {won:?}"));
    Ok(())
}
