//! What is said elsewhere than in options: variables, and files of settings.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use executor_tests::Need;
use libtest_mimic::Failed;

use crate::Case;
use crate::place::{Place, each, ended, outcome, same, until};
use crate::stranger::Stranger;

pub(crate) const CASES: &[Case] = &[
    ("a_variable_stands_for_its_option", &[Need::Built], variables),
    ("a_variable_that_is_empty_is_none", &[Need::Built], empty_variables),
    ("a_setting_counts_where_nothing_else_is_said", &[Need::Built], settings),
    ("a_setting_that_requires_isolation_is_not_relaxed_by_an_option", &[Need::Built], required),
    ("the_grace_of_the_settings_is_what_stop_waits", &[Need::Built], grace),
    ("a_user_has_settings_at_home_and_root_has_not", &[Need::Built, Need::Root], at_home),
    ("settings_that_others_can_write_or_put_there_are_refused", &[Need::Built], open),
    ("settings_of_another_user_are_refused", &[Need::Built, Need::Root], foreign),
    ("a_setting_that_depends_on_the_directory_is_refused", &[Need::Built], relative),
];

fn line(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

fn variables() -> Result<(), Failed> {
    let place = Place::new()?;
    let with = |name: &str, value: &str, words: &str| outcome(place.command(&line(words)).env(name, value));
    ended(&with("EXECUTOR_PLUGIN", "surely_none", "run -q -- true")?, 125, &["surely_none: not installed"])?;
    ended(&with("EXECUTOR_PLUGIN", "surely_none", "run -q --plugin fallback -- true")?, 0, &[])?;
    ended(&with("EXECUTOR_PLUGIN", "../x", "run -q -- true")?, 125, &["a-z 0-9"])?;
    ended(&with("EXECUTOR_CGROUP_PARENT", "/x", "run -q -- true")?, 125, &["cgroup_parent"])?;
    each(&["LOCK_FILE", "PUBLIC_KEY", "CONFIG"], |name| {
        let output = with(&format!("EXECUTOR_{name}"), "/surely/not", "run -q -- true")?;
        ended(&output, 125, &["/surely/not"])
    })?;
    let other = place.path("other");
    ended(&with("EXECUTOR_STATE_DIR", &other.to_string_lossy(), "start -q -- true")?, 0, &[])?;
    same("records there", fs::read_dir(other.join("tasks"))?.count(), 1)
}

fn empty_variables() -> Result<(), Failed> {
    let place = Place::new()?;
    let names = ["CGROUP_PARENT", "CONFIG", "LOCK_FILE", "PLUGIN", "PLUGIN_PATH", "PUBLIC_KEY"];
    each(&names, |name| {
        let mut command = place.command(&["run", "-q", "--", "true"]);
        ended(&outcome(command.env(format!("EXECUTOR_{name}"), ""))?, 0, &[])
    })
}

fn settings() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("settings.toml", "plugin = 'surely_none'\n")?;
    ended(&place.line("run -q -- true")?, 125, &["surely_none: not installed"])?;
    ended(&place.line("run -q --plugin fallback -- true")?, 0, &[])?;
    let mut run = place.command(&["run", "-q", "--", "true"]);
    ended(&outcome(run.env("EXECUTOR_PLUGIN", "fallback"))?, 0, &[])?;
    place.file("settings.toml", "cgroup-parent = '/x'\n")?;
    ended(&place.line("run -q -- true")?, 125, &["cgroup_parent"])?;
    let other = place.path("other");
    place.file("settings.toml", &format!("state-dir = '{}'\n", other.display()))?;
    let start = || place.command(&["start", "-q", "--", "true"]);
    ended(&outcome(start().env_remove("EXECUTOR_STATE_DIR"))?, 0, &[])?;
    same("records of the setting", fs::read_dir(other.join("tasks"))?.count(), 1)?;
    ended(&outcome(&mut start())?, 0, &[])?;
    same("records of the variable", fs::read_dir(place.state().join("tasks"))?.count(), 1)?;
    // The file that an option names comes before the one of the variable.
    place.file("named.toml", "plugin = 'surely_none'\n")?;
    ended(&place.line("run -q --config named.toml -- true")?, 125, &["surely_none: not installed"])
}

