//! The table in Markdown: a column for each plugin and situation, a row for each feature, equal ones in one.

use std::collections::BTreeSet;

use super::report::{Level, Report, Who};
use crate::error::{Error, Result};

/// Every feature by its group. A feature that is reported and not here is an error, so that none is left out.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "limits",
        &[
            "memory",
            "memory_soft",
            "swap",
            "cpu_shares",
            "cpu_quota",
            "cpuset",
            "pids",
            "io_weight",
            "io_rate",
            "disk",
            "cpu_time",
            "wall_time",
            "rlimits",
            "cgroup_parent",
        ],
    ),
    (
        "isolation",
        &[
            "user",
            "user_namespace",
            "files",
            "root_filesystem",
            "binds",
            "tmpfs",
            "devices",
            "processes",
            "ipc",
            "hostname",
            "network",
            "groups_view",
            "no_new_privileges",
            "capabilities",
            "syscalls",
            "landlock",
            "keyring",
        ],
    ),
    (
        "surroundings",
        &["task_dir", "working_directory", "umask", "nice", "oom_score_adj", "stdio_files", "stdio_passed"],
    ),
    (
        "verbs",
        &[
            "stop_signal",
            "grace",
            "whole_tree",
            "die_with_host",
            "reopen",
            "exit_handle",
            "signal",
            "stats",
            "update",
            "pause",
            "exec",
        ],
    ),
];
const LEGEND: &str = "–: not enforced; a task that requires it is refused before anything runs.";

/// The text between the marks in README.md.
pub(super) fn render(reports: &[Report]) -> Result<String> {
    let known = |name: &&String| GROUPS.iter().any(|(_, features)| features.contains(&name.as_str()));
    if let Some(name) = reports.iter().flat_map(|report| report.levels.keys()).find(|name| !known(name)) {
        return Err(Error::new(format!("put {name} into a group in xtask/src/table/render.rs")));
    }
    let columns = columns(reports);
    let [one_system, systems] = systems(reports);
    let head: Vec<String> = columns.iter().map(|column| column.head(&one_system)).collect();
    let mut lines = vec![row(&systems, &head), row("---", &vec!["---"; columns.len()])];
    let runs = columns.iter().map(|column| if column.report.unusable.is_some() { "no" } else { "yes" });
    lines.push(row("runs tasks", &runs.collect::<Vec<_>>()));
    for (group, features) in GROUPS {
        lines.push(row(&format!("**{group}**"), &vec![""; columns.len()]));
        lines.extend(rows(features, &columns));
    }
    // A set: both situations of a system may have the same reason.
    let reasons: BTreeSet<String> = columns.iter().filter_map(Column::reason).collect();
    let reasons: String = reasons.iter().map(|reason| format!("- {reason}\n")).collect();
    Ok(format!("\n{}\n\n{LEGEND}\n\n{reasons}\n", lines.join("\n")))
}

/// A plugin where it was asked; both situations of a system in one where they are alike.
struct Column<'a> {
    report: &'a Report,
    /// Nothing where it is alike for all.
    who: Option<Who>,
}

impl Column<'_> {
    fn head(&self, one_system: &str) -> String {
        let Report { plugin, situation, .. } = self.report;
        let who = match self.who {
            Some(Who::Root) => " as root",
            Some(Who::User) => " as user",
            None => "",
        };
        let system = if one_system.is_empty() { format!(" on {}", name_of(&situation.os)) } else { String::new() };
        format!("`{plugin}`{who}{system}")
    }

    fn reason(&self) -> Option<String> {
        let Report { plugin, situation, unusable, .. } = self.report;
        let why = unusable.as_ref()?;
        Some(format!("`{plugin}` runs no tasks on {}: {why}.", name_of(&situation.os)))
    }
}

fn columns(reports: &[Report]) -> Vec<Column<'_>> {
    let alike = |one: &Report, other: &Report| {
        (&one.plugin, &one.situation.os) == (&other.plugin, &other.situation.os)
            && (&one.levels, &one.unusable) == (&other.levels, &other.unusable)
    };
    let mut columns: Vec<Column<'_>> = Vec::new();
    for report in reports {
        match columns.iter_mut().find(|column| alike(column.report, report)) {
            Some(column) => column.who = None,
            None => columns.push(Column { report, who: Some(report.situation.who) }),
        }
    }
    columns
}

/// The system, if all reports are of one, and what stands above the first column.
fn systems(reports: &[Report]) -> [String; 2] {
    let systems: BTreeSet<&str> = reports.iter().map(|report| report.situation.os.as_str()).collect();
    match systems.first() {
        Some(system) if systems.len() == 1 => [(*system).to_owned(), format!("on {}", name_of(system))],
        _ => Default::default(),
    }
}

fn name_of(system: &str) -> &str {
    match system {
        "linux" => "Linux",
        "freebsd" => "FreeBSD",
        "macos" => "macOS",
        other => other,
    }
}

/// The rows of a group: features that are alike in one, what is enforced best first.
fn rows(features: &[&str], columns: &[Column<'_>]) -> Vec<String> {
    let mut rows: Vec<(Vec<Level>, Vec<String>)> = Vec::new();
    for feature in features {
        let levels: Vec<Level> = columns.iter().map(|column| column.report.level(feature)).collect();
        let feature = format!("`{feature}`");
        match rows.iter_mut().find(|(of, _)| *of == levels) {
            Some((_, names)) => names.push(feature),
            None => rows.push((levels, vec![feature])),
        }
    }
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows.iter().map(|(levels, names)| row(&names.join(", "), levels)).collect()
}

fn row<T: ToString>(first: &str, cells: &[T]) -> String {
    let cells: Vec<String> = cells.iter().map(T::to_string).collect();
    format!("| {first} | {} |", cells.join(" | "))
}
