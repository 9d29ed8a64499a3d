//! The running task: obeys orders, keeps its time, sees its end, and tells it.
//!
//! One loop over four things: the host's socket, the record's orders, the bell of ended children, and the next deadline. The end comes
//! first: an order or a deadline that finds the main process ended changes nothing, so a task that ended on its own is
//! never said to have been stopped.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use executor_api::{Cause, Ended, Outcome, Usage};
use executor_fallback::wire::Order;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::inbox::{From, Inbox};
use crate::launch::{Running, Task};
use crate::{sys, tell, tree};

/// A tree that dies at once is gone before the outcome is told; one that does not holds it up no longer than this.
const QUICK: Duration = Duration::from_millis(100);

/// After this the supervisor leaves those that cannot die to init.
const SLOW: Duration = Duration::from_secs(10);

/// Watches `task` to its end, and beyond until its tree is gone.
pub(crate) fn watch(task: Task, mut control: UnixStream) {
    let Task { running: task, mut live } = task;
    let mut times = Times { limit: task.limit, ..Times::default() };
    let (mut host, mut others) = (Inbox::new(From::Host), Inbox::new(From::Anybody));
    if control.set_nonblocking(true).is_err() {
        // A host that cannot be listened to without waiting for it is not listened to.
        host.close();
    }
    while !tree::reap_orphans(task.main) {
        if times.due(Instant::now()) && !tree::has_ended(task.main) {
            tree::kill(task.main);
        }
        let sources = [(host.is_open(), control.as_fd()), (others.is_open(), live.orders())];
        doze(&task, sources, times.next());
        tree::drain(&task.children);
        let mut orders = host.orders(|room| (&control).read(room));
        orders.extend(others.orders(|room| live.read_orders(room)));
        for order in orders {
            // Asked again for each: only what reaches a living process counts.
            if !tree::has_ended(task.main) {
                obey(&task, &mut times, order);
            }
        }
    }
    let finished = SystemTime::now();
    tree::signal_group(task.main, libc::SIGKILL);
    let status = sys::reap(task.main);
    let gone = tree::clear(&task.children, QUICK);
    let ended = status.map(|status| Outcome::from_status(status, times.cause()));
    let mut outcome = ended.unwrap_or_else(|_| Outcome::new(Ended::Unknown, times.cause()));
    outcome.started = Some(task.started);
    outcome.finished = Some(finished);
    // Recorded first: whoever is told must find it. Where that fails the host is told all the same, and others are told
    // that nobody saw the end.
    _ = live.end(&outcome, &used());
    tell(&mut control, &outcome);
    // Whoever waits by the record is woken now, and not after the last of the tree is gone.
    drop(live);
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

/// Waits until something happens, or until `until`.
fn doze(task: &Running, sources: [(bool, BorrowedFd<'_>); 2], until: Option<Instant>) {
    let mut fds = vec![PollFd::new(task.children.as_fd(), PollFlags::POLLIN)];
    let open = sources.into_iter().filter(|(open, _)| *open);
    fds.extend(open.map(|(_, fd)| PollFd::new(fd, PollFlags::POLLIN)));
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let millis = left.map(|left| left.as_nanos().div_ceil(1_000_000));
    let timeout = millis.map_or(PollTimeout::NONE, |ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    // However this ends, the loop looks for itself.
    _ = poll(&mut fds, timeout);
}

fn obey(task: &Running, times: &mut Times, order: Order) {
    match order {
        // An invalid number is the caller's mistake, and the kernel changes nothing for it.
        Order::Signal(signal) => _ = sys::kill(task.main.as_raw(), signal.number()),
        Order::Kill => {
            times.stop(Instant::now(), Duration::ZERO);
        }
        Order::Stop(grace) => {
            if times.stop(Instant::now(), grace) {
                tree::signal_group(task.main, libc::SIGTERM);
                // A task that is held by SIGSTOP would not hear it.
                tree::signal_group(task.main, libc::SIGCONT);
            }
        }
    }
}

/// When the task is to be killed, and on whose account.
#[derive(Debug, Default)]
struct Times {
    /// The wall-clock limit.
    limit: Option<Instant>,
    /// The end of the grace after a stop.
    grace: Option<Instant>,
    /// Whoever was first; the task itself where nobody was.
    cause: Option<Cause>,
}

impl Times {
    /// Takes an order to stop; true when the task is to be asked, which is done once and only if there is time to obey.
    fn stop(&mut self, now: Instant, grace: Duration) -> bool {
        let first = self.cause.is_none();
        self.cause.get_or_insert(Cause::Stopped);
        // The shortest grace counts. One that the clock cannot express never ends.
        self.grace = [self.grace, now.checked_add(grace)].into_iter().flatten().min();
        first && !grace.is_zero()
    }

    /// Whether the task is to be killed now; each reason says so once.
    fn due(&mut self, now: Instant) -> bool {
        let timed_out = self.limit.take_if(|limit| *limit <= now).is_some();
        if timed_out {
            self.cause.get_or_insert(Cause::TimedOut);
        }
        self.grace.take_if(|grace| *grace <= now).is_some() || timed_out
    }

    /// When to ask again.
    fn next(&self) -> Option<Instant> {
        [self.limit, self.grace].into_iter().flatten().min()
    }

    fn cause(&self) -> Cause {
        self.cause.unwrap_or(Cause::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nobody_asked_means_on_its_own() {
        let mut times = Times::default();
        assert!(!times.due(Instant::now()));
        assert_eq!((times.next(), times.cause()), (None, Cause::Own));
    }

    #[test]
    fn whoever_is_first_gets_the_blame() {
        let now = Instant::now();
        let mut stopped = Times { limit: Some(now + SECOND), ..Times::default() };
        assert!(stopped.stop(now, 5 * SECOND), "it is asked");
        assert!(stopped.due(now + SECOND), "the limit holds during the grace");
        assert_eq!(stopped.cause(), Cause::Stopped);
        let mut late = Times { limit: Some(now + SECOND), ..Times::default() };
        assert!(late.due(now + SECOND));
        assert!(!late.stop(now + SECOND, SECOND), "it is being killed");
        assert_eq!(late.cause(), Cause::TimedOut);
        assert!(!late.due(now + SECOND), "each reason kills once");
    }

    #[test]
    fn the_shortest_grace_counts_and_the_task_is_asked_once() {
        let now = Instant::now();
        let mut times = Times::default();
        assert!(times.stop(now, Duration::MAX) && times.next().is_none(), "some graces never end");
        assert!(!times.stop(now, 3 * SECOND) && !times.stop(now, 2 * SECOND) && !times.stop(now, 9 * SECOND));
        assert_eq!(times.next(), Some(now + 2 * SECOND));
        assert!(!times.due(now + SECOND) && times.due(now + 2 * SECOND));
        let mut at_once = Times::default();
        assert!(!at_once.stop(now, Duration::ZERO) && at_once.due(now), "no grace is no question");
    }
}
