//! From a plan to a running task: sends the plan to the spawner as one flat message, and hears what became of it.
//!
//! `script` turns a plan into bytes and the order of its descriptors; `spawner` starts the embedded helper and sends it
//! requests; `handshake` waits for the answer; `failure` makes words of a refused step; `running` is the way to a task's
//! supervisor; `root` prepares the trees that become a task's root. Nothing here runs in a fork of the host, and the only
//! state is one spawner for each [`Launcher`].
//!
//! The helper's side of the talk is in `helper/`, and `wire` and `reply` are what both compile.

mod failure;
mod handshake;
#[path = "../helper/reply.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the helper's half of it"))]
#[expect(unreachable_pub, reason = "the helper's half of it")]
mod reply;
mod root;
mod running;
mod script;
mod spawner;
mod sys;
#[cfg(test)]
mod tests;
#[path = "../helper/wire.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the helper's half of it"))]
#[expect(unreachable_pub, reason = "the helper's half of it")]
mod wire;

// Pure parts of the helper, held against the host's own code by the tests.
#[cfg(test)]
#[path = "../helper/end.rs"]
mod end;
#[cfg(test)]
#[path = "../helper/times.rs"]
mod times;

pub use handshake::{Attempt, Descriptors, GroupDescriptors, Launcher, RecordDescriptors};
pub use root::{Root, Tree};
pub use running::{Ending, Running};
pub use wire::Order;
