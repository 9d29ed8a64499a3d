//! The descriptors of one task by their slots, and records that name them.

use crate::sys::{Errno, Fd, Result};
use crate::wire::{MOST_SLOTS, Record};

/// The descriptors that came beside a request, and those that came later.
pub(crate) struct Table {
    pub(crate) fds: [Fd; MOST_SLOTS],
    pub(crate) count: usize,
}

impl Table {
    pub(crate) const fn empty() -> Self {
        Self { fds: [Fd(-1); MOST_SLOTS], count: 0 }
    }

    /// The descriptor in a slot.
    pub(crate) fn fd(&self, slot: u64) -> Result<Fd> {
        let fds = self.fds.get(..self.count).ok_or(Errno::BADF)?;
        usize::try_from(slot).ok().and_then(|slot| fds.get(slot).copied()).ok_or(Errno::BADF)
    }

    /// The descriptor in a slot, if it is one.
    pub(crate) fn optional(&self, slot: u64) -> Option<Fd> {
        self.fd(slot).ok()
    }
}

/// Obeys `count` records of `script`, counted from `first`; tells which one was refused, and what follows them.
pub(crate) fn each<'a>(
    mut script: &'a [u8],
    count: u64,
    mut obey: impl FnMut(u64, &Record<'a>, &'a [u8]) -> Result<()>,
) -> core::result::Result<&'a [u8], (u64, Errno)> {
    for step in 0..count {
        let (record, rest) = Record::first(script).ok_or((step, Errno::INVAL))?;
        obey(step, &record, script).map_err(|errno| (step, errno))?;
        script = rest;
    }
    Ok(script)
}
