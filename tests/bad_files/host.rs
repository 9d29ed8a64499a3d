//! The hosts: what this program is when a trial runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use executor_loader::{Candidate, Command, Loader, LoaderBuilder, Status};
use executor_tests::say;

use crate::entries;
use crate::run::{OWN_STATUS, PROBER};

/// How often the swapped file is looked at.
const LOOKS: usize = 200;

/// Plays `role`, and ends with a status that is this program's own.
pub(crate) fn play(role: &str) -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match role {
        "look" => print(&loader(args)),
        "discover" => print_and_use(&loader(args)),
        "locked" => locked(&args),
        "swap" => swap(&args),
        "start-command" => start(args),
        "log" => log(args),
        "log-panic" => log_panic(args),
        entry => entries::call(entry, &args[0]),
    }
    ExitCode::from(OWN_STATUS)
}

fn builder(dirs: Vec<PathBuf>) -> LoaderBuilder {
    let prober = std::env::var_os(PROBER).expect("the trial names the prober");
    Loader::builder().search_only(dirs).prober(prober).no_cache()
}

fn loader(dirs: Vec<PathBuf>) -> Loader {
    builder(dirs).build().expect("a loader is always made")
}

/// Prints every candidate.
fn print(loader: &Loader) {
    loader.report().iter().for_each(|candidate| say(&candidate.to_string()));
}

/// Looks and uses what it finds, with the list of allowed files in the first argument.
fn locked(args: &[PathBuf]) {
    let built = builder(args[1..].to_vec()).lock_file(&args[0]).build();
    print_and_use(&built.expect("the list is good"));
}

/// Prints every candidate, and what comes of using the usable ones.
fn print_and_use(loader: &Loader) {
    print(loader);
    for candidate in loader.report().iter().filter(|candidate| matches!(candidate.status, Status::Usable(_))) {
        let name = candidate.name.clone().expect("what is usable has a name");
        say(&format!("used {name}: {}", used(loader, candidate)));
    }
}

fn used(loader: &Loader, candidate: &Candidate) -> String {
    let mut command = Command::new("exit");
    command.arg("7").plugin(candidate.name.clone().expect("what is usable has a name"));
    let outcome = command.start(loader).and_then(|task| task.wait());
    outcome.map_or_else(|error| words(&error), |outcome| outcome.to_string())
}

/// An error and its reasons, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let reasons = std::iter::successors(error.source(), |error| error.source());
    reasons.fold(error.to_string(), |words, reason| format!("{words}: {reason}"))
}

/// Looks at the directory in the first argument again and again while another thread swaps the file in it for the
/// others in turn; prints every answer.
fn swap(args: &[PathBuf]) {
    let [dir, file, versions @ ..] = args else {
        unreachable!("the trial gives the directory, the file, its versions")
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| replace_until(&done, file, versions));
        for _ in 0..LOOKS {
            print(&loader(vec![dir.clone()]));
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn replace_until(done: &AtomicBool, file: &Path, versions: &[PathBuf]) {
    let next = file.with_extension("next");
    // The file is the first version now: to rename a file over itself does nothing.
    for version in versions.iter().cycle().skip(1) {
        if done.load(Ordering::Relaxed) {
            return;
        }
        std::fs::hard_link(version, &next).and_then(|()| std::fs::rename(&next, file)).expect("the file is swapped");
        thread::yield_now();
    }
}

/// Starts a task and prints the error.
fn start(dirs: Vec<PathBuf>) {
    let error = Command::new("exit").arg("7").start(&loader(dirs)).expect_err("the plugin panics");
    say(&format!("{:?}: {}", error.task().map(executor_api::Error::kind), words(&error)));
}

/// Prints what a plugin logs while a task is made.
fn log(dirs: Vec<PathBuf>) {
    let sink = |level: executor_api::LogLevel, line: &str| say(&format!("log {level:?} {line}"));
    let loader = builder(dirs).log(sink).build().expect("a loader is always made");
    print_and_use(&loader);
}

/// A log of the host's own that panics.
fn log_panic(dirs: Vec<PathBuf>) {
    std::panic::set_hook(Box::new(|_| ()));
    let panics = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&panics);
    let sink = move |_: executor_api::LogLevel, line: &str| {
        assert!(!switch.load(Ordering::Relaxed), "the host's own log panics at {line:?}");
    };
    let loader = builder(dirs).log(sink).build().expect("a loader is always made");
    print_and_use(&loader);
    let name = loader.report()[0].name.clone().expect("it has a name");
    say(&format!("told: {}", loader.sink_panic(&name).map_or("nothing".into(), |error| error.to_string())));
}
