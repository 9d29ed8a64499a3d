//! A host is killed; another one finds the task again by its id and gets its true outcome.
//!
//! After `cargo xtask build`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run -p executor-loader --example reopen`

use executor_loader::executor_api::{Ended, TaskId};
use executor_loader::{Command, Error, Loader, Stdio};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command as Process, Stdio as Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("host") {
        return Ok(first_host()?);
    }
    let mut host = Process::new(std::env::current_exe()?);
    let mut host = host.arg("host").stdin(Stream::piped()).stderr(Stream::piped()).spawn()?;
    let mut word = host.stdin.take().expect("it is a pipe");
    let mut said = String::new();
    BufReader::new(host.stderr.take().expect("it is a pipe")).read_line(&mut said)?;
    let id: TaskId = said.trim().parse()?;

    host.kill()?;
    assert_eq!(host.wait()?.signal(), Some(9));
    let loader = Loader::new()?;
    let task = loader.open(&id)?;
    assert!(task.try_wait()?.is_none(), "it runs, though its host is gone");
    word.write_all(b"7\n")?; // what the task waits for
    let outcome = task.wait()?;
    eprintln!("its host was killed, and {id} {outcome}");
    assert_eq!(outcome.ended, Ended::Exited(7));
    loader.collect(&id)?;
    assert!(loader.open(&id).is_err(), "its record is gone");
    Ok(())
}

/// Starts a task that ends when it is told to, says its id, and waits for it in vain.
fn first_host() -> Result<(), Error> {
    let loader = Loader::new()?;
    let task = Command::new("sh").args(["-c", "read code; exit $code"]).stdin(Stdio::inherit()).start(&loader)?;
    eprintln!("{}", task.id());
    task.wait().map(drop)
}
