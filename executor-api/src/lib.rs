//! The contract between a host that runs commands and the plugins that isolate them.
//!
//! A host describes a task ([`TaskSpec`]), what it may use ([`Resources`]) and what it must not see
//! ([`isolation`]); a plugin says what it can enforce on this machine ([`Capabilities`]) and runs it ([`Executor`]).
//! What was asked for and cannot be enforced is an error before anything runs. Hosts use the crate `executor-loader`,
//! which finds and checks plugins; authors implement [`Plugin`] and [`Executor`] and write [`export_executor!`].
//!
//! # Examples
//!
//! A plugin, whole. It runs a command as a plain child and isolates nothing, so it promises a time limit and no more:
//!
//! ```
//! use std::process::{Child, Command};
//! use std::sync::Mutex;
//! use std::time::{Duration, Instant};
//!
//! use executor_api::*;
//!
//! struct Plain;
//! struct Task(Mutex<Option<Child>>);
//!
//! impl Plugin for Plain {
//!     type Task = Task;
//!     fn init(_: Host) -> Result<Self> { Ok(Self) }
//!     fn probe(&self) -> Result<Capabilities> { Ok(Capabilities::usable(1)) }
//!     fn create(&self, _: &TaskId) -> Result<Task> { Ok(Task(Mutex::new(None))) }
//!     fn open(&self, _: &TaskId) -> Result<Task> { Err(Error::unsupported("open")) }
//! }
//!
//! impl Executor for Task {
//!     fn limit(&self, _: &Resources) -> Result<()> { Ok(()) } // none is promised, so none gets here
//!     fn start(&self, spec: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
//!         let words = spec.command_line();
//!         let child = Command::new(&words[0]).args(&words[1..]).env_clear().envs(&spec.env).spawn();
//!         *self.0.lock().unwrap() = Some(child.map_err(|error| Error::from_io("start", &error))?);
//!         Ok(())
//!     }
//!     fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>> {
//!         let until = timeout.map(|timeout| Instant::now() + timeout);
//!         loop {
//!             let ended = self.0.lock().unwrap().as_mut().map(Child::try_wait).transpose();
//!             if let Some(status) = ended.map_err(|error| Error::from_io("wait", &error))?.flatten() {
//!                 return Ok(Some(Outcome::from_status(status, Cause::Own)));
//!             }
//!             if until.is_some_and(|until| Instant::now() >= until) { return Ok(None); }
//!             std::thread::sleep(Duration::from_millis(5));
//!         }
//!     }
//!     fn shutdown(&self, _: Duration) -> Result<()> { self.force_stop() }
//!     fn force_stop(&self) -> Result<()> {
//!         let killed = self.0.lock().unwrap().as_mut().map(Child::kill).transpose();
//!         killed.map(drop).map_err(|error| Error::from_io("kill", &error))
//!     }
//! }
//!
//! export_executor! { name: "plain", plugin: Plain }
//! # fn main() {}
//! ```
//!
//! # Rules of the border
//!
//! Requests are strict: a plugin refuses a key that it does not know, and a host leaves out what has its default value.
//! Replies are tolerant: what a host does not know it ignores. Within a major version, methods, fields and enum values
//! are only added, at the end; a method that a plugin does not have answers [`ErrorKind::Unsupported`].

#[doc(hidden)]
#[expect(
    unsafe_code,
    non_local_definitions,
    unreachable_pub,
    missing_debug_implementations,
    reason = "abi_stable's macros emit these; what the project writes itself in there has its SAFETY comments"
)]
pub mod abi;
pub mod error;
pub mod executor;
pub mod feature;
pub mod id;
pub mod identity;
pub mod isolation;
pub mod limits;
pub mod outcome;
pub mod plugin;
pub mod record;
#[cfg(feature = "schema")]
mod schema;
pub mod spec;
pub mod support;
pub mod task_dir;
mod text;
pub mod units;
pub mod usage;

pub use error::{Error, ErrorKind, Result};
pub use executor::Executor;
pub use feature::Feature;
pub use id::{PluginName, TaskId, TaskName};
pub use identity::{Account, Identity};
pub use isolation::Isolation;
pub use limits::{Enforcement, Resources};
pub use outcome::{Cause, Ended, Outcome};
pub use plugin::{Host, LogLevel, Plugin};
pub use spec::{Input, Output, StdioFds, TaskSpec};
pub use support::{Applied, Capabilities, Demand, Demands, Level, NotEnforced, Support};
pub use task_dir::{AllocDir, TaskDir};
pub use usage::Usage;
