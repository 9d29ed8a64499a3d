//! What the command tells of itself and of this host: `plugins`, `doctor`, `schema`, `man`, `completions`, help.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Output};

use executor_tests::{Need, prefix};
use libtest_mimic::Failed;
use serde_json::Value;

use crate::Case;
use crate::odd::on_terminal;
use crate::place::{Place, each, ended, outcome, same, text};
use crate::stranger::install;

pub(crate) const CASES: &[Case] = &[
    ("plugins_lists_each_file_on_one_line", &[Need::Built], listing),
    ("plugins_v_tells_each_feature_and_where_it_looked", &[Need::Built], verbose),
    ("plugins_prints_json", &[Need::Built], json),
    ("a_plugin_path_comes_first", &[Need::Built], plugin_path),
    ("a_bad_file_is_refused_with_the_reason_and_keeps_nobody_else_out", &[Need::Built], bad_file),
    ("a_lock_file_keeps_others_out", &[Need::Built], lock_file),
    ("doctor_finds_no_problem_here_and_leaves_nothing", &[Need::Built], doctor),
    ("doctor_finds_what_is_missing_and_says_how_to_mend_it", &[Need::Built], broken),
    ("colours_are_for_terminals_and_can_be_refused", &[Need::Built], colours),
    ("schema_has_every_key_of_a_task", &[Need::Built], schema),
    ("each_verb_has_help_and_a_manual_page", &[Need::Built], manual),
    ("completions_know_every_verb", &[Need::Built], completions),
];

/// The verbs that are meant to be seen.
const VERBS: [&str; 15] = [
    "run",
    "start",
    "wait",
    "stop",
    "kill",
    "ps",
    "inspect",
    "stats",
    "logs",
    "gc",
    "plugins",
    "doctor",
    "schema",
    "completions",
    "man",
];

/// The line of a plugin's file.
fn line(printed: &Output, name: &str) -> String {
    let file = format!("libexecutor_{name}.so");
    text(&printed.stdout).lines().find(|line| line.contains(&file)).unwrap_or_default().to_owned()
}

fn listing() -> Result<(), Failed> {
    let printed = Place::new()?.line("plugins")?;
    ended(&printed, 0, &[])?;
    let fallback = line(&printed, "fallback");
    same("fallback", fallback.starts_with("* fallback ") && fallback.contains("usable"), true)?;
    same("linux", line(&printed, "linux").contains("not usable here"), true)?;
    same("freebsd", line(&printed, "freebsd").contains("FreeBSD"), true)?;
    let lines = text(&printed.stdout).lines().filter(|line| line.contains("libexecutor_fallback.so: ")).count();
    same("lines of a file", lines, 1)
}

fn verbose() -> Result<(), Failed> {
    let printed = Place::new()?.line("plugins -v")?;
    ended(&printed, 0, &[])?;
    let lines = text(&printed.stdout);
    let level =
        |feature: &str| lines.lines().find_map(|line| line.trim().strip_prefix(feature)?.split_whitespace().next());
    same("hard", level("wall_time "), Some("hard"))?;
    same("none", level("landlock "), Some("none"))?;
    let installed = format!("  {}", prefix().join("lib/executor/1").display());
    same("looked in", lines.lines().skip_while(|line| *line != "looked in").any(|line| line == installed), true)
}

fn json() -> Result<(), Failed> {
    let read = Place::new()?.json("plugins --json")?;
    same("schema", read["schema"].as_u64(), Some(1))?;
    let plugins = read["plugins"].as_array().ok_or("no plugins")?;
    let find = |name: &str| plugins.iter().find(|plugin| plugin["name"] == name).ok_or(format!("no {name} in it"));
    let fallback = find("fallback")?;
    same("status", (fallback["status"].as_str(), fallback["chosen"].as_bool()), (Some("usable"), Some(true)))?;
    same("a feature", fallback["capabilities"]["features"]["wall_time"]["level"].as_str(), Some("hard"))?;
    let linux = find("linux")?;
    same("status", (linux["status"].as_str(), linux["chosen"].as_bool()), (Some("unusable"), Some(false)))?;
    same("the reason", linux["why"].as_str().is_some_and(|why| !why.is_empty()), true)?;
    same("searched", read["searched"].as_array().is_some_and(|dirs| !dirs.is_empty()), true)
}

/// A directory of the place with copies of installed plugins in it.
fn copies(place: &Place, name: &str, plugins: &[&str]) -> Result<std::path::PathBuf, Failed> {
    let dir = place.path(name);
    fs::create_dir_all(&dir)?;
    for plugin in plugins {
        let file = format!("libexecutor_{plugin}.so");
        fs::copy(prefix().join("lib/executor/1").join(&file), dir.join(&file))?;
    }
    Ok(dir)
}

