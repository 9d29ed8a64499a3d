//! `ci`: every stage that CI runs, in order; a failed one does not keep the others from running.
//!
//! A stage counts as one; the stages that run tests count their tests. A tool that is not installed is a stage skipped,
//! by name, never one passed.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo::{Workspace, run};
use crate::conformance;
use crate::error::{Doing, Result};
use crate::flags::Profile;
use crate::new_plugin;
use crate::tally::{Stage, Tally};
use crate::test;
use crate::tidy;

/// Examples of executor-loader, run against what the tests have installed.
const EXAMPLES: [&str; 6] = ["drivers", "embed", "epoll", "reopen", "timing", "tokio"];
/// Stages that are one call to cargo each: name and words.
const LINTS: [(&str, &[&str]); 5] = [
    ("fmt", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]),
    (
        "clippy, loader without features",
        &["clippy", "--package=executor-loader", "--no-default-features", "--", "-Dwarnings"],
    ),
    (
        "clippy, loader with tokio",
        &["clippy", "--package=executor-loader", "--all-targets", "--features=tokio", "--", "-Dwarnings"],
    ),
    ("doc", &["doc", "--workspace", "--no-deps"]),
];
/// Tools that may be missing: stage, its package, and its words after `cargo`, or the program's own.
const TOOLS: [(&str, &str, &[&str]); 3] = [
    ("deny", "cargo-deny", &["cargo", "deny", "check", "bans", "licenses", "sources"]),
    ("typos", "typos-cli", &["typos"]),
    // Directory by directory: below tests/fixtures are manifests that it does not understand.
    (
        "machete",
        "cargo-machete",
        &[
            "cargo",
            "machete",
            "executor-api",
            "executor-fallback",
            "executor-freebsd",
            "executor-linux",
            "executor-loader",
            "tests/plugin",
            "xtask",
        ],
    ),
];

pub(crate) fn verb() -> Result {
    let workspace = Workspace::find()?;
    let mut tally = Tally::default();
    let began = Instant::now();
    stage(&mut tally, "tidy", |_| tidy::check(&workspace).map(|()| Stage::Passed));
    for (name, words) in LINTS {
        stage(&mut tally, name, |_| cargo(&workspace, words));
    }
    counted(&mut tally, "test", |tally| test::all(&workspace, tally));
    for name in EXAMPLES {
        stage(&mut tally, &format!("example {name}"), |_| example(&workspace, name));
    }
    counted(&mut tally, "new-plugin", |tally| new_plugin(&workspace, tally));
    for (name, package, words) in TOOLS {
        stage(&mut tally, name, |_| tool(&workspace, package, words));
    }
    banner(&format!("done in {} s", began.elapsed().as_secs()));
    tally.close()
}

/// Runs `act` as the stage `name` and counts it as one.
fn stage(tally: &mut Tally, name: &str, act: impl FnOnce(&mut Tally) -> Result<Stage>) {
    let began = Instant::now();
    banner(name);
    let ended = act(tally).unwrap_or_else(|error| Stage::Failed(error.to_string()));
    let word = match &ended {
        Stage::Passed => "passed",
        Stage::Failed(why) => why,
        Stage::Skipped(why) => &format!("skipped: {why}"),
    };
    println!("-- {name}: {word} ({:.1} s)", began.elapsed().as_secs_f64());
    tally.stage(name, ended);
}

/// Runs `act` as the stage `name`; it counts by itself, and is a failure only if it could not.
fn counted(tally: &mut Tally, name: &str, act: impl FnOnce(&mut Tally) -> Result) {
    let began = Instant::now();
    banner(name);
    if let Err(error) = act(tally) {
        tally.stage(name, Stage::Failed(error.to_string()));
    }
    println!("-- {name}: counted above ({:.1} s)", began.elapsed().as_secs_f64());
}

fn banner(name: &str) {
    println!("\n==== {name} ====");
}

fn cargo(workspace: &Workspace, words: &[&str]) -> Result<Stage> {
    // Only rustdoc reads this variable; on the other calls it changes nothing.
    run(workspace.cargo().args(words).env("RUSTDOCFLAGS", "-Dwarnings"), &format!("cargo {}", words[0]))?;
    Ok(Stage::Passed)
}

fn example(workspace: &Workspace, name: &str) -> Result<Stage> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--package=executor-loader", "--features=tokio", "--example", name]);
    cargo.env("EXECUTOR_PLUGIN_PATH", workspace.prefix().join("lib/executor/1"));
    cargo.env("EXECUTOR_STATE_DIR", workspace.target.join("executor-state"));
    run(&mut cargo, &format!("the example {name}"))?;
    Ok(Stage::Passed)
}

/// The template: formatted, free of warnings, and conforming.
fn new_plugin(workspace: &Workspace, tally: &mut Tally) -> Result {
    let temporary = tempfile::tempdir().doing("make a directory for the plugin")?;
    let dir = new_plugin::write(workspace, "from_template", temporary.path())?;
    for words in [&["clippy", "--all-targets", "--", "-Dwarnings"][..], &["fmt", "--", "--check"]] {
        run(new_plugin::cargo(workspace, &dir).args(words), &format!("cargo {} of the template", words[0]))?;
    }
    let plugin = new_plugin::build(workspace, &dir, Profile::Dev)?;
    conformance::check(workspace, &plugin, tally)
}

fn tool(workspace: &Workspace, package: &str, words: &[&str]) -> Result<Stage> {
    // `cargo deny --version` says whether there is a `cargo deny`, wherever cargo looks for it.
    let asked: Vec<&str> =
        words.iter().take(if words[0] == "cargo" { 2 } else { 1 }).copied().chain(["--version"]).collect();
    let installed = command(workspace, &asked).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return Ok(Stage::Skipped(format!("{package} is not installed")));
    }
    run(&mut command(workspace, words), words[words.len().min(2) - 1])?;
    Ok(Stage::Passed)
}

fn command(workspace: &Workspace, words: &[&str]) -> Command {
    let mut command = match words[0] {
        "cargo" => workspace.cargo(),
        program => Command::new(program),
    };
    command.args(&words[1..]).current_dir(&workspace.root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_missing_is_skipped_by_name() {
        let workspace = Workspace { root: std::env::temp_dir(), target: std::env::temp_dir() };
        for words in [&["executor-no-such-tool"][..], &["cargo", "executor-no-such-tool", "check"]] {
            match tool(&workspace, "no-such-tool", words) {
                Ok(Stage::Skipped(why)) => assert_eq!(why, "no-such-tool is not installed"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_example_is_run() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../executor-loader/examples");
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, EXAMPLES);
    }

    #[test]
    fn an_error_in_a_stage_is_one_failure() {
        let mut tally = Tally::default();
        stage(&mut tally, "fmt", |_| Err(crate::error::Error::new("no")));
        counted(&mut tally, "test", |_| Err(crate::error::Error::new("no")));
        assert!(tally.close().is_err());
    }
}
