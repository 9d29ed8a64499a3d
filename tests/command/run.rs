//! `executor run`: exit codes, streams, environment, signals, and what becomes of the task when `run` itself is killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use executor_tests::{Need, misbehaving};
use libtest_mimic::Failed;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Case;
use crate::place::{Place, each, end_of, ended, pid, quoted_program, same, silent, text, until};

pub(crate) const CASES: &[Case] = &[
    ("run_exits_with_the_code_of_the_command", &[Need::Built], exit_codes),
    ("run_exits_with_128_and_the_signal", &[Need::Built], signal_codes),
    ("a_time_limit_is_124_and_said", &[Need::Built], time_limit),
    ("a_time_limit_that_is_over_before_the_program_runs_is_124_too", &[Need::Built], short_limit),
    ("a_missing_command_is_127_and_a_directory_126", &[Need::Built], not_found),
    ("a_missing_directory_or_user_is_125_and_named", &[Need::Built], missing_surroundings),
    ("usage_errors_of_run_start_and_wait_are_125_and_of_others_2", &[Need::Built], usage),
    ("streams_and_arguments_go_through_unchanged", &[Need::Built], streams),
    ("the_environment_is_clean", &[Need::Built], environment),
    ("best_effort_runs_and_says_what_is_missing", &[Need::Built], best_effort),
    ("that_a_plugin_cannot_tell_what_it_enforces_is_said", &[Need::Built], unknown_enforcement),
    ("an_unknown_plugin_is_refused_and_the_known_ones_named", &[Need::Built], unknown_plugin),
    ("signals_are_handed_on", &[Need::Built], signals),
    ("what_it_was_started_to_ignore_it_goes_on_ignoring", &[Need::Built], ignored),
    ("two_interrupts_kill_a_task_that_ignores_the_first", &[Need::Built], insisting),
    ("the_task_ends_with_the_command_that_was_interrupted", &[Need::Built], interrupted),
    ("root_gives_nobody", &[Need::Built, Need::Root], nobody),
    ("run_leaves_no_record_and_no_logs", &[Need::Built], no_record),
    ("of_two_runs_by_one_name_the_second_is_refused", &[Need::Built], one_name),
    ("a_run_that_is_killed_leaves_a_task_that_wait_finds", &[Need::Built], killed_host),
    ("a_task_that_dies_with_its_host_is_gone_after_a_kill_of_run", &[Need::Built], dies_with_host),
];

fn exit_codes() -> Result<(), Failed> {
    let place = Place::new()?;
    each(&[0, 1, 7, 123, 124, 125, 255], |code| ended(&place.run(&[], &format!("exit {code}"))?, *code, &[]))
}

fn signal_codes() -> Result<(), Failed> {
    let place = Place::new()?;
    ended(&place.run(&[], "kill -TERM $$")?, 143, &[])?;
    ended(&place.run(&[], "kill -KILL $$")?, 137, &[])
}

fn time_limit() -> Result<(), Failed> {
    let place = Place::new()?;
    let output = place.executor(&["run", "--timeout", "1s500ms", "--", "sleep", "1000"])?;
    ended(&output, 124, &["executor: killed at its time limit of 1s 500ms"])?;
    silent(&place.executor(&["run", "-q", "--timeout", "0.75", "--", "sleep", "1000"])?, 124)
}

fn short_limit() -> Result<(), Failed> {
    let place = Place::new()?;
    each(&[1, 1, 2, 3, 5, 8, 13, 21], |ms| {
        ended(&place.executor(&["run", "-q", "--timeout", &format!("{ms}ms"), "--", "sleep", "1000"])?, 124, &[])
    })
}

fn not_found() -> Result<(), Failed> {
    let place = Place::new()?;
    for verb in ["run", "start"] {
        let cases =
            [("surely-not-there", 127), ("/surely/not/there", 127), ("/etc/passwd", 126), ("/etc", 126), ("", 125)];
        for (program, code) in cases {
            ended(&place.executor(&[verb, "-q", "--", program])?, code, &["executor: ", program])?;
        }
    }
    same("nothing is left", place.states()?, Vec::new())
}

fn missing_surroundings() -> Result<(), Failed> {
    let place = Place::new()?;
    ended(&place.executor(&["run", "-q", "--workdir", "/surely/not", "--", "true"])?, 125, &["/surely/not"])?;
    let output = place.executor(&["run", "-q", "--user", "surely-nobody", "--", "true"])?;
    let known = nix::unistd::geteuid().is_root();
    ended(&output, 125, if known { &["surely-nobody"] } else { &["user"] })
}

