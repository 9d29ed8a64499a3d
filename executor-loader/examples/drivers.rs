//! Two drivers that share one executor: each turns its own task config into a command and knows nothing of processes.
//!
//! After `cargo xtask build`, with the plugins' directory by its absolute path:
//! `EXECUTOR_PLUGIN_PATH=$PWD/target/executor/lib/executor/1 cargo run -p executor-loader --example drivers`

use executor_loader::executor_api::{Ended, ErrorKind, Outcome};
use executor_loader::{Command, Error, Loader, Stdio};

/// Driver `exec`: a program and its arguments.
fn exec(command: &str, args: &[&str]) -> Command {
    let mut run = Command::new(command);
    run.args(args).stderr(Stdio::inherit());
    run
}

/// Driver `java`: options of the virtual machine, a jar, its arguments.
fn java(jar: &str, jvm_options: &[&str], args: &[&str]) -> Command {
    exec("java", &[jvm_options, &["-jar", jar], args].concat())
}

/// What the two share.
fn run(command: &mut Command, loader: &Loader) -> Result<Outcome, Error> {
    let task = command.start(loader)?;
    let outcome = task.wait()?;
    loader.collect(task.id())?;
    Ok(outcome)
}

fn main() -> Result<(), Error> {
    let loader = Loader::new()?;
    let outcome = run(&mut exec("sh", &["-c", "echo exec runs >&2; exit 3"]), &loader)?;
    assert_eq!(outcome.ended, Ended::Exited(3));

    let mut command = java("/srv/no-such.jar", &["-Xmx64m"], &["--port", "80"]);
    let words = command.spec_mut().command_line();
    assert_eq!(words, ["java", "-Xmx64m", "-jar", "/srv/no-such.jar", "--port", "80"]);
    match run(&mut command, &loader) {
        // The jar is not there: the virtual machine says so and exits with 1.
        Ok(outcome) => assert_eq!(outcome.ended, Ended::Exited(1)),
        Err(error) if error.task().is_some_and(|error| error.kind() == ErrorKind::NotFound) => {
            eprintln!("java is not installed here; with it this would run: {words:?}");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
