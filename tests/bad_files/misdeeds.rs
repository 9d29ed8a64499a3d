//! Plugins that misbehave while they are loaded, made and asked: each in a process of its own, none in the host.

use executor_tests::{misbehaving, trial};
use libtest_mimic::{Failed, Trial};

use crate::run::{bad_file, dir, discover, expect, host};

/// What the file is, its behaviour, and what must be said of it.
const MISDEEDS: [(&str, &str, &str); 13] = [
    ("constructor that crashes", "constructor-crash", "refused: probe: no answer: the process was killed by signal 11"),
    ("constructor that hangs", "constructor-hang", "refused: probe: no answer within 2 s"),
    ("constructor that exits with 0", "constructor-exit", "refused: probe: no answer: the process ended with status 0"),
    ("constructor that forges an answer", "constructor-forge", "refused: probe: no answer: something else was printed"),
    ("init that panics", "panic-init", "refused: init: init: it panicked: asked to panic in init"),
    ("init that refuses", "init-error", "refused: init: make the plugin: it was asked to refuse"),
    ("probe that panics", "panic-probe", "refused: probe: probe: it panicked: asked to panic in probe"),
    ("probe that fails", "probe-error", "refused: probe: look at this host: it was asked to fail"),
    ("probe that hangs", "probe-hang", "refused: probe: no answer within 2 s"),
    ("probe that kills itself", "probe-kill", "refused: probe: no answer: the process was killed by signal 9"),
    ("probe that leaves a child behind", "probe-fork", "usable, score 1"),
    ("probe that prints garbage", "probe-garbage", "refused: probe: no answer: something else was printed"),
    ("probe that finds itself unusable", "probe-unusable", "not usable here: it was asked to say\u{fffd}[2J so"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let misdeeds = MISDEEDS.into_iter().map(|(what, behaviour, expected)| {
        bad_file(what, &[], expected, move |dir| misbehaving(behaviour, "misbehave", dir))
    });
    misdeeds
        .chain([
            trial("a_good_plugin_works", &[], || works("good")),
            trial("a_plugin_whose_drop_panics_works", &[], || works("panic-drop-plugin")),
            trial("a_log_line_of_any_level_comes_from_any_thread", &[], log),
            trial("a_host_log_that_panics_harms_neither_side", &[], log_that_panics),
        ])
        .collect()
}

fn works(behaviour: &str) -> Result<(), Failed> {
    let dir = dir();
    drop(misbehaving(behaviour, "misbehave", dir.path()));
    let lines = discover(&[dir.path()])?;
    expect(&lines[0], ": usable, score 1")?;
    expect(&lines[1], "used misbehave: exited with code 7")
}

fn log() -> Result<(), Failed> {
    let lines = from_the_log("log")?;
    let expected = ["Error", "Warn", "Info", "Debug"].map(|level| format!("log {level} a line at {level}"));
    if lines[1..] == [&expected[..], &["used misbehave: exited with code 7".into()]].concat() {
        return Ok(());
    }
    Err(format!("{lines:#?}").into())
}

fn log_that_panics() -> Result<(), Failed> {
    let lines = from_the_log("log-panic")?;
    expect(&lines[1], "used misbehave: exited with code 7")?;
    expect(&lines[2], "told: write to the host's log: it panicked: the host's own log panics at \"a line at Debug\"")
}

/// What a host in `role` prints over a plugin that logs.
fn from_the_log(role: &str) -> Result<Vec<String>, Failed> {
    let dir = dir();
    drop(misbehaving("log", "misbehave", dir.path()));
    host(role, &[dir.path().as_os_str()], std::time::Duration::from_secs(10))
}