fn plugin_path() -> Result<(), Failed> {
    let place = Place::new()?;
    let dir = copies(&place, "one", &["linux"])?;
    let other = copies(&place, "other", &["linux"])?;
    let option = place.executor(&[OsStr::new("plugins"), "--plugin-path".as_ref(), dir.as_os_str()])?;
    let variable = outcome(place.command(&["plugins"]).env("EXECUTOR_PLUGIN_PATH", &dir))?;
    let mut both = place.command(&[OsStr::new("plugins"), "--plugin-path".as_ref(), dir.as_os_str()]);
    let both = outcome(both.env("EXECUTOR_PLUGIN_PATH", &other))?;
    for (printed, count) in [(option, 2), (variable, 2), (both, 3)] {
        let printed = text(&printed.stdout);
        let lines: Vec<&str> = printed.lines().filter(|line| line.contains("libexecutor_linux.so")).collect();
        same("the first one is ours", lines.first().is_some_and(|line| line.contains(&*dir.to_string_lossy())), true)?;
        same("the others are shadowed", lines.iter().filter(|line| line.contains("shadowed by")).count(), count - 1)?;
    }
    Ok(())
}

fn bad_file() -> Result<(), Failed> {
    let place = Place::new()?;
    let dir = copies(&place, "bad", &[])?;
    fs::write(dir.join("libexecutor_torn.so"), "not a library")?;
    let with = |line: &str| {
        let words = line.split(' ').map(OsStr::new).chain(["--plugin-path".as_ref(), dir.as_os_str()]);
        place.executor(&words.collect::<Vec<_>>())
    };
    let printed = with("plugins")?;
    ended(&printed, 0, &[])?;
    same("refused", line(&printed, "torn").contains("refused: metadata: "), true)?;
    same("the others", line(&printed, "fallback").contains("usable, score"), true)?;
    let doctor = with("doctor")?;
    ended(&doctor, 4, &[])?;
    same("a problem", line(&doctor, "torn").starts_with("problem "), true)?;
    let run = ["run", "-q", "--plugin", "torn", "--plugin-path", &dir.to_string_lossy(), "--", "true"];
    ended(&place.executor(&run)?, 125, &["torn: refused: metadata: "])
}

fn lock_file() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut summing = Command::new("sha256sum");
    let sums = outcome(summing.arg("libexecutor_fallback.so").current_dir(prefix().join("lib/executor/1")))?.stdout;
    place.file("plugins.sha256", &text(&sums))?;
    let file = place.path("plugins.sha256");
    let with = |words: &[&'static str]| {
        let words = [OsStr::new("--lock-file"), file.as_os_str()].into_iter().chain(words.iter().map(OsStr::new));
        place.executor(&words.collect::<Vec<_>>())
    };
    let printed = with(&["plugins"])?;
    same("listed", line(&printed, "fallback").contains("usable"), true)?;
    same("not listed", line(&printed, "linux").contains("refused: lock"), true)?;
    ended(&with(&["run", "-q", "true"])?, 0, &[])?;
    place.file("plugins.sha256", &text(&sums).replace(|digit: char| digit.is_ascii_digit(), "0"))?;
    ended(&with(&["run", "-q", "true"])?, 125, &["lock"])
}

fn doctor() -> Result<(), Failed> {
    let place = Place::new()?;
    let printed = place.line("doctor")?;
    ended(&printed, 0, &[])?;
    let lines = text(&printed.stdout);
    for test in ["a task's exit code comes through", "a time limit ends a task", "a stop reaches every process"] {
        same(test, lines.lines().any(|line| line.starts_with("ok ") && line.contains(test)), true)?;
    }
    same("the sum", lines.lines().last().is_some_and(|line| line.starts_with("0 problems, ")), true)?;
    let read = place.json("doctor --json")?;
    same("schema and problems", (read["schema"].as_u64(), read["problems"].as_u64()), (Some(1), Some(0)))?;
    let findings = read["findings"].as_array().ok_or("no findings")?;
    let warnings = findings.iter().filter(|finding| finding["state"] == "warning").count();
    same("warnings", read["warnings"].as_u64(), u64::try_from(warnings).ok())?;
    same(
        "every warning has a fix",
        findings.iter().any(|finding| finding["state"] == "warning" && finding.get("fix").is_none()),
        false,
    )?;
    same("records", place.states()?, Vec::new())
}

fn broken() -> Result<(), Failed> {
    let place = Place::new()?;
    // An installation that lost the plugin's own program.
    let plugins = place.path("all/lib/executor/1");
    install(&place, &["libexecutor_fallback.so", "executor-probe"])?;
    let with = |words: &[&str]| outcome(&mut place.surround(Command::new(place.path("all/bin/executor")), words));
    let printed = with(&["doctor"])?;
    ended(&printed, 4, &[])?;
    let lines = text(&printed.stdout);
    let fix = format!(" as {}\n", plugins.join("executor-fallback-supervisor").display());
    same("the fix", lines.contains(&fix), true)?;
    ended(&with(&["run", "-q", "--", "true"])?, 125, &["executor-fallback-supervisor", "fix: install "])?;
    // And one that lost the program that asks plugins.
    fs::remove_file(plugins.join("executor-probe"))?;
    let printed = with(&["doctor"])?;
    ended(&printed, 4, &[])?;
    same("the fix", text(&printed.stdout).contains("fix: install executor-probe beside the plugins"), true)?;
    ended(&with(&["run", "-q", "--", "true"])?, 125, &["executor-probe"])
}

