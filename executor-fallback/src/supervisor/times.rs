//! When a task is asked to end, when it is killed, and on whose account. Pure: the clock is the caller's.
//!
//! Two things end a task: an order to stop, which brings its grace, and the wall-clock limit, whose grace is in the spec.
//! Whoever is first gets the blame and asks, once and only if there is time to obey; of all graces the shortest counts.

use std::time::{Duration, Instant};

use executor_api::Cause;

/// What the time has in store for one task.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// The wall-clock limit, until it is reached.
    limit: Option<Instant>,
    /// How long the task has after the limit.
    grace: Duration,
    /// When it is killed.
    death: Option<Instant>,
    /// Whoever was first; the task itself where nobody was.
    cause: Option<Cause>,
    /// Whether it is yet to be asked.
    unasked: bool,
}

impl Times {
    /// For a task that begins `now`, with this limit and this grace behind it. A limit that the clock cannot express never
    /// comes.
    pub(crate) fn new(now: Instant, limit: Option<Duration>, grace: Option<Duration>) -> Self {
        let limit = limit.and_then(|limit| now.checked_add(limit));
        Self { limit, grace: grace.unwrap_or_default(), ..Self::default() }
    }

    /// Takes an order to stop.
    pub(crate) fn stop(&mut self, now: Instant, grace: Duration) {
        self.end(Cause::Stopped, now, grace);
    }

    /// Whether the task is to be killed now; each reason says so once.
    pub(crate) fn kills(&mut self, now: Instant) -> bool {
        if self.limit.take_if(|limit| *limit <= now).is_some() {
            self.end(Cause::TimedOut, now, self.grace);
        }
        self.death.take_if(|death| *death <= now).is_some()
    }

    /// Whether the task is to be asked now, if it is not killed; says so once.
    pub(crate) fn asks(&mut self) -> bool {
        std::mem::take(&mut self.unasked)
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.limit, self.death].into_iter().flatten().min()
    }

    /// On whose account it ends.
    pub(crate) fn cause(&self) -> Cause {
        self.cause.unwrap_or(Cause::Own)
    }

    fn end(&mut self, cause: Cause, now: Instant, grace: Duration) {
        self.unasked |= self.cause.is_none() && !grace.is_zero();
        self.cause.get_or_insert(cause);
        // The shortest grace counts. One that the clock cannot express never ends.
        self.death = [self.death, now.checked_add(grace)].into_iter().flatten().min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nobody_asked_means_on_its_own() {
        let mut times = Times::default();
        assert!(!times.kills(Instant::now()) && !times.asks());
        assert_eq!((times.next(), times.cause()), (None, Cause::Own));
    }

    #[test]
    fn whoever_is_first_gets_the_blame() {
        let now = Instant::now();
        let mut stopped = Times::new(now, Some(SECOND), None);
        stopped.stop(now, 5 * SECOND);
        assert!(stopped.asks());
        assert!(!stopped.kills(now) && stopped.kills(now + SECOND), "the limit holds during the grace");
        assert_eq!(stopped.cause(), Cause::Stopped);
        let mut late = Times::new(now, Some(SECOND), None);
        assert!(late.kills(now + SECOND));
        late.stop(now + SECOND, SECOND);
        assert!(!late.asks(), "it is being killed");
        assert_eq!(late.cause(), Cause::TimedOut);
        assert!(!late.kills(now + SECOND), "each reason kills once");
    }

    #[test]
    fn the_shortest_grace_counts_and_the_task_is_asked_once() {
        let now = Instant::now();
        let mut times = Times::default();
        times.stop(now, Duration::MAX);
        assert!(times.next().is_none(), "some graces never end");
        [3, 2, 9].into_iter().for_each(|seconds| times.stop(now, seconds * SECOND));
        assert!(times.asks() && !times.asks());
        assert_eq!(times.next(), Some(now + 2 * SECOND));
        assert!(!times.kills(now + SECOND) && times.kills(now + 2 * SECOND));
        let mut at_once = Times::default();
        at_once.stop(now, Duration::ZERO);
        assert!(at_once.kills(now) && !at_once.asks(), "no grace is no question");
    }

    #[test]
    fn at_its_limit_a_task_is_asked_and_has_its_grace() {
        let now = Instant::now();
        let mut times = Times::new(now, Some(SECOND), Some(3 * SECOND));
        assert!(!times.kills(now) && !times.asks(), "not before its limit");
        assert!(!times.kills(now + SECOND) && times.asks());
        assert_eq!((times.next(), times.cause()), (Some(now + 4 * SECOND), Cause::TimedOut));
        assert!(!times.kills(now + 3 * SECOND) && times.kills(now + 4 * SECOND));
        let mut at_once = Times::new(now, Some(SECOND), Some(Duration::ZERO));
        assert!(at_once.kills(now + SECOND) && !at_once.asks());
    }

    #[test]
    fn of_the_grace_of_a_stop_and_that_of_the_limit_the_shorter_counts() {
        let now = Instant::now();
        for (stop, death) in [(1, 2), (2, 3), (9, 4)] {
            let mut times = Times::new(now, Some(SECOND), Some(3 * SECOND));
            assert!(!times.kills(now + SECOND) && times.asks());
            times.stop(now + SECOND, stop * SECOND);
            assert!(!times.asks(), "it was asked");
            assert_eq!((times.next(), times.cause()), (Some(now + death * SECOND), Cause::TimedOut));
        }
        let mut times = Times::new(now, Some(SECOND), Some(3 * SECOND));
        times.stop(now, 100 * SECOND);
        assert!(times.asks() && !times.kills(now + SECOND) && !times.asks(), "it was asked before its limit");
        assert_eq!((times.next(), times.cause()), (Some(now + 4 * SECOND), Cause::Stopped));
    }
}
