//! Runs commands with least privilege and hard limits, by whichever executor plugin of this host can enforce them.
//!
//! [`Loader`] finds the installed plugins, checks their files, asks each in a process of its own what it can do here, and
//! loads the one that a task needs. [`Command`] and [`Task`] are used like `std::process::Command` and `Child`.
//!
//! # Examples
//!
//! ```no_run
//! use executor_loader::{Command, Loader, Stdio};
//! use std::time::Duration;
//!
//! fn main() -> Result<(), executor_loader::Error> {
//!     let loader = Loader::new()?;
//!     let mut command = Command::new("make");
//!     command.arg("-j4").current_dir("/srv/build").timeout(Duration::from_secs(600)).stdout(Stdio::inherit());
//!     let task = command.start(&loader)?;
//!     println!("{} {}", task.id(), task.wait()?);
//!     Ok(())
//! }
//! ```
//!
//! # Layers
//!
//! `search` finds files, `trust`, `allow` (`lock`, `signature`) and `elf` check them without running them, `probe` (with the program of
//! `prober`) asks them in another process, `cache` remembers the answers, `discover` puts these in order; `choose` is
//! pure; `open` is the only place that maps a plugin into this process; `command` and `task` are what hosts use.

mod allow;
mod builder;
mod cache;
mod candidate;
pub mod choose;
mod command;
mod discover;
mod elf;
mod error;
mod loader;
mod lock;
mod logs;
#[expect(unsafe_code, reason = "mapping a library and reading its symbol is what this module is for")]
mod open;
mod probe;
#[doc(hidden)]
pub mod prober;
mod records;
mod refusal;
mod search;
mod signature;
mod stdio;
mod task;
mod trust;
#[cfg(feature = "tokio")]
#[expect(unsafe_code, reason = "tokio takes a descriptor on the promise that it stays the same one")]
mod wait_async;

pub use builder::LoaderBuilder;
pub use candidate::{Candidate, Status};
pub use choose::{Choice, NoPlugin};
pub use command::Command;
pub use error::{Error, Result};
pub use executor_api;
pub use loader::Loader;
pub use logs::Logs;
pub use records::{Collected, Records};
pub use refusal::{Refusal, Stage};
pub use stdio::Stdio;
pub use task::{Task, not_enforced_line};
