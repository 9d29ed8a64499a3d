//! Where a task is on its way: which calls are in order, whoever makes them from whatever thread.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Where a task is on its way. `Failed` never comes back: a new task is made with `create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Created,
    Preparing,
    Limited,
    Starting,
    Started,
    Opened,
    Failed,
}

/// A [`Phase`] that many threads look at: without a lock, since every call on a task does.
pub(super) struct AtPhase(AtomicU8);

impl AtPhase {
    pub(super) fn new(phase: Phase) -> Self {
        Self(AtomicU8::new(phase as u8))
    }

    const ALL: [Phase; 7] = [
        Phase::Created,
        Phase::Preparing,
        Phase::Limited,
        Phase::Starting,
        Phase::Started,
        Phase::Opened,
        Phase::Failed,
    ];

    /// The phase at this moment.
    pub(super) fn now(&self) -> Phase {
        Self::ALL.get(usize::from(self.0.load(Ordering::Acquire))).copied().unwrap_or(Phase::Failed)
    }

    /// Moves to `phase`, by the thread that has the way there.
    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// Moves from `from` to `to`, alone of all threads; refuses elsewhere.
    pub(super) fn advance(&self, act: &str, from: Phase, to: Phase) -> Result<()> {
        let moved = self.0.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire);
        moved.map(drop).map_err(|_| refuse(act, self.now()))
    }

    /// Refuses before the task was started.
    pub(super) fn started(&self, act: &str) -> Result<()> {
        match self.now() {
            Phase::Started | Phase::Opened | Phase::Starting => Ok(()),
            other => Err(refuse(act, other)),
        }
    }
}

fn refuse(act: &str, phase: Phase) -> Error {
    Error::new(ErrorKind::Busy, format!("{act} the task"), phase.words())
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Self::Created => "its limits have not been set: call limit first, an empty document is enough",
            Self::Preparing => "its limits or its directory are being set",
            Self::Limited => "it has not been started",
            Self::Starting => "it is being started",
            Self::Started => "it has been started",
            Self::Opened => "it was started by another process",
            Self::Failed => "its start failed or it was stopped before; make another task",
        }
    }
}
