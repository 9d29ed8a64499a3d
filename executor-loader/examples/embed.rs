//! A host in ten lines: run a command, read what it prints, see how it ended.

use executor_loader::{Command, Error, Loader, Stdio};
use std::time::Duration;

fn main() -> Result<(), Error> {
    let loader = Loader::builder().dir("target/executor/lib/executor/1").build()?;
    let mut command = Command::new("uname");
    let task = command.arg("-sm").timeout(Duration::from_secs(5)).stdout(Stdio::inherit()).start(&loader)?;
    let outcome = task.wait()?;
    eprintln!("{} {outcome}", task.id());
    Ok(())
}
