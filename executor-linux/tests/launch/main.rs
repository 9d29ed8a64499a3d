//! What becomes of a task between its plan and its end: starts that work and starts that fail, orders, limits of time, and
//! processes that die at the wrong moment.
//!
//! Every trial has a launcher, a state directory and a root of its own. Hosts that are to be killed are this program
//! again, with `EXECUTOR_LAUNCH_HOST` set. Nothing sleeps as a proof: what takes time is polled for, up to a deadline.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

/// There is nothing to launch elsewhere.
#[cfg(not(target_os = "linux"))]
fn main() {}
