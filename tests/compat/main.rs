//! Hosts and plugins of three versions of executor-api, each with each, all in one process; and what must be refused.
//!
//! The versions are fixtures with a workspace of their own: see `tests/fixtures/README.md`.

mod fixtures;
mod refusals;

use std::process::{Command, ExitCode};

use executor_tests::{Need, trial};
use fixtures::{Report, Version, build, built, layout, run, scratch, source, write};
use libtest_mimic::{Arguments, Failed};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        trial("an_older_host_runs_plugins_of_every_version_in_any_order", &[], || any_order(Version::Older)),
        trial("a_current_host_runs_plugins_of_every_version_in_any_order", &[], || any_order(Version::Current)),
        trial("a_newer_host_runs_plugins_of_every_version_in_any_order", &[], || any_order(Version::Newer)),
        trial("a_method_that_the_plugin_lacks_answers_unsupported", &[], || each_pair(methods)),
        trial("a_callback_that_the_host_lacks_answers_unsupported", &[], || each_pair(callback)),
        trial("a_module_field_that_the_plugin_lacks_is_absent", &[], || each_pair(module_field)),
        trial("a_document_key_that_the_plugin_lacks_is_refused_by_name", &[], || each_pair(documents)),
        trial("an_error_kind_that_the_host_lacks_is_internal_and_keeps_its_words", &[], || each_pair(error_kind)),
        trial("a_feature_that_the_host_lacks_is_kept", &[], || each_pair(features)),
        trial("the_layout_is_the_one_in_the_fixtures", &[], layout_is_pinned),
        trial("the_layout_of_each_version_begins_with_the_one_before", &[], layouts_grow),
        trial("a_plugin_of_another_compiler_runs_beside_one_of_this", &[Need::Nightly], other_compiler),
    ];
    trials.extend(refusals::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn any_order(host: Version) -> Result<(), Failed> {
    use Version::{Current, Newer, Older};
    let target = built()?;
    let orders = [
        [Older, Current, Newer],
        [Older, Newer, Current],
        [Current, Older, Newer],
        [Current, Newer, Older],
        [Newer, Older, Current],
        [Newer, Current, Older],
    ];
    for order in orders {
        let reports = run(host, &order.map(|version| version.plugin(target)))?;
        for (plugin, report) in order.into_iter().zip(reports) {
            works(&report).map_err(|wrong| format!("{plugin:?} plugin, order {order:?}: {wrong}"))?;
        }
    }
    Ok(())
}

/// What works between any two versions, on the way from start to end and after a panic.
fn works(report: &Report) -> Result<(), String> {
    accepted(report)?;
    let expected = [
        ("start", Value::Null),
        ("wait", "exited with code 7".into()),
        ("command", 2.into()),
        ("wait_idle", Value::Null),
        ("shutdown", Value::Null),
        ("force_stop", Value::Null),
        ("after_boom", "exited with code 7".into()),
        ("panics_logged", 1.into()),
    ];
    for (name, value) in expected {
        expect(report, name, &value)?;
    }
    expect_error(report, "boom", "Panicked", "boom 0")
}

fn accepted(report: &Report) -> Result<(), String> {
    report.get("refused").map_or(Ok(()), |line| Err(format!("refused: {line}")))
}

/// Runs `check` on every host with every plugin.
fn each_pair(check: fn(Version, Version, &Report) -> Result<(), String>) -> Result<(), Failed> {
    for host in Version::ALL {
        for plugin in Version::ALL {
            let reports = run(host, &[plugin.plugin(built()?)])?;
            let checked =
                reports.iter().try_for_each(|report| accepted(report).and_then(|()| check(host, plugin, report)));
            checked.map_err(|wrong| format!("{host:?} host, {plugin:?} plugin: {wrong}"))?;
        }
    }
    Ok(())
}

fn methods(host: Version, plugin: Version, report: &Report) -> Result<(), String> {
    let since_current = [
        ("applied", Value::from(0)),
        ("stats", 42.into()),
        ("update", Value::Null),
        ("pause", Value::Null),
        ("resume", Value::Null),
        ("exec", "exited with code 9".into()),
        ("signal", Value::Null),
    ];
    let since_newer = [("checkpoint", Value::from("in /srv")), ("tasks", "[]".into())];
    let tagged = |since: Version| move |(name, answer)| (since, name, answer);
    let verbs = since_current.into_iter().map(tagged(Version::Current));
    for (since, name, answer) in verbs.chain(since_newer.into_iter().map(tagged(Version::Newer))) {
        match (host >= since, plugin >= since) {
            (false, _) if report.contains_key(name) => return Err(format!("{name} was called")),
            (false, _) => {}
            (true, true) => expect(report, name, &answer)?,
            (true, false) => expect_error(report, name, "Unsupported", name)?,
        }
    }
    // In every version, and not offered by these plugins.
    expect_error(report, "exit_handle", "Unsupported", "exit_handle")
}

fn callback(host: Version, plugin: Version, report: &Report) -> Result<(), String> {
    match (host, plugin) {
        (Version::Newer, Version::Newer) => expect(report, "flush", &"flushed".into()),
        _ => expect_error(report, "flush", "Unsupported", "flush"),
    }
}

fn module_field(host: Version, plugin: Version, report: &Report) -> Result<(), String> {
    match (host, plugin) {
        (Version::Newer, Version::Newer) => expect(report, "description", &"made with executor-api 1.1".into()),
        (Version::Newer, _) => expect(report, "description", &Value::Null),
        _ => Ok(()),
    }
}

fn documents(host: Version, plugin: Version, report: &Report) -> Result<(), String> {
    let (limit, word) = match host {
        Version::Older => ("memory_bytes", "program"),
        Version::Current => ("pids", "nice"),
        Version::Newer => ("energy_joules", "timer_slack_ns"),
    };
    if plugin >= host {
        expect(report, "own_limit", &Value::Null)?;
        return expect(report, "own_spec", &Value::Null);
    }
    expect_error(report, "own_limit", "InvalidSpec", &format!("unknown field `{limit}`"))?;
    expect_error(report, "own_spec", "InvalidSpec", &format!("unknown field `{word}`"))
}

fn error_kind(host: Version, plugin: Version, report: &Report) -> Result<(), String> {
    let known = host == Version::Newer && plugin == Version::Newer;
    expect_error(report, "strange", if known { "Interrupted" } else { "Internal" }, "it is strange")
}

fn features(_: Version, plugin: Version, report: &Report) -> Result<(), String> {
    let names = report.get("features").and_then(Value::as_array).ok_or("no features")?;
    let since = [("memory", Version::Older), ("signal", Version::Current), ("checkpoint", Version::Newer)];
    match since.into_iter().find(|(name, since)| names.contains(&Value::from(*name)) != (plugin >= *since)) {
        None => Ok(()),
        Some((name, _)) => Err(format!("the feature {name} is wrong in {names:?}")),
    }
}

fn expect(report: &Report, name: &str, value: &Value) -> Result<(), String> {
    match report.get(name) {
        Some(found) if found == value => Ok(()),
        found => Err(format!("{name}: expected {value}, found {found:?}")),
    }
}

fn expect_error(report: &Report, name: &str, kind: &str, words: &str) -> Result<(), String> {
    let text =
        |key: &str| report.get(name).and_then(|error| error.get(key)).and_then(Value::as_str).unwrap_or_default();
    match text("kind") == kind && text("line").contains(words) && !text("line").contains('\n') {
        true => Ok(()),
        false => Err(format!("{name}: expected {kind} with {words:?} on one line, found {:?}", report.get(name))),
    }
}

fn layout_is_pinned() -> Result<(), Failed> {
    let path = source().join("layout.txt");
    let found = layout(Version::Current)?;
    if std::env::var_os("EXECUTOR_TEST_BLESS").is_some() {
        return write(&path, &found);
    }
    let pinned = std::fs::read_to_string(&path)?;
    let differs = pinned.lines().zip(found.lines()).find(|(pinned, found)| pinned != found);
    match (pinned == found, differs) {
        (true, _) => Ok(()),
        (false, Some((pinned, found))) => Err(format!("pinned:{pinned:?} found:{found:?}; see README.md there").into()),
        (false, None) => Err("one is longer than the other; see README.md there".into()),
    }
}

/// Also proves that the fixtures are what they say they are: copies, and not something that is merely compatible.
fn layouts_grow() -> Result<(), Failed> {
    let types = |version| -> Result<_, Failed> {
        let text = layout(version)?;
        Ok(text.split("\n\n").map(str::trim_end).map(str::to_owned).collect::<Vec<_>>())
    };
    for (earlier, later) in [(Version::Older, Version::Current), (Version::Current, Version::Newer)] {
        let later_types = types(later)?;
        for known in types(earlier)? {
            // Whole lines, and growth in prefix types only.
            let grown = |found: &&String| match known.lines().next().unwrap_or_default().contains("are fixed") {
                true => format!("{found}\n").starts_with(&format!("{known}\n")),
                false => **found == known,
            };
            if !later_types.iter().any(|found| grown(&found)) {
                return Err(format!("{earlier:?} has this, {later:?} has it otherwise:\n{known}").into());
            }
        }
    }
    Ok(())
}

/// An installed toolchain whose compiler is not the one that builds the other fixtures.
fn other_toolchain() -> Option<String> {
    let said = |command: &mut Command| -> Option<String> {
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let ours = said(Command::new("rustc").arg("--version"))?;
    let list = said(Command::new("rustup").args(["toolchain", "list", "--quiet"]))?;
    let differs = |name: &&str| {
        let theirs = said(Command::new("rustup").args(["run", name, "rustc", "--version"]));
        theirs.is_some_and(|theirs| theirs != ours)
    };
    list.lines().map(str::trim).find(differs).map(str::to_owned)
}

fn other_compiler() -> Result<(), Failed> {
    let toolchain = other_toolchain().ok_or("every installed toolchain has the same compiler")?;
    let target = scratch("fixtures-nightly");
    let mut cargo = Command::new("rustup");
    cargo.args(["run", &toolchain, "cargo"]).env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    build(&mut cargo, &source(), &target, &["--locked", "--package", "plugin-current"])?;
    let plugins = [Version::Current.plugin(built()?), Version::Current.plugin(&target)];
    for order in [[0, 1], [1, 0]] {
        let reports = run(Version::Current, &order.map(|at| &plugins[at]))?;
        for report in &reports {
            works(report)?;
            methods(Version::Current, Version::Current, report)?;
        }
        if reports[0].get("rustc") == reports[1].get("rustc") {
            return Err("both were built by one compiler".into());
        }
    }
    Ok(())
}
