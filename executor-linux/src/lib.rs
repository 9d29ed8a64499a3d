//! Executor plugin for Linux: namespaces and cgroups.
//!
//! This version launches nothing. It says so when it is asked what it can do, so that a loader never chooses it, and
//! refuses every task. `plugin` is the exported module. What a launcher needs is there already: `cgroup`, the resource
//! groups of a task, above `sys`, the system calls that nix lacks.

#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod cgroup;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod launch;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod plan;
mod plugin;
#[cfg(target_os = "linux")]
mod sys;

// Not part of this library: `build.rs` compiles it into a program that `launch` carries. Named for rustfmt.
#[cfg(any())]
#[path = "helper/main.rs"]
mod helper;

pub use plugin::LinuxPlugin;