fn required() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("settings.toml", "require-isolation = true\n")?;
    ended(&place.line("run -q -- true")?, 125, &["landlock"])?;
    ended(&place.line("run -q --best-effort -- true")?, 125, &["the settings of this host require"])?;
    place.file("task.json", r#"{"spec":{"program":"true","enforcement":"best_effort"}}"#)?;
    ended(&place.line("run -q --spec task.json")?, 125, &["the settings of this host require"])
}

fn grace() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("settings.toml", "stop-grace = '100ms'\n")?;
    place.start("deaf", "trap '' TERM; echo ready; while :; do sleep 0.02; done")?;
    until("it is ready", || Ok(place.line("logs deaf")?.stdout == b"ready\n"))?;
    let begun = std::time::Instant::now();
    ended(&place.line("stop deaf")?, 0, &[])?;
    same("less than the usual 5 s", begun.elapsed().as_secs() < 4, true)?;
    ended(&place.line("wait deaf")?, 137, &[])
}

fn at_home() -> Result<(), Failed> {
    let place = Place::new()?;
    let stranger = Stranger::new(&place)?;
    let own = place.path("own");
    fs::create_dir(&own)?;
    chown(&own, Some(Stranger::UID), Some(Stranger::GID))?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700))?;
    fs::create_dir_all(place.path("home/.config/executor"))?;
    place.file("home/.config/executor/config.toml", "plugin = 'surely_none'\n")?;
    let words = line("run -q -- true");
    let output = outcome(stranger.command(&words).env_remove("EXECUTOR_CONFIG").env("EXECUTOR_STATE_DIR", &own))?;
    ended(&output, 125, &["surely_none: not installed"])?;
    // Root's environment may be that of whoever became root.
    ended(&outcome(place.command(&words).env_remove("EXECUTOR_CONFIG"))?, 0, &[])?;
    // A home that is closed to this user has no settings of this user.
    fs::set_permissions(place.path("home"), fs::Permissions::from_mode(0o700))?;
    let output = outcome(stranger.command(&words).env_remove("EXECUTOR_CONFIG").env("EXECUTOR_STATE_DIR", &own))?;
    ended(&output, 0, &[])
}

fn written(place: &Place, name: &str, mode: u32) -> Result<(), Failed> {
    let file = place.file(name, "plugin = 'fallback'\n")?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(mode))?)
}

fn open() -> Result<(), Failed> {
    let place = Place::new()?;
    let with = |verb: &str, name: &str| place.line(&format!("{verb} --config {name}"));
    each(&[0o602, 0o620, 0o666, 0o777], |mode| {
        let name = format!("settings-{mode:o}.toml");
        written(&place, &name, *mode)?;
        ended(&with("run -q", &name)?, 125, &["COMMAND"])?;
        // Not only what runs tasks is misled by them.
        for verb in ["ps", "stop x", "plugins", "doctor"] {
            ended(&with(verb, &name)?, 1, &["others can write to ", &name, "fix: chown ", "chmod go-w "])?;
        }
        let output = place.line(&format!("run -q --config {name} -- true"))?;
        ended(&output, 125, &["others can write to ", &name])
    })?;
    each(&[0o600, 0o644, 0o444], |mode| {
        let name = format!("settings-{mode:o}.toml");
        written(&place, &name, *mode)?;
        ended(&with("ps", &name)?, 0, &[])
    })?;
    let shared = place.shared()?;
    written(&place, "shared/settings.toml", 0o600)?;
    ended(&with("ps", "shared/settings.toml")?, 1, &["others can write to ", &*shared.to_string_lossy()])
}

fn foreign() -> Result<(), Failed> {
    let place = Place::new()?;
    written(&place, "foreign.toml", 0o644)?;
    chown(place.path("foreign.toml"), Some(Stranger::UID), None)?;
    ended(&place.line("ps --config foreign.toml")?, 1, &["foreign.toml", "belongs to another user"])
}

fn relative() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows = ["state-dir = 'state'", "lock-file = 'lock'", "plugin-path = ['/a', 'plugins']", "public-key = ['key']"];
    each(&rows, |setting| {
        let name = format!("{}.toml", setting.split(' ').next().unwrap_or_default());
        place.file(&name, setting)?;
        ended(&place.line(&format!("ps --config {name}"))?, 1, &["is not absolute"])
    })
}
