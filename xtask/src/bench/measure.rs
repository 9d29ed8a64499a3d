//! Runs one program and tells what that cost: time by the clock, and processor time of all that it started.
//!
//! On Linux what a program leaves behind becomes a child of this process, and is waited for and counted too; elsewhere
//! the processor time is that of the children that the program itself waited for. Wants a process with one thread.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::wait;

use crate::error::{Doing, Result};

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// User and system together.
    pub(super) cpu: Duration,
}

/// Makes this process the parent of what its children leave behind.
pub(super) fn adopt_orphans() -> Result {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true).doing("become the parent of orphans")?;
    Ok(())
}

/// Runs `command` to its end; the clock stops there, the processor time when everything that it started has ended.
pub(super) fn measure(command: &mut Command) -> Result<(Output, Cost)> {
    let what = format!("run {}", command.get_program().display());
    let before = cpu_of_children()?;
    let began = Instant::now();
    let output = command.output().doing(what)?;
    let wall = began.elapsed();
    loop {
        match wait() {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => break,
            Err(errno) => return Err(errno).doing("wait for what a program left behind"),
        }
    }
    Ok((output, Cost { wall, cpu: cpu_of_children()?.saturating_sub(before) }))
}

fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).doing("ask for the time of children")?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.unsigned_abs()))
}

/// The value that this share of `sorted`, in percent, is at most.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent).as_millis();
        assert_eq!([at(0), at(10), at(50), at(95), at(100)], [1, 2, 10, 19, 20]);
        assert_eq!(percentile(&values[..1], 95), values[0]);
    }
}
