//! Executor plugin for FreeBSD: jails and rctl.
//!
//! This version launches nothing. It says so when it is asked what it can do, so that a loader never chooses it, and
//! refuses every task. `plugin` is the exported module.

mod plugin;

pub use plugin::FreebsdPlugin;
