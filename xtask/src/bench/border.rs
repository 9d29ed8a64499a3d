//! `bench border`: what the stable ABI costs, beside the figures aimed at.
//!
//! A report: a figure above its aim is marked and fails nothing, since machines differ. Only a figure that could not be
//! measured is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::{MICROSECOND, MILLISECOND, duration};
use crate::build::{PLUGINS, Progress, build, library};
use crate::cargo::{Workspace, artefacts, run};
use crate::error::{Doing, Error, Result};
use crate::flags::Profile;
use crate::new_plugin;
use crate::test::PREFIX;

/// Times aimed at, in nanoseconds. `call_over_plain` is what a call through the border takes above a plain one.
const AIMS: [(&str, f64); 4] = [
    ("discover_cached", 2.0 * MILLISECOND),
    ("discover_uncached", 25.0 * MILLISECOND),
    (CALL_OVER_PLAIN, 10.0),
    ("spec_2k", 5.0 * MICROSECOND),
];
const CALL_OVER_PLAIN: &str = "call_over_plain";
const MINIMAL_PLUGIN_BYTES: u64 = 700_000;

/// Names the test plugin to the bench.
const TEST_PLUGIN: &str = "EXECUTOR_TEST_PLUGIN";

/// Medians in nanoseconds, by the benchmark's name.
type Medians = BTreeMap<String, f64>;

pub(super) fn border() -> Result {
    let workspace = Workspace::find()?;
    let installed = build(&workspace, Profile::Release, Progress::Shown)?;
    let began = SystemTime::now();
    let mut bench = workspace.cargo();
    bench.args(["bench", "--package=executor-tests", "--bench=border"]);
    bench.env(PREFIX, workspace.prefix()).env(TEST_PLUGIN, test_plugin(&workspace)?);
    run(&mut bench, "cargo bench")?;
    let mut medians = Medians::new();
    collect(&workspace.target.join("criterion"), began, &mut medians)?;

    let dir = tempfile::tempdir().doing("make a directory for a minimal plugin")?;
    let minimal = new_plugin::write(&workspace, "minimal", dir.path())?;
    let minimal = new_plugin::build(&workspace, &minimal, Profile::Release)?;

    let (table, missing) = times(&medians);
    println!("\n{:<28} {:>12} {:>12}", "", "measured", "aim");
    table.iter().for_each(|line| println!("{line}"));
    for package in PLUGINS {
        println!("{:<28} {:>12}", library(package), kilobytes(size(&installed.plugins.join(library(package)))?));
    }
    let bytes = size(&minimal)?;
    println!(
        "{}",
        row("minimal plugin", &kilobytes(bytes), &kilobytes(MINIMAL_PLUGIN_BYTES), bytes > MINIMAL_PLUGIN_BYTES)
    );
    if missing.is_empty() { Ok(()) } else { Err(Error::new(format!("not measured: {}", missing.join(", ")))) }
}

/// The plugin whose calls are measured, built as the installed ones are.
fn test_plugin(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package=executor-test-plugin"]);
    let built = artefacts(&mut cargo)?;
    let name = library("executor-misbehave");
    built.into_iter().find(|file| file.ends_with(&name)).doing(format!("cargo built no {name}"))
}

/// Reads criterion's estimates below `dir` that are no older than `began`: those of this run.
fn collect(dir: &Path, began: SystemTime, medians: &mut Medians) -> Result {
    let entries = fs::read_dir(dir).doing(format!("read {}", dir.display()))?;
    for entry in entries {
        let path = entry.doing(format!("read {}", dir.display()))?.path();
        if path.is_dir() {
            collect(&path, began, medians)?;
        } else if path.ends_with("new/estimates.json") && modified(&path)? >= began {
            let text = fs::read_to_string(&path).doing(format!("read {}", path.display()))?;
            let name = path.ancestors().nth(2).and_then(Path::file_name).doing("name a benchmark")?;
            medians.insert(name.to_string_lossy().into_owned(), median(&text).doing(path.display())?);
        }
    }
    Ok(())
}

fn median(estimates: &str) -> Result<f64> {
    let estimates: Value = serde_json::from_str(estimates).doing("read estimates")?;
    estimates["median"]["point_estimate"].as_f64().doing("it has no median.point_estimate")
}

/// The lines of the table, and the names that have no figure.
fn times(medians: &Medians) -> (Vec<String>, Vec<&'static str>) {
    let measured = |name: &str| match name {
        CALL_OVER_PLAIN => Some(medians.get("border_call")? - medians.get("plain_call")?),
        name => medians.get(name).copied(),
    };
    let mut missing = Vec::new();
    let mut lines = Vec::new();
    for (name, aim) in AIMS {
        match measured(name) {
            Some(time) => lines.push(row(name, &duration(time), &duration(aim), time > aim)),
            None => missing.push(name),
        }
    }
    let derived_from = ["border_call", "plain_call"];
    let aimed_at = |name: &str| AIMS.iter().any(|(aim, _)| *aim == name);
    let others = medians.iter().filter(|(name, _)| !aimed_at(name));
    let (parts, rest): (Vec<_>, Vec<_>) = others.partition(|(name, _)| derived_from.contains(&name.as_str()));
    lines.extend(parts.iter().chain(&rest).map(|(name, time)| format!("{name:<28} {:>12}", duration(**time))));
    (lines, missing)
}

fn row(name: &str, measured: &str, aim: &str, above: bool) -> String {
    format!("{name:<28} {measured:>12} {aim:>12}{}", if above { "  above" } else { "" })
}

fn kilobytes(bytes: u64) -> String {
    format!("{} KB", bytes.div_ceil(1000))
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).doing(format!("look at {}", path.display()))?.len())
}

fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).doing(format!("look at {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: &str =
        r#"{"mean":{"point_estimate":9.0},"median":{"confidence_interval":{},"point_estimate":1234.5}}"#;

    #[test]
    fn the_median_is_read_from_criterions_file() {
        assert!((median(ESTIMATES).unwrap() - 1234.5).abs() < 1e-9);
        assert!(median("{}").is_err());
    }

    #[test]
    fn what_has_no_figure_is_named_and_what_is_above_its_aim_is_marked() {
        let medians = [("border_call", 31.0), ("plain_call", 1.0), ("spec_2k", 4000.0), ("discover_cached", 1e5)];
        let medians = medians.map(|(name, time)| (name.to_owned(), time)).into();
        let (lines, missing) = times(&medians);
        assert_eq!(missing, ["discover_uncached"]);
        let line = |name: &str| lines.iter().find(|line| line.starts_with(name)).expect(name).as_str();
        assert!(line("call_over_plain").ends_with("30.0 ns      10.0 ns  above"), "{lines:#?}");
        assert!(line("spec_2k").ends_with("4.00 us      5.00 us"), "{lines:#?}");
        assert!(line("border_call").ends_with("31.0 ns"), "{lines:#?}");
    }

    #[test]
    fn figures_of_an_earlier_run_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("border/spec_2k/new");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("estimates.json"), ESTIMATES).unwrap();
        let mut medians = Medians::new();
        let now = SystemTime::now();
        collect(dir.path(), now + std::time::Duration::from_secs(60), &mut medians).unwrap();
        assert!(medians.is_empty());
        collect(dir.path(), now - std::time::Duration::from_secs(60), &mut medians).unwrap();
        assert_eq!(medians.keys().collect::<Vec<_>>(), ["spec_2k"]);
    }
}
