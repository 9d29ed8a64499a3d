//! The installed `executor` command, as a shell calls it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, ExitCode, Output, Stdio};

use executor_tests::{Need, prefix, trial};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

type Check = fn() -> Result<(), Failed>;

const CASES: &[(&str, &[Need], Check)] = &[
    ("run_exits_with_the_code_of_the_command", &[Need::Built], exit_codes),
    ("run_exits_with_128_and_the_signal", &[Need::Built], signal_codes),
    ("a_time_limit_is_124_and_said", &[Need::Built], time_limit),
    ("a_missing_command_is_127_and_a_directory_126", &[Need::Built], not_found),
    ("a_missing_directory_or_user_is_125_and_named", &[Need::Built], missing_surroundings),
    ("usage_errors_of_run_are_125_and_of_others_2", &[Need::Built], usage),
    ("streams_and_arguments_go_through_unchanged", &[Need::Built], streams),
    ("the_environment_is_clean", &[Need::Built], environment),
    ("the_working_directory_is_set", &[Need::Built], directory),
    ("a_limit_that_nobody_enforces_is_refused_with_each_reason", &[Need::Built], unenforced),
    ("best_effort_runs_and_says_what_is_missing", &[Need::Built], best_effort),
    ("an_unknown_plugin_is_refused_and_the_known_ones_named", &[Need::Built], unknown_plugin),
    ("signals_are_handed_on", &[Need::Built], signals),
    ("the_task_ends_with_the_command_that_was_interrupted", &[Need::Built], interrupted),
    ("root_gives_nobody", &[Need::Built, Need::Root], nobody),
    ("plugins_lists_each_file_on_one_line", &[Need::Built], listing),
    ("plugins_prints_json", &[Need::Built], json),
    ("a_closed_pipe_is_no_panic", &[Need::Built], closed_pipe),
    ("closed_streams_are_no_panic", &[Need::Built], closed_streams),
    ("a_plugin_path_comes_first", &[Need::Built], plugin_path),
    ("a_lock_file_keeps_others_out", &[Need::Built], lock_file),
];

fn main() -> ExitCode {
    let trials = CASES.iter().map(|(name, needs, check)| trial(name, needs, check)).collect::<Vec<Trial>>();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The installed command with these words; nothing of this process's settings reaches it.
fn executor<W: AsRef<OsStr>>(words: &[W]) -> Command {
    let mut command = Command::new(prefix().join("bin/executor"));
    command.args(words).stdin(Stdio::null());
    command.env("EXECUTOR_STATE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/command-state"));
    for name in ["EXECUTOR_PLUGIN", "EXECUTOR_PLUGIN_PATH", "EXECUTOR_LOCK_FILE"] {
        command.env_remove(name);
    }
    command
}