fn usage() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows = [
        ("run", 125, "COMMAND"),
        ("start", 125, "COMMAND"),
        ("run --surely-no-option -- true", 125, "--surely-no-option"),
        ("start --surely-no-option -- true", 125, "--surely-no-option"),
        ("run --json -- true", 125, "--dry-run"),
        ("run --best-effort --require-isolation -- true", 125, "cannot be used with"),
        ("run --task-dir /a --alloc-dir /b -- true", 125, "cannot be used with"),
        ("run -q -v -- true", 125, "cannot be used with"),
        ("run --name -- true", 125, "--name"),
        // What looks like a wish for help is the value of an option, and an error of run all the same.
        ("run --name -h;id -- true", 125, "--name"),
        ("wait", 125, "ID"),
        ("wait one two", 125, "two"),
        ("wait --surely-no-option x", 125, "--surely-no-option"),
        ("", 2, "Usage"),
        ("surely-no-verb", 2, "surely-no-verb"),
        ("ps surplus", 2, "surplus"),
        ("stop", 2, "ID"),
        ("kill -s FOO x", 2, "TERM"),
        ("stop --grace soon x", 2, "1m30s"),
        ("inspect", 2, "ID"),
        ("completions surely-no-shell", 2, "bash"),
        ("start --die-with-host -- true", 125, "executor run"),
    ];
    each(&rows, |(line, code, word)| {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let output = place.executor(&words)?;
        same("standard output", text(&output.stdout).as_str(), "")?;
        ended(&output, *code, &[word])
    })?;
    same("nothing ran", place.states()?, Vec::new())
}

fn streams() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut run = place.command(&["run", "-q", "--", "cat"]);
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
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
    same("the words", place.executor(&words)?.stdout.as_slice(), &b"[a\xff b\n][-x][--][]"[..])?;
    let output = place.run(&[], "echo out; echo err >&2")?;
    same("each goes its way", (text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".to_owned()))
}

fn environment() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut run = place.command(&["run", "-q", "-e", "A=1=2", "-e", "KEPT", "--", "env"]);
    let output = run.env("KEPT", "k").env("SECRET", "s").output()?;
    let printed = text(&output.stdout);
    let mut names: Vec<&str> = printed.lines().filter(|line| !line.starts_with("PATH=")).collect();
    names.sort_unstable();
    same("the variables beside PATH", names, vec!["A=1=2", "KEPT=k"])?;
    let output = place.executor(&["run", "-q", "-e", "SURELY_UNSET", "--", "env"])?;
    ended(&output, 125, &["SURELY_UNSET", "NAME=VALUE"])
}

fn best_effort() -> Result<(), Failed> {
    let place = Place::new()?;
    let words = ["run", "--plugin", "fallback", "--best-effort", "--pids", "10", "--", "echo", "ran"];
    let output = place.executor(&words)?;
    ended(&output, 0, &["executor: not enforced: ", "pids"])?;
    same("it ran", text(&output.stdout).as_str(), "ran\n")?;
    same("it is told on one line", text(&output.stderr).lines().count(), 1)
}

fn unknown_enforcement() -> Result<(), Failed> {
    let place = Place::new()?;
    let dir = place.path("plugins");
    std::fs::create_dir(&dir)?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))?;
    drop(misbehaving("panic-applied", "misbehave", &dir));
    let path = dir.to_string_lossy().into_owned();
    let words = ["run", "--plugin-path", &path, "--plugin", "misbehave", "--best-effort", "--", "exit", "3"];
    let output = place.executor(&words)?;
    // After the panic nothing can be asked of the plugin any more, its end included.
    same("the code", output.status.code(), Some(125))?;
    let told = text(&output.stderr);
    let lines: Vec<&str> = told.lines().collect();
    let begins = ["executor: what of it is enforced is not known: applied: ", "executor: the task misbehave."];
    match lines[..] {
        [first, second, ..] if first.starts_with(begins[0]) && second.starts_with(begins[1]) => Ok(()),
        _ => Err(format!("what it says: {told}").into()),
    }
}

fn unknown_plugin() -> Result<(), Failed> {
    let output = Place::new()?.executor(&["run", "--plugin", "surely_none", "--", "true"])?;
    ended(&output, 125, &["surely_none: not installed", "fallback"])
}

/// A `run` with these options of a task that has said a line, and the line.
fn waiting(place: &Place, options: &[&str], script: &str) -> Result<(Child, String), Failed> {
    let words = [&["run", "-q"], options, &["--", "sh", "-c", script]].concat();
    let mut child = place.command(&words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    Ok((child, line.trim_end().to_owned()))
}

fn signals() -> Result<(), Failed> {
    let place = Place::new()?;
    let cases = [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
    ];
    each(&cases, |(signal, name)| {
        let script = format!("trap 'exit 42' {name}; echo ready; while :; do sleep 0.02; done");
        let (child, _) = waiting(&place, &[], &script)?;
        kill(pid(&child)?, *signal)?;
        same("the code", end_of(child)?.status.code(), Some(42))
    })
}

/// As nohup(1) and a shell's background leave it.
fn ignored() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = "trap 'exit 42' HUP; trap 'exit 43' TERM; echo ready; while :; do sleep 0.02; done";
    let script = format!("trap '' HUP; exec {} run -q -- sh -c \"$0\"", quoted_program());
    let mut shell = place.surround(Command::new("sh"), &["-c", &script, task]);
    let mut child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    kill(pid(&child)?, Signal::SIGHUP)?;
    kill(pid(&child)?, Signal::SIGTERM)?;
    same("the code", end_of(child)?.status.code(), Some(43))
}