fn colours() -> Result<(), Failed> {
    let place = Place::new()?;
    let has = |bytes: &[u8]| bytes.contains(&0x1b);
    let piped = |line: &str| Ok::<_, Failed>(has(&place.line(line)?.stdout));
    same(
        "piped",
        (piped("doctor")?, piped("doctor --color always")?, piped("doctor --color=never")?),
        (false, true, false),
    )?;
    let usage = |line: &str| Ok::<_, Failed>(has(&place.line(line)?.stderr));
    same(
        "errors",
        (usage("ps x")?, usage("ps x --color always")?, usage("ps x --color=never")?),
        (false, true, false),
    )?;
    let shown = |line: &str, variable: &str| {
        let mut command = place.command(&line.split(' ').collect::<Vec<_>>());
        command.env(variable, "1");
        Ok::<_, Failed>(has(&on_terminal(command)?.1))
    };
    for line in ["doctor", "ps x"] {
        same("on a terminal", shown(line, "UNRELATED")?, true)?;
        same("without", shown(line, "NO_COLOR")?, false)?;
        same("refused", shown(&format!("{line} --color=never"), "UNRELATED")?, false)?;
        same("insisted on", shown(&format!("{line} --color=always"), "NO_COLOR")?, true)?;
    }
    // The document stays one.
    let output = place.line("doctor --json --color always")?;
    serde_json::from_slice::<Value>(&output.stdout)?;
    Ok(())
}

fn schema() -> Result<(), Failed> {
    let place = Place::new()?;
    let read = place.json("schema")?;
    let keys = |value: &Value| value["properties"].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    same(
        "the document",
        keys(&read),
        Some(["name", "plugin", "resources", "spec", "task_dir"].map(str::to_owned).to_vec()),
    )?;
    same("nothing else", read["additionalProperties"].as_bool(), Some(false))?;
    // What a refusal says is known is what the schema has.
    for (path, document) in
        [("spec", r#"{"spec":{"surely_not":1}}"#), ("resources", r#"{"resources":{"surely_not":1}}"#)]
    {
        let target = read["properties"][path]["$ref"].as_str().unwrap_or_default().trim_start_matches('#');
        let described = read.pointer(target).and_then(keys).ok_or("no such definition")?;
        place.file("task.json", document)?;
        let complaint = text(&place.line("run --spec task.json -- true")?.stderr);
        let known = complaint.split('`').skip(3).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let mut sorted = known.clone();
        sorted.sort_unstable();
        same(path, described, sorted)?;
    }
    Ok(())
}

fn manual() -> Result<(), Failed> {
    let place = Place::new()?;
    let help = text(&place.line("--help")?.stdout);
    each(&VERBS, |verb| {
        same("in the help", help.lines().any(|line| line.starts_with(&format!("  {verb} "))), true)?;
        let page = place.executor(&["man", verb])?;
        ended(&page, 0, &[])?;
        let page = text(&page.stdout);
        same("a page", page.contains(&format!(".TH executor-{verb} 1")), true)?;
        for words in [[*verb, "--help"], [*verb, "-h"]] {
            let output = place.executor(&words)?;
            ended(&output, 0, &[])?;
            same("usage", text(&output.stdout).contains(&format!("Usage: executor {verb}")), true)?;
        }
        Ok(())
    })?;
    same("what is not for everybody", help.contains("reference"), false)?;
    same("the page of all", text(&place.line("man")?.stdout).contains(".TH executor 1"), true)?;
    for unknown in ["surely-not", "reference"] {
        ended(&place.executor(&["man", unknown])?, 1, &[unknown, "fix:"])?;
    }
    let version = format!("executor {}\n", env!("CARGO_PKG_VERSION"));
    same("version", text(&place.line("--version")?.stdout), version)
}

fn completions() -> Result<(), Failed> {
    let place = Place::new()?;
    each(&["bash", "elvish", "fish", "powershell", "zsh"], |shell| {
        let script = place.executor(&["completions", shell])?;
        ended(&script, 0, &[])?;
        let script = text(&script.stdout);
        let missing = VERBS.iter().chain(&["die-with-host", "cgroup-parent"]).find(|word| !script.contains(**word));
        same("missing", missing, None)
    })?;
    // The one shell that is everywhere here reads its script.
    place.file("completions.bash", &text(&place.line("completions bash")?.stdout))?;
    let mut bash = place.surround(Command::new("bash"), &["-c", ". ./completions.bash && complete -p executor"]);
    let output = outcome(&mut bash)?;
    ended(&output, 0, &[])?;
    same("it is registered", text(&output.stdout).contains("executor"), true)
}