/// `executor run -q -- sh -c script`.
fn shell(script: &str) -> Command {
    executor(&["run", "-q", "--", "sh", "-c", script])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails unless the command ended with `code`, with all of `words` on standard error.
fn ended(output: &Output, code: i32, words: &[&str]) -> Result<(), Failed> {
    let complaint = text(&output.stderr);
    let missing = words.iter().find(|word| !complaint.contains(**word));
    match (output.status.code() == Some(code), missing) {
        (true, None) => Ok(()),
        (_, missing) => Err(format!("{}, expected {code}; missing {missing:?} in: {complaint}", output.status).into()),
    }
}

fn exit_codes() -> Result<(), Failed> {
    for code in [0, 1, 7, 123, 255] {
        ended(&shell(&format!("exit {code}")).output()?, code, &[])?;
    }
    Ok(())
}

fn signal_codes() -> Result<(), Failed> {
    ended(&shell("kill -TERM $$").output()?, 143, &[])?;
    ended(&shell("kill -KILL $$").output()?, 137, &[])
}

fn time_limit() -> Result<(), Failed> {
    let output = executor(&["run", "--timeout", "200ms", "--", "sleep", "1000"]).output()?;
    ended(&output, 124, &["executor: killed at its time limit of 200ms"])
}

fn not_found() -> Result<(), Failed> {
    ended(&executor(&["run", "-q", "--", "surely-not-there"]).output()?, 127, &["surely-not-there"])?;
    ended(&executor(&["run", "-q", "--", "/surely/not/there"]).output()?, 127, &["/surely/not/there"])?;
    ended(&executor(&["run", "-q", "--", "/etc/passwd"]).output()?, 126, &["/etc/passwd"])?;
    ended(&executor(&["run", "-q", "--", "/etc"]).output()?, 126, &["/etc"])
}

fn missing_surroundings() -> Result<(), Failed> {
    ended(&executor(&["run", "-q", "--workdir", "/surely/not", "--", "true"]).output()?, 125, &["/surely/not"])?;
    let output = executor(&["run", "-q", "--user", "surely-nobody", "--", "true"]).output()?;
    let known = nix::unistd::geteuid().is_root();
    ended(&output, 125, if known { &["surely-nobody"] } else { &["user"] })
}

fn usage() -> Result<(), Failed> {
    ended(&executor(&["run"]).output()?, 125, &["COMMAND"])?;
    ended(&executor(&["run", "--surely-no-option", "--", "true"]).output()?, 125, &["--surely-no-option"])?;
    ended(&executor(&["run", "--timeout", "5 parsecs", "--", "true"]).output()?, 125, &["1m30s"])?;
    ended(&executor(&["run", "-m", "512", "--", "true"]).output()?, 125, &["512M"])?;
    ended(&executor(&["run", "--name", "../x", "--", "true"]).output()?, 125, &["name"])?;
    ended(&executor(&["surely-no-verb"]).output()?, 2, &["surely-no-verb"])?;
    let help = executor(&["--help"]).output()?;
    ended(&help, 0, &[])?;
    same("the help names the verbs", text(&help.stdout).contains("plugins"), true)
}

fn streams() -> Result<(), Failed> {
    let mut child = executor(&["run", "-q", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes));
    let mut echoed = Vec::new();
    child.stdout.take().ok_or("no pipe")?.read_to_end(&mut echoed)?;
    writing.join().map_err(|_| "the writer panicked")??;
    same("the echo is whole", (echoed == sent, child.wait()?.code()), (true, Some(0)))?;

    let odd = [OsStr::from_bytes(b"a\xff b\n"), OsStr::new("-x"), OsStr::new("--"), OsStr::new("")];
    let words = [&["run", "-q", "--", "printf", "[%s]"].map(OsStr::new)[..], &odd].concat();
    let output = executor(&words).output()?;
    same("the words", output.stdout.as_slice(), &b"[a\xff b\n][-x][--][]"[..])
}

fn environment() -> Result<(), Failed> {
    let output = executor(&["run", "-q", "-e", "A=1=2", "-e", "KEPT", "--", "env"])
        .env("KEPT", "k")
        .env("SECRET", "s")
        .output()?;
    let printed = text(&output.stdout);
    let mut names: Vec<&str> = printed.lines().filter(|line| !line.starts_with("PATH=")).collect();
    names.sort_unstable();
    same("the variables beside PATH", names, vec!["A=1=2", "KEPT=k"])?;
    ended(&executor(&["run", "-q", "-e", "SURELY_UNSET", "--", "env"]).output()?, 125, &["SURELY_UNSET", "NAME=VALUE"])
}

fn directory() -> Result<(), Failed> {
    same("the default", text(&executor(&["run", "-q", "--", "pwd"]).output()?.stdout).trim_end(), "/")?;
    let output = executor(&["run", "-q", "--workdir", "/usr", "--", "pwd"]).output()?;
    same("the one given", text(&output.stdout).trim_end(), "/usr")?;
    let output = executor(&["run", "-q", "--workdir", "usr", "--", "pwd"]).output()?;
    ended(&output, 125, &["absolute"])
}

fn unenforced() -> Result<(), Failed> {
    let output = executor(&["run", "--plugin", "fallback", "--pids", "10", "--", "touch", "/tmp/ran"]).output()?;
    ended(&output, 125, &["fallback: cannot enforce pids", "fix:"])?;
    same("it printed nothing", output.stdout.is_empty(), true)
}

fn best_effort() -> Result<(), Failed> {
    let words = ["run", "--plugin", "fallback", "--best-effort", "--pids", "10", "--", "echo", "ran"];
    let output = executor(&words).output()?;
    ended(&output, 0, &["executor: not enforced: ", "pids"])?;
    same("it ran", text(&output.stdout).as_str(), "ran\n")
}

fn unknown_plugin() -> Result<(), Failed> {
    let output = executor(&["run", "--plugin", "surely_none", "--", "true"]).output()?;
    ended(&output, 125, &["surely_none: not installed", "fallback"])
}

/// Starts a task that says `ready` and then waits for a signal.
fn waiting(script: &str) -> Result<(std::process::Child, String), Failed> {
    let mut child = shell(script).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    Ok((child, line.trim_end().to_owned()))
}

fn pid(child: &std::process::Child) -> Result<Pid, Failed> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

fn signals() -> Result<(), Failed> {
    let cases =
        [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1")];
    for (signal, name) in cases {
        let (mut child, _) = waiting(&format!("trap 'exit 42' {name}; echo ready; while :; do sleep 0.02; done"))?;
        kill(pid(&child)?, signal)?;
        same(name, child.wait()?.code(), Some(42))?;
    }
    Ok(())
}

fn interrupted() -> Result<(), Failed> {
    let (mut child, task) = waiting("echo $$; exec sleep 1000")?;
    kill(pid(&child)?, Signal::SIGINT)?;
    same("the code", child.wait()?.code(), Some(130))?;
    let left = kill(Pid::from_raw(task.parse()?), None);
    same("the task is gone", left.is_err(), true)
}

fn nobody() -> Result<(), Failed> {
    let output = shell("id -un; id -G").output()?;
    let group = nix::unistd::User::from_name("nobody")?.ok_or("no nobody")?.gid;
    same("user and groups", text(&output.stdout).as_str(), &format!("nobody\n{group}\n"))
}

fn listing() -> Result<(), Failed> {
    let output = executor(&["plugins"]).output()?;
    ended(&output, 0, &[])?;
    let printed = text(&output.stdout);
    let line =
        |name: &str| printed.lines().find(|line| line.contains(&format!("libexecutor_{name}.so"))).map(str::to_owned);
    same("fallback", line("fallback").is_some_and(|line| line.starts_with('*') && line.contains("usable")), true)?;
    same("linux", line("linux").is_some_and(|line| line.contains("not usable here")), true)?;
    same("freebsd", line("freebsd").is_some_and(|line| line.contains("FreeBSD")), true)
}

fn json() -> Result<(), Failed> {
    let output = executor(&["plugins", "--json"]).output()?;
    let read: Value = serde_json::from_slice(&output.stdout)?;
    same("schema", read["schema"].as_u64(), Some(1))?;
    let fallback = read["plugins"].as_array().into_iter().flatten().find(|plugin| plugin["name"] == "fallback");
    let fallback = fallback.ok_or("no fallback in it")?;
    same("status", fallback["status"].as_str(), Some("usable"))?;
    same("preferred", fallback["preferred"].as_bool(), Some(true))?;
    same("a feature", fallback["capabilities"]["features"]["wall_time"]["level"].as_str(), Some("hard"))
}

fn closed_pipe() -> Result<(), Failed> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = executor(&["plugins", "-v"]).stdout(writer).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    ended(&output, 0, &[])?;
    same("no complaint", text(&output.stderr).as_str(), "")
}

fn closed_streams() -> Result<(), Failed> {
    let program = prefix().join("bin/executor");
    let script = format!("{} run -q -- true <&- >&- 2>&-", program.display());
    same("the code", Command::new("sh").args(["-c", &script]).status()?.code(), Some(0))
}

/// A directory with copies of installed plugins in it.
fn copies(names: &[&str]) -> Result<tempfile::TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    for name in names {
        let file = format!("libexecutor_{name}.so");
        fs::copy(prefix().join("lib/executor/1").join(&file), dir.path().join(&file))?;
    }
    Ok(dir)
}