fn insisting() -> Result<(), Failed> {
    let place = Place::new()?;
    let (child, _) = waiting(&place, &[], "trap '' INT; echo ready; while :; do sleep 0.02; done")?;
    // Signals of one kind that are pending at once become one: so it is asked again until it has ended.
    let own = pid(&child)?;
    let ended = std::thread::spawn(move || end_of(child).map_err(|failed| format!("{failed:?}")));
    until("it has ended", || {
        match kill(own, Signal::SIGINT) {
            // Reaped between two looks.
            Ok(()) | Err(Errno::ESRCH) => Ok(ended.is_finished()),
            Err(errno) => Err(errno.into()),
        }
    })?;
    same("the code", ended.join().map_err(|_| "it panicked")??.status.code(), Some(137))
}

/// The process is gone, or about to be reaped by whoever got it.
fn is_gone(process: &str) -> Result<bool, Failed> {
    Ok(kill(Pid::from_raw(process.parse()?), None).is_err())
}

fn interrupted() -> Result<(), Failed> {
    let place = Place::new()?;
    let (child, task) = waiting(&place, &[], "echo $$; exec sleep 1000")?;
    kill(pid(&child)?, Signal::SIGINT)?;
    same("the code", end_of(child)?.status.code(), Some(130))?;
    same("the task is gone", is_gone(&task)?, true)
}

fn nobody() -> Result<(), Failed> {
    let output = Place::new()?.run(&[], "id -un; id -G")?;
    let group = nix::unistd::User::from_name("nobody")?.ok_or("no nobody")?.gid;
    same("user and groups", text(&output.stdout), format!("nobody\n{group}\n"))
}

fn no_record() -> Result<(), Failed> {
    let place = Place::new()?;
    for script in ["exit 0", "exit 7", "kill -9 $$"] {
        place.run(&["--name", "same"], script)?;
    }
    place.run(&["--timeout", "500ms", "--name", "same"], "sleep 1000")?;
    place.executor(&["run", "-q", "--name", "same", "--", "/surely/not/there"])?;
    same("records", place.states()?, Vec::new())?;
    let logs = std::fs::read_dir(place.state().join("logs"));
    same("logs", logs.map_or(0, Iterator::count), 0)
}

fn one_name() -> Result<(), Failed> {
    let place = Place::new()?;
    let (first, _) = waiting(&place, &["--name", "twin"], "echo ready; exec sleep 1000")?;
    let second = place.run(&["--name", "twin"], "echo ran")?;
    ended(&second, 125, &["fallback.twin", "a task has it", "fix:"])?;
    same("the second did not run", text(&second.stdout).as_str(), "")?;
    same("the first does", place.states()?, vec![("twin".to_owned(), "running".to_owned())])?;
    kill(pid(&first)?, Signal::SIGTERM)?;
    same("its code", end_of(first)?.status.code(), Some(143))?;
    ended(&place.run(&["--name", "twin"], "exit 0")?, 0, &[])
}

fn killed_host() -> Result<(), Failed> {
    let place = Place::new()?;
    let go = place.shared()?.join("go");
    let script = format!("echo ready; until [ -e {} ]; do sleep 0.02; done; exit 7", go.display());
    let (child, _) = waiting(&place, &["--name", "orphan"], &script)?;
    kill(pid(&child)?, Signal::SIGKILL)?;
    end_of(child)?;
    same("it runs on", place.states()?, vec![("orphan".to_owned(), "running".to_owned())])?;
    std::fs::write(go, "")?;
    silent(&place.executor(&["wait", "orphan"])?, 7)?;
    silent(&place.executor(&["wait", "--rm", "orphan"])?, 7)?;
    same("nothing is left", place.states()?, Vec::new())
}

fn dies_with_host() -> Result<(), Failed> {
    let place = Place::new()?;
    // A process that leaves its session and ignores every polite signal goes as well.
    let script = "trap '' TERM INT HUP; (setsid sleep 1000 || sleep 1000) & echo $$ $!; wait; sleep 1000";
    let (child, line) = waiting(&place, &["--die-with-host", "--name", "bound"], script)?;
    kill(pid(&child)?, Signal::SIGKILL)?;
    end_of(child)?;
    let begun = Instant::now();
    for process in line.split(' ') {
        until("the process is gone", || is_gone(process))?;
    }
    same("within a few seconds", begun.elapsed() < Duration::from_secs(5), true)?;
    // Whoever waits is told, and not that nobody knows.
    silent(&place.executor(&["wait", "-q", "bound"])?, 137)?;
    // A task that has its host to the end is none the worse for it.
    ended(&place.run(&["--die-with-host"], "exit 7")?, 7, &[])
}
