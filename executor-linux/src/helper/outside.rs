//! All that reaches a task from outside: orders from its host and from anybody else, descriptors that come late, and the
//! end of a host that it must not outlive.
//!
//! It says what is to be done and touches no process. A host that is gone, or talks nonsense, is not listened to any more;
//! once the task runs, it goes on.

use crate::sys::{self, Clock, Errno, Fd, Result, Source};
use crate::table::Table;
use crate::times::Times;
use crate::wire::{Head, LATE, MOST_SLOTS, NEVER, Order};

/// Orders that are read at once.
const MANY: usize = 32;

/// The world outside of one task.
pub(crate) struct Outside {
    pub(crate) times: Times,
    /// Signals for the main process that have come, as a set.
    signals: u64,
    /// The reply socket, as long as the host is listened to.
    host: Option<Fd>,
    /// The record's FIFO.
    anybody: Option<Fd>,
    /// The host's process, where the task ends with it.
    bond: Option<Fd>,
}

impl Outside {
    /// The time counts from here, so that the limit is never longer than asked for.
    pub(crate) fn new(head: &Head, table: &Table, reply: Fd) -> Self {
        let times = Times::new(sys::now_ms(Clock::Steady), head.wall_ms, head.grace_ms);
        let [.., control, _] = head.record;
        Self { times, signals: 0, host: Some(reply), anybody: table.optional(control), bond: table.optional(head.host) }
    }

    /// Waits until something comes, until `bell` rings, or until it is time.
    pub(crate) fn doze(&self, bell: Option<Fd>) {
        let next = self.times.next_ms();
        let left = (next != NEVER).then(|| next.saturating_sub(sys::now_ms(Clock::Steady)));
        let mut sources = [self.host, self.anybody, self.bond, bell].map(|fd| Source::new(fd.unwrap_or(Fd(-1))));
        // However this ends, whoever waits looks for itself.
        _ = sys::poll(&mut sources, left);
    }

    /// Takes what has come; descriptors go into `late`, if they are waited for.
    pub(crate) fn hear(&mut self, late: Option<&mut Table>) {
        let mut heard = [self.host, self.anybody, self.bond].map(|fd| Source::new(fd.unwrap_or(Fd(-1))));
        _ = sys::poll(&mut heard, Some(0));
        let [host, anybody, bond] = heard.map(|source| source.is_ready());
        if host {
            self.hear_host(late);
        }
        if anybody {
            self.hear_anybody();
        }
        if bond {
            self.bond = None;
            self.times.stop(sys::now_ms(Clock::Steady), 0);
        }
    }

    fn hear_host(&mut self, mut late: Option<&mut Table>) {
        let mut room = [0; Order::LEN];
        while let Some(host) = self.host {
            let mut fds = [Fd(-1); MOST_SLOTS];
            let received = match sys::receive(host, &mut room, &mut fds, false) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.host = None;
                    return;
                }
            };
            let fds = &fds[..received.beside];
            match (&room[..received.length], late.as_deref_mut()) {
                ([LATE], Some(table)) if table.count + fds.len() <= MOST_SLOTS => {
                    table.fds[table.count..table.count + fds.len()].copy_from_slice(fds);
                    table.count += fds.len();
                    continue;
                }
                (order, _) => match <[u8; Order::LEN]>::try_from(order).ok().and_then(Order::from_bytes) {
                    Some(order) => self.take(order),
                    None => self.host = None,
                },
            }
            fds.iter().for_each(|fd| sys::close(*fd));
        }
    }

    /// Orders are written at once, so a part of one is none, and must not shift those that come.
    fn hear_anybody(&mut self) {
        let mut room = [0; MANY * Order::LEN];
        let Some(fifo) = self.anybody else { return };
        // Readable, so it does not wait, and nobody else reads it.
        let length = sys::read(fifo, &mut room).unwrap_or(0);
        for order in room[..length].chunks_exact(Order::LEN) {
            if let Some(order) = order.try_into().ok().and_then(Order::from_bytes) {
                self.take(order);
            }
        }
    }

    fn take(&mut self, order: Order) {
        let now_ms = sys::now_ms(Clock::Steady);
        match order {
            Order::Signal(signal) => self.signals |= sys::signal_bit(signal),
            Order::Stop(grace_ms) => self.times.stop(now_ms, grace_ms),
            Order::Kill => self.times.stop(now_ms, 0),
        }
    }

    /// The signals that have come since this was asked before.
    pub(crate) fn signals(&mut self) -> impl Iterator<Item = i32> + use<> {
        let signals = core::mem::take(&mut self.signals);
        (1..=64).filter(move |signal| signals & sys::signal_bit(*signal) != 0)
    }

    /// Whether a start is to be given up: it was stopped, its time is over, or nobody can be told any more that it runs.
    pub(crate) fn is_over(&mut self) -> bool {
        self.host.is_none() || self.times.kills(sys::now_ms(Clock::Steady))
    }

    /// Waits for `wanted` descriptors.
    ///
    /// Errors: `ECANCELED` where the start is over first.
    pub(crate) fn late(&mut self, table: &mut Table, wanted: u64) -> Result<()> {
        let goal = table.count + usize::try_from(wanted).map_err(|_| Errno::INVAL)?;
        while table.count < goal {
            self.hear(Some(table));
            if self.is_over() {
                return Err(Errno::CANCELED);
            }
            if table.count < goal {
                self.doze(None);
            }
        }
        Ok(())
    }
}