fn plugin_path() -> Result<(), Failed> {
    let dir = copies(&["linux"])?;
    let words = [OsStr::new("plugins"), OsStr::new("--plugin-path"), dir.path().as_os_str()];
    let printed = text(&executor(&words).output()?.stdout);
    let lines: Vec<&str> = printed.lines().filter(|line| line.contains("libexecutor_linux.so")).collect();
    same(
        "the first one is ours",
        lines.first().is_some_and(|line| line.contains(&*dir.path().to_string_lossy())),
        true,
    )?;
    same("the other one is shadowed", lines.get(1).is_some_and(|line| line.contains("shadowed by")), true)
}

fn lock_file() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("plugins.sha256");
    let installed = prefix().join("lib/executor/1");
    let sums = Command::new("sha256sum").arg("libexecutor_fallback.so").current_dir(&installed).output()?;
    fs::write(&file, &sums.stdout)?;
    let words = [OsStr::new("--lock-file"), file.as_os_str(), OsStr::new("plugins")];
    let printed = text(&executor(&words).output()?.stdout);
    let line =
        |name: &str| printed.lines().find(|line| line.contains(&format!("libexecutor_{name}.so"))).unwrap_or_default();
    same("listed", line("fallback").contains("usable"), true)?;
    same("not listed", line("linux").contains("refused: lock"), true)?;
    let words = [OsStr::new("--lock-file"), file.as_os_str(), OsStr::new("run"), OsStr::new("-q"), OsStr::new("true")];
    ended(&executor(&words).output()?, 0, &[])?;
    fs::write(&file, text(&sums.stdout).replace(|digit: char| digit.is_ascii_digit(), "0"))?;
    ended(&executor(&words).output()?, 125, &["lock"])
}

/// Fails with both values unless they are equal.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}").into()),
    }
}
