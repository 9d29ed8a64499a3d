//! The program between a host and its tasks: static, without a C library, an allocator or any crate; part of the plugin
//! and started from memory.
//!
//! It has three roles, one process each: the *spawner*, one for a host, takes requests ([`spawner`]); the *supervisor*,
//! one for a task and the first process of its namespace, obeys a script ([`supervisor`]) and watches the task ([`watch`]);
//! the *child* becomes the task ([`child`]). It decides nothing: what is done, and in which order, the host has planned. It
//! formats nothing but the end of a task ([`end`]), and says what went wrong in two numbers. How it is built says
//! `build.rs`, what is said to it [`wire`], what it says [`reply`].

#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both machines have 64 bits, and the kernel's numbers have many widths"
)]

mod child;
mod end;
mod memory;
mod outside;
#[expect(dead_code, reason = "the host's half of it")]
mod reply;
mod spawner;
mod supervisor;
mod sys;
mod table;
mod times;
mod watch;
#[expect(dead_code, reason = "the host's half of it")]
mod wire;

/// Where the kernel begins: `stack` is the argument count, which nobody reads; there is one way to start.
extern "C" fn begin(_stack: *const usize) -> ! {
    spawner::run()
}

/// A mistake in this program ends it; the kernel then ends the task, whose end nobody has seen.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}
