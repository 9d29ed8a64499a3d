//! A panic in each entry of a plugin: an error of the kind `Panicked` at the host, which goes on.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use executor_api::abi::{self, PluginHandle, PluginMetadata, ROOT_SYMBOL, TaskHandle};
use executor_api::plugin::HostSettings;
use executor_api::units::Signal;
use executor_api::{Error, ErrorKind, Resources, StdioFds, TaskDir, TaskId, TaskSpec};
use executor_tests::{misbehaving, say, trial};
use libtest_mimic::{Failed, Trial};

use crate::run::{dir, expect, host};

/// Entries of a task that has not been started, in their order; then those of one that runs.
const BEFORE: [&str; 3] = ["limit", "configure_task_dir", "start"];
const RUNNING: [&str; 14] = [
    "wait",
    "exit_handle",
    "shutdown",
    "force_stop",
    "command",
    "applied",
    "stats",
    "signal",
    "update",
    "pause",
    "resume",
    "exec",
    "call",
    "drop-task",
];
const PLUGIN: [&str; 5] = ["init", "probe", "create", "open", "drop-plugin"];
/// Entries that a host goes through when it starts a command.
const STARTING: [&str; 3] = ["create", "limit", "start"];

pub(crate) fn trials() -> Vec<Trial> {
    let entries = PLUGIN.iter().chain(&BEFORE).chain(&RUNNING);
    let direct = entries
        .map(|entry| trial(&format!("a_panic_in_{}_is_an_error", entry.replace('-', "_")), &[], move || panics(entry)));
    let started = STARTING.iter().map(|entry| {
        trial(&format!("a_panic_in_{entry}_is_an_error_of_the_command"), &[], move || start_panics(entry))
    });
    direct.chain(started).collect()
}

fn panics(entry: &str) -> Result<(), Failed> {
    let dir = dir();
    let file = misbehaving(&format!("panic-{entry}"), "misbehave", dir.path());
    let lines = host(entry, &[file.as_os_str(), dir.path().as_os_str()], Duration::from_secs(10))?;
    let panicked = format!("it panicked: asked to panic in {entry}");
    expect(lines.first().ok_or("the host printed nothing")?, &panicked)?;
    match lines[1..].iter().find(|line| !line.ends_with(": as expected")) {
        None if lines.len() > 1 => Ok(()),
        _ => Err(format!("{lines:#?}").into()),
    }
}

fn start_panics(entry: &str) -> Result<(), Failed> {
    let dir = dir();
    drop(misbehaving(&format!("panic-{entry}"), "misbehave", dir.path()));
    let lines = host("start-command", &[dir.path().as_os_str()], Duration::from_secs(10))?;
    expect(&lines.join("\n"), &format!("Some(Panicked): {entry}: it panicked: asked to panic in {entry}"))
}

/// The lines that a plugin has logged.
type Log = Arc<Mutex<Vec<String>>>;

/// The host's part: calls `entry` of the plugin in `file`, prints the answer, then whether all else is as it should be.
pub(crate) fn call(entry: &str, file: &Path) {
    let log = Log::default();
    let plugin = match attach(file, &log) {
        Ok(plugin) => plugin,
        Err(refusal) => {
            say(&refusal.why);
            return check("the host lives", true);
        }
    };
    if PLUGIN.contains(&entry) {
        call_plugin(entry, plugin, &log);
    } else {
        call_task(entry, &plugin, &log);
        check("another task can be made", plugin.create(&id("another")).is_ok());
    }
}

fn call_plugin(entry: &str, plugin: PluginHandle, log: &Log) {
    match entry {
        "probe" => print(plugin.probe()),
        "create" => print(plugin.create(&id("first"))),
        "open" => print(plugin.open(&id("first"))),
        _ => {
            drop(plugin);
            say(&logged(log, "drop the plugin"));
            return check("the host lives", true);
        }
    }
    let poisoned = plugin.create(&id("second")).map(drop);
    check("no task can be made any more", poisoned.is_err_and(|error| error.kind() == ErrorKind::Panicked));
    let answer = plugin.open(&id("second")).map(drop).map_err(|error| error.kind());
    check("open still answers", answer == Err(if entry == "open" { ErrorKind::Panicked } else { ErrorKind::NotFound }));
}

