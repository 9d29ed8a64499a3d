//! What a task has used so far, or used in all once it has ended.
//!
//! Every figure is optional: a plugin states what it measured and leaves out what it did not. A zero is a measured zero.
//!
//! # Examples
//!
//! ```
//! use executor_api::{Usage, units::Bytes};
//! use std::time::Duration;
//!
//! let mut usage = Usage::default();
//! usage.memory_peak = Some(Bytes::mib(12));
//! usage.cpu_user = Some(Duration::from_millis(40));
//! assert_eq!(usage.io_read, None, "not measured, which is not zero");
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::millis;
use crate::units::Bytes;

/// Figures of a whole task, every process of it.
///
/// Example: [usage](self#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Memory charged to the task now.
    #[serde(rename = "memory_bytes")]
    pub memory: Option<Bytes>,
    /// The most memory that was charged to it at once.
    #[serde(rename = "memory_peak_bytes")]
    pub memory_peak: Option<Bytes>,
    /// Processor time in user mode.
    #[serde(rename = "cpu_user_ms", with = "millis")]
    pub cpu_user: Option<Duration>,
    /// Processor time in the kernel.
    #[serde(rename = "cpu_system_ms", with = "millis")]
    pub cpu_system: Option<Duration>,
    /// For how long its processor quota held it back.
    #[serde(rename = "cpu_throttled_ms", with = "millis")]
    pub cpu_throttled: Option<Duration>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// The most processes and threads at once.
    pub pids_peak: Option<u64>,
    /// Read from block devices.
    #[serde(rename = "io_read_bytes")]
    pub io_read: Option<Bytes>,
    /// Written to block devices.
    #[serde(rename = "io_written_bytes")]
    pub io_written: Option<Bytes>,
    /// How often the kernel killed for memory in this task; not a count of processes.
    pub oom_kills: Option<u64>,
}
