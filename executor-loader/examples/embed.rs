//! A host in ten lines: run a command, read what it prints, see how it ended.
//!
//! After `cargo xtask build`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run -p executor-loader --example embed`

use executor_loader::{Command, Error, Loader, Stdio};
use std::time::Duration;

fn main() -> Result<(), Error> {
    let loader = Loader::new()?;
    let mut command = Command::new("uname");
    let task = command.arg("-sm").timeout(Duration::from_secs(5)).stdout(Stdio::inherit()).start(&loader)?;
    let outcome = task.wait()?;
    eprintln!("{} {outcome}", task.id());
    loader.collect(task.id())
}
