//! When a task is asked to end, when it is killed, and on whose account. Pure: the clock is the caller's, in milliseconds.
//!
//! The rules are those of the fallback plugin. Two things end a task: an order to stop, which brings its grace, and the
//! wall-clock limit, whose grace is in the script. Whoever is first gets the blame and asks, once and only if there is
//! time to obey; of all graces the shortest counts.

use super::reply::Why;
use super::wire::NEVER;

/// What the time has in store for one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The wall-clock limit, until it is reached.
    limit_ms: u64,
    /// How long the task has after the limit.
    grace_ms: u64,
    /// When it is killed.
    death_ms: u64,
    why: Why,
    /// Whether it is yet to be asked.
    unasked: bool,
}

impl Times {
    /// For a task that begins now, with this limit and this grace behind it.
    pub(crate) fn new(now_ms: u64, wall_ms: u64, grace_ms: u64) -> Self {
        Self { limit_ms: after(now_ms, wall_ms), grace_ms, death_ms: NEVER, why: Why::Own, unasked: false }
    }

    /// Takes an order to stop.
    pub(crate) fn stop(&mut self, now_ms: u64, grace_ms: u64) {
        self.end(Why::Stopped, now_ms, grace_ms);
    }

    /// Whether the task is to be killed now; each reason says so once.
    pub(crate) fn kills(&mut self, now_ms: u64) -> bool {
        if self.limit_ms <= now_ms {
            self.limit_ms = NEVER;
            self.end(Why::TimedOut, now_ms, self.grace_ms);
        }
        let kills = self.death_ms <= now_ms;
        if kills {
            self.death_ms = NEVER;
        }
        kills
    }

    /// Whether the task is to be asked now, if it is not killed; says so once.
    pub(crate) fn asks(&mut self) -> bool {
        core::mem::take(&mut self.unasked)
    }

    /// When to look again; [`NEVER`] for never.
    pub(crate) fn next_ms(&self) -> u64 {
        self.limit_ms.min(self.death_ms)
    }

    /// On whose account it ends.
    pub(crate) fn why(&self) -> Why {
        self.why
    }

    fn end(&mut self, why: Why, now_ms: u64, grace_ms: u64) {
        if self.why == Why::Own {
            self.why = why;
            self.unasked = grace_ms != 0;
        }
        self.death_ms = self.death_ms.min(after(now_ms, grace_ms));
    }
}

/// When `time_ms` is over: the millisecond that has begun does not count, so it is never over early.
fn after(now_ms: u64, time_ms: u64) -> u64 {
    if time_ms == 0 { now_ms } else { now_ms.saturating_add(time_ms).saturating_add(1) }
}
