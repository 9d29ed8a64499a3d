//! The executor for any Unix: a plain process in a session and process group of its own, and nothing that isolates it.
//!
//! A task sees the host's files, processes and network with the rights of its user. What this plugin enforces are exact
//! outcomes, the wall-clock limit, per-process limits, niceness, the user and the standard streams; every other demand
//! it refuses by name, with the reason ([`FallbackPlugin`]'s capabilities). A task is recorded, outlives its host and is
//! found again by its id. This is also the example for authors of plugins, so one file does one thing:
//!
//! - `executor.rs`: the plugin; `support.rs`: what it can enforce; `plugin.rs`: what the library exports
//! - `task.rs`: one task; `found.rs`: one that was found by its record; `launch.rs`: starts its supervisor; `control.rs`:
//!   the socket to it; `stdio.rs`: its streams; `task_dir.rs`: what it is told of its directory
//! - [`wire`]: what host and supervisor say to each other
//! - `supervisor/`: the executable `executor-fallback-supervisor`, installed beside the library. It forks the task,
//!   enforces its time, ends its tree and tells its outcome, and it outlives the host.
//!
//! The host is never forked: its memory, threads and signal handlers are somebody else's.

mod control;
mod executor;
mod found;
mod launch;
mod plugin;
mod stdio;
mod support;
mod task;
mod task_dir;
pub mod wire;

pub use executor::FallbackPlugin;
pub use task::FallbackTask;