fn call_task(entry: &str, plugin: &PluginHandle, log: &Log) {
    let task = plugin.create(&id("first")).expect("it is made");
    let hang = TaskSpec::new("hang");
    match entry {
        "limit" => print(task.limit(&Resources::default())),
        _ => task.limit(&Resources::default()).expect("it is limited"),
    }
    match entry {
        "limit" => (),
        "configure_task_dir" => print(task.configure_task_dir(&TaskDir::new("/"))),
        "start" => print(task.start(&hang, StdioFds::default())),
        _ => task.start(&hang, StdioFds::default()).expect("it is started"),
    }
    if entry == "drop-task" {
        drop(task);
        say(&logged(log, "drop the task"));
        return check("the host lives", true);
    }
    if !BEFORE.contains(&entry) {
        call_running(entry, &task);
    }
    let poisoned = task.stats().map(drop);
    check("nothing else works", poisoned.is_err_and(|error| error.kind() == ErrorKind::Panicked));
    let stopped = task.force_stop().map_err(|error| error.kind());
    check(
        "it can be killed",
        if entry == "force_stop" { stopped == Err(ErrorKind::Panicked) } else { stopped.is_ok() },
    );
}

fn call_running(entry: &str, task: &TaskHandle) {
    let resources = Resources::default();
    match entry {
        "wait" => print(task.wait(Some(Duration::ZERO))),
        "exit_handle" => print(task.exit_handle()),
        "shutdown" => print(task.shutdown(Duration::ZERO)),
        "force_stop" => print(task.force_stop()),
        "command" => print(task.command()),
        "applied" => print(task.applied()),
        "stats" => print(task.stats()),
        "signal" => print(task.signal(Signal::TERM)),
        "update" => print(task.update(&resources)),
        "pause" => print(task.pause()),
        "resume" => print(task.resume()),
        "exec" => print(task.exec(&TaskSpec::new("hang"), StdioFds::default())),
        _ => print(task.call("echo", "{}")),
    }
}

fn id(name: &str) -> TaskId {
    format!("misbehave.{name}").parse().expect("an id")
}

/// Prints the error that an entry must have answered with.
fn print<T>(answer: Result<T, Error>) {
    match answer {
        Ok(_) => say("no error"),
        Err(error) if error.kind() == ErrorKind::Panicked => say(&error.to_string()),
        Err(error) => say(&format!("{:?} and not Panicked: {error}", error.kind())),
    }
}

fn check(what: &str, holds: bool) {
    say(&format!("{what}: {}", if holds { "as expected" } else { "NOT SO" }));
}

/// The line of the log with `act` in it.
fn logged(log: &Log, act: &str) -> String {
    let lines = log.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().find(|line| line.contains(act)).cloned().unwrap_or_else(|| format!("not logged: {lines:?}"))
}

/// The plugin in `file`, without the loader's checks.
#[expect(unsafe_code, reason = "mapping a library runs its code")]
fn attach(file: &Path, log: &Log) -> Result<PluginHandle, abi::Refusal> {
    let library = std::fs::read(file).expect("a file");
    let start = library.windows(9).position(|window| window == b"{\"name\":\"").expect("it has metadata");
    let end = start + library[start..].iter().position(|byte| *byte == 0).expect("it is padded");
    let metadata = PluginMetadata::parse(&library[start..end]).expect("it is good");
    // SAFETY: the library is the test plugin, whose constructor does nothing in this behaviour.
    let library = unsafe { libloading::Library::new(file) }.expect("it can be mapped");
    // SAFETY: the symbol is taken as an address alone.
    let symbol = unsafe { library.get::<*const std::ffi::c_void>(ROOT_SYMBOL) }.expect("it has a root module");
    // SAFETY: as above; the address outlives the borrow since the library is leaked below.
    let address = unsafe { symbol.into_raw() }.as_raw_ptr();
    std::mem::forget(library);
    let log = Arc::clone(log);
    let sink = Arc::new(move |_: executor_api::LogLevel, line: &str| {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    });
    // SAFETY: the library is leaked, and the symbol is the header that `export_executor!` writes, of 152 bytes.
    unsafe { abi::attach(address, &metadata, &HostSettings::default(), sink) }
}
