//! The running task: obeys orders, keeps its time, sees its end, and tells it.
//!
//! One loop over what comes from outside, the bell of ended children, and the next deadline. The end comes first: an order
//! or a deadline that finds the main process ended changes nothing, so a task that ended on its own is never said to have
//! been stopped.

use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use executor_api::{Ended, Outcome, Usage};
use executor_fallback::wire::{Ending, Order};
use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::launch::{Running, Task};
use crate::times::Times;
use crate::{sys, tell, tree};

/// A tree that dies at once is gone before the outcome is told; one that does not holds it up no longer than this.
const QUICK: Duration = Duration::from_millis(100);

/// After this the supervisor leaves those that cannot die to init.
const SLOW: Duration = Duration::from_secs(10);

/// Watches `task` to its end, and beyond until its tree is gone.
pub(crate) fn watch(task: Task<'_>) {
    let Task { running: task, mut outside, mut times, early } = task;
    obey_all(&task, &mut times, early.into_iter().map(Order::Signal));
    while !tree::reap_orphans(task.main) {
        // Asked again: only what reaches a living process counts.
        if !tree::has_ended(task.main) {
            keep_time(&task, &mut times);
        }
        outside.doze(task.children.as_fd(), times.next());
        tree::drain(&task.children);
        obey_all(&task, &mut times, outside.orders());
    }
    let finished = SystemTime::now();
    tree::signal_group(task.main, libc::SIGKILL);
    let status = sys::reap(task.main);
    let gone = tree::clear(&task.children, QUICK);
    let ended = status.map(|status| Outcome::from_status(status, times.cause()));
    let mut outcome = ended.unwrap_or_else(|_| Outcome::new(Ended::Unknown, times.cause()));
    outcome.started = Some(task.started);
    outcome.finished = Some(finished);
    // Recorded first: whoever is told must find it. Where that fails the host is told so as well; whoever has only the
    // record is told that nobody saw the end, since there is no other place that this process could leave word in.
    let unrecorded = outside.live.end(&outcome, &used()).err();
    let unrecorded = unrecorded.map(|error| error.errno().unwrap_or(libc::EIO));
    tell(outside.control, &Ending { outcome, unrecorded });
    // Whoever waits by the record is woken now, and not after the last of the tree is gone.
    drop(outside);
    if !gone {
        tree::clear(&task.children, SLOW);
    }
}

/// What the processes used that this one has reaped: the main process and those that came after it.
fn used() -> Usage {
    let mut usage = Usage::default();
    if let Ok(reaped) = getrusage(UsageWho::RUSAGE_CHILDREN) {
        let time = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
        usage.cpu_user = Some(time(reaped.user_time()));
        usage.cpu_system = Some(time(reaped.system_time()));
    }
    usage
}

fn obey_all(task: &Running, times: &mut Times, orders: impl IntoIterator<Item = Order>) {
    for order in orders {
        if !tree::has_ended(task.main) {
            obey(task, times, order);
        }
    }
}

fn obey(task: &Running, times: &mut Times, order: Order) {
    match order {
        // An invalid number is the caller's mistake, and the kernel changes nothing for it.
        Order::Signal(signal) => _ = sys::kill(task.main.as_raw(), signal.number()),
        Order::Kill => times.stop(Instant::now(), Duration::ZERO),
        Order::Stop(grace) => times.stop(Instant::now(), grace),
    }
    keep_time(task, times);
}

/// Kills the task or asks it to end, where it is time to.
fn keep_time(task: &Running, times: &mut Times) {
    if times.kills(Instant::now()) {
        tree::kill(task.main);
    } else if times.asks() {
        tree::signal_group(task.main, task.stop_signal.number());
        // A task that is held by SIGSTOP would not hear it.
        tree::signal_group(task.main, libc::SIGCONT);
    }
}
