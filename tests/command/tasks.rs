//! Tasks in the background: `start`, `wait`, `stop`, `kill`, and the words that mean a task.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use executor_tests::Need;
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::Case;
use crate::place::{Place, each, end_of, ended, same, silent, text, until};

pub(crate) const CASES: &[Case] = &[
    ("start_prints_the_id_alone_and_returns_while_the_task_runs", &[Need::Built], start),
    ("start_without_a_name_gives_each_task_its_own", &[Need::Built], random_names),
    ("start_of_a_name_that_is_taken_says_so", &[Need::Built], taken),
    ("start_says_on_one_line_what_is_not_enforced", &[Need::Built], start_complains),
    ("wait_exits_like_the_task_and_prints_nothing", &[Need::Built], wait_codes),
    ("wait_waits_for_a_task_that_runs", &[Need::Built], wait_running),
    ("wait_for_a_task_whose_end_nobody_saw_is_125", &[Need::Built], lost),
    ("wait_tells_the_end_as_json", &[Need::Built], wait_json),
    ("wait_rm_frees_the_name_and_removes_the_logs", &[Need::Built], wait_rm),
    ("any_number_wait_for_one_task", &[Need::Built], many_wait),
    ("stop_asks_first_and_kills_after_the_grace", &[Need::Built], stop),
    ("stop_ends_several_tasks_at_once", &[Need::Built], stop_several),
    ("stop_and_kill_of_an_ended_task_are_no_error", &[Need::Built], stop_ended),
    ("kill_ends_every_process_at_once", &[Need::Built], kill_tree),
    ("kill_with_a_signal_only_sends_it", &[Need::Built], kill_signal),
    ("stop_and_kill_tell_what_became_of_each_task_as_json", &[Need::Built], stop_json),
    ("a_task_is_meant_by_its_whole_id_or_name", &[Need::Built], words),
    ("a_name_that_two_plugins_have_is_refused_and_both_are_named", &[Need::Built], ambiguous),
    ("no_such_task_is_3_on_every_verb", &[Need::Built], missing),
    ("one_missing_task_keeps_no_other_from_its_end", &[Need::Built], some_missing),
];

/// Runs until it is told to end, and says when it listens.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.02; done";

/// A task that has said that it is ready.
fn ready(place: &Place, name: &str, script: &str) -> Result<(), Failed> {
    place.start(name, script)?;
    until("it is ready", || Ok(place.line(&format!("logs {name}"))?.stdout.starts_with(b"ready\n")))
}

fn start() -> Result<(), Failed> {
    let place = Place::new()?;
    // That its output has ended says that the task does not hold it.
    place.start("nap", "sleep 1000")?;
    same("it runs", place.states()?, vec![("nap".to_owned(), "running".to_owned())])?;
    let read = place.json("start -q --name other --json -- true")?;
    same("id", read["id"].as_str(), Some("fallback.other"))?;
    // What starts in the background has no input of ours.
    let mut start = place.command(&["start", "-q", "--name", "reader", "--", "cat"]);
    end_of(start.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)?;
    silent(&place.line("wait reader")?, 0)
}

fn random_names() -> Result<(), Failed> {
    let place = Place::new()?;
    let ids = [(); 3].map(|()| place.line("start -q -- true").map(|output| text(&output.stdout)));
    let mut ids = ids.into_iter().collect::<Result<Vec<_>, _>>()?;
    same("one line each", ids.iter().all(|id| id.starts_with("fallback.t") && id.lines().count() == 1), true)?;
    ids.sort_unstable();
    ids.dedup();
    same("different ids", ids.len(), 3)
}

fn taken() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("one", "exit 0")?;
    silent(&place.line("wait one")?, 0)?;
    let output = place.line("start -q --name one -- true")?;
    ended(&output, 125, &["fallback.one", "a task has it", "fix:"])?;
    same("standard output", text(&output.stdout).as_str(), "")?;
    silent(&place.line("wait --rm one")?, 0)?;
    place.start("one", "exit 5")?;
    silent(&place.line("wait one")?, 5)
}

fn start_complains() -> Result<(), Failed> {
    let output = Place::new()?.line("start --name loud -- true")?;
    ended(&output, 0, &["executor: not enforced: ", "landlock", "(fallback)"])?;
    same("lines", (text(&output.stdout).as_str(), text(&output.stderr).lines().count()), ("fallback.loud\n", 1))
}

fn wait_codes() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows: [(&str, &[&str], &str, i32); 6] = [
        ("fine", &[], "exit 0", 0),
        ("seven", &[], "exit 7", 7),
        ("high", &[], "exit 255", 255),
        ("terminated", &[], "kill -TERM $$", 143),
        ("killed", &[], "kill -KILL $$", 137),
        ("late", &["--timeout", "1s"], "sleep 1000", 124),
    ];
    each(&rows, |(name, options, script, code)| {
        place.start_with(name, options, script)?;
        for line in [format!("wait -q {name}"), format!("wait -q fallback.{name}")] {
            silent(&place.line(&line)?, *code)?;
        }
        same("standard output", text(&place.line(&format!("wait {name}"))?.stdout).as_str(), "")
    })?;
    ended(&place.line("wait late")?, 124, &["executor: killed at its time limit"])
}

fn wait_running() -> Result<(), Failed> {
    let place = Place::new()?;
    let go = place.shared()?.join("go");
    place.start("one", &format!("until [ -e {} ]; do sleep 0.02; done; exit 7", go.display()))?;
    let mut wait = place.command(&["wait", "one"]);
    let mut waiting = wait.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    same("it has not ended", waiting.try_wait()?.is_none(), true)?;
    fs::write(go, "")?;
    silent(&end_of(waiting)?, 7)
}

/// Kills the supervisor of a task.
fn lose(place: &Place, name: &str) -> Result<(), Failed> {
    let read = place.json(&format!("inspect --json {name}"))?;
    let supervisor = read["task"]["supervisor"]["pid"].as_i64().ok_or("no supervisor")?;
    kill(Pid::from_raw(i32::try_from(supervisor)?), Signal::SIGKILL)?;
    until("it is lost", || Ok(place.states()?.contains(&(name.to_owned(), "ended".to_owned()))))
}

fn lost() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("gone", "exec sleep 3")?;
    lose(&place, "gone")?;
    silent(&place.line("wait -q gone")?, 125)?;
    ended(&place.line("wait gone")?, 125, &["executor: ", "is not known"])?;
    let output = place.line("wait --json gone")?;
    let read: Value = serde_json::from_slice(&output.stdout)?;
    same("code and cause", (output.status.code(), read["outcome"]["cause"].as_str()), (Some(125), Some("lost")))
}

fn wait_json() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("seven", "exit 7")?;
    let output = place.line("wait --json seven")?;
    ended(&output, 7, &[])?;
    let read: Value = serde_json::from_slice(&output.stdout)?;
    same("its end", read["outcome"]["ended"].to_string().as_str(), r#"{"exited":7}"#)?;
    same("code and id", (read["exit_code"].as_i64(), read["id"].as_str()), (Some(7), Some("fallback.seven")))
}

fn wait_rm() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("once", "echo printed; exit 7")?;
    silent(&place.line("wait once")?, 7)?;
    same("logs", fs::read_dir(place.state().join("logs"))?.count(), 1)?;
    silent(&place.line("wait --rm once")?, 7)?;
    same("logs", fs::read_dir(place.state().join("logs"))?.count(), 0)?;
    ended(&place.line("wait once")?, 3, &["there is no such task"])?;
    place.start("once", "exit 8")?;
    silent(&place.line("wait --rm once")?, 8)
}

fn many_wait() -> Result<(), Failed> {
    let place = Place::new()?;
    let go = place.shared()?.join("go");
    place.start("one", &format!("until [ -e {} ]; do sleep 0.02; done; exit 7", go.display()))?;
    let mut wait = place.command(&["wait", "one"]);
    wait.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = [(); 6].map(|()| wait.spawn());
    fs::write(go, "")?;
    waiting.into_iter().try_for_each(|child| silent(&end_of(child?)?, 7))
}

fn stop() -> Result<(), Failed> {
    let place = Place::new()?;
    ready(&place, "polite", "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.02; done")?;
    let output = place.line("stop polite")?;
    ended(&output, 0, &[])?;
    same("it prints the id", text(&output.stdout).as_str(), "fallback.polite\n")?;
    silent(&place.line("wait polite")?, 9)?;
    same("it said goodbye", text(&place.line("logs polite")?.stdout).as_str(), "ready\nbye\n")?;

    ready(&place, "deaf", DEAF)?;
    let begun = Instant::now();
    ended(&place.line("stop --grace 300ms deaf")?, 0, &[])?;
    same("not before the grace", begun.elapsed() >= Duration::from_millis(300), true)?;
    silent(&place.line("wait deaf")?, 137)?;

    ready(&place, "hasty", DEAF)?;
    ended(&place.line("stop --grace 0 hasty")?, 0, &[])?;
    silent(&place.line("wait hasty")?, 137)
}

fn stop_several() -> Result<(), Failed> {
    let place = Place::new()?;
    let names = ["a", "b", "c", "d"];
    each(&names, |name| ready(&place, name, DEAF))?;
    let begun = Instant::now();
    // One named twice is stopped once.
    let output = place.line("stop --grace 2s a b fallback.c d a")?;
    ended(&output, 0, &[])?;
    same("at once, not one by one", begun.elapsed() < Duration::from_secs(5), true)?;
    same("all are told", text(&output.stdout).as_str(), "fallback.a\nfallback.b\nfallback.c\nfallback.d\n")?;
    each(&names, |name| silent(&place.line(&format!("wait {name}"))?, 137))
}

fn stop_ended() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("done", "exit 7")?;
    silent(&place.line("wait done")?, 7)?;
    for verb in ["stop", "kill", "stop --grace 0"] {
        let output = place.line(&format!("{verb} done"))?;
        ended(&output, 0, &[])?;
        same("the id", text(&output.stdout).as_str(), "fallback.done\n")?;
    }
    // A signal that nobody gets is another matter, but the task is no missing one.
    let output = place.line("kill -s USR1 done")?;
    ended(&output, 1, &["it has ended"])?;
    same("nothing is claimed", text(&output.stdout).as_str(), "")?;
    silent(&place.line("wait done")?, 7)
}

fn kill_tree() -> Result<(), Failed> {
    let place = Place::new()?;
    ready(
        &place,
        "tree",
        "echo ready; trap '' TERM; (setsid sleep 1000 || sleep 1000) & echo $! $$; wait; sleep 1000",
    )?;
    let mut printed = String::new();
    until("it tells its processes", || {
        printed = text(&place.line("logs tree")?.stdout);
        Ok(printed.lines().count() == 2)
    })?;
    let output = place.line("kill tree")?;
    ended(&output, 0, &[])?;
    same("the id", text(&output.stdout).as_str(), "fallback.tree\n")?;
    // It has ended when the kill is told.
    same("state", place.states()?, vec![("tree".to_owned(), "ended".to_owned())])?;
    for process in printed.lines().nth(1).unwrap_or_default().split(' ') {
        let process = Pid::from_raw(process.parse()?);
        until("the process is gone", || Ok(kill(process, None).is_err()))?;
    }
    silent(&place.line("wait tree")?, 137)
}

fn kill_signal() -> Result<(), Failed> {
    let place = Place::new()?;
    let script = "trap 'echo one' USR1; trap 'exit 3' USR2; echo ready; while :; do sleep 0.02; done";
    ready(&place, "listener", script)?;
    for signal in ["USR1", "SIGUSR1", "usr1", &Signal::SIGUSR1.as_str()[3..], &(Signal::SIGUSR1 as i32).to_string()] {
        let before = place.line("logs listener")?.stdout.len();
        ended(&place.line(&format!("kill -s {signal} listener"))?, 0, &[])?;
        until("it was heard", || Ok(place.line("logs listener")?.stdout.len() > before))?;
    }
    same("it runs on", place.states()?, vec![("listener".to_owned(), "running".to_owned())])?;
    ended(&place.line("kill --signal USR2 listener")?, 0, &[])?;
    silent(&place.line("wait listener")?, 3)
}

fn stop_json() -> Result<(), Failed> {
    let place = Place::new()?;
    ready(&place, "deaf", DEAF)?;
    place.start("signalled", "trap 'exit 3' USR2; echo ready; while :; do sleep 0.02; done")?;
    let read = place.json("kill -s CONT --json signalled")?;
    same("it runs on", read["tasks"][0]["state"].as_str(), Some("running"))?;
    let read = place.json("stop --grace 0 --json deaf signalled")?;
    for (at, name) in ["deaf", "signalled"].into_iter().enumerate() {
        let task = &read["tasks"][at];
        same("id", task["id"].as_str(), Some(&*format!("fallback.{name}")))?;
        same("its end", (task["state"].as_str(), task["exit_code"].as_i64()), (Some("ended"), Some(137)))?;
    }
    let output = place.line("stop --json nobody")?;
    ended(&output, 3, &[])?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    same("a document all the same", document["tasks"].as_array().map(Vec::len), Some(0))
}

fn words() -> Result<(), Failed> {
    let place = Place::new()?;
    for (name, code) in [("build-7", 7), ("build-70", 70), ("web", 1)] {
        place.start(name, &format!("exit {code}"))?;
    }
    let rows = [("build-7", 7), ("fallback.build-7", 7), ("build-70", 70), ("fallback.build-70", 70), ("-- web", 1)];
    each(&rows, |(word, code)| silent(&place.line(&format!("wait {word}"))?, *code))
}

/// Every verb that takes an id, with its options.
pub(crate) const VERBS: [&str; 13] = [
    "wait",
    "wait --rm",
    "wait --json",
    "stop",
    "stop --grace 0",
    "kill",
    "kill -s USR1",
    "inspect",
    "stats",
    "logs",
    "logs -f",
    "logs --json",
    "gc",
];

fn ambiguous() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("both", "exit 0")?;
    // The record of another plugin's task, as far as a name goes.
    let other = place.state().join("tasks/linux.both");
    fs::create_dir(&other)?;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700))?;
    each(&VERBS, |verb| {
        let output = place.line(&format!("{verb} both"))?;
        let code = if verb.starts_with("wait") { 125 } else { 1 };
        ended(&output, code, &["it can mean fallback.both, linux.both", "fix: write the whole id"])?;
        same("what is printed of it", text(&output.stdout).contains("fallback.both"), false)
    })?;
    silent(&place.line("wait fallback.both")?, 0)?;
    fs::remove_dir(other)?;
    same("it is still there", place.states()?.len(), 1)
}

fn missing() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("there", "exit 0")?;
    each(&VERBS, |verb| {
        // Nothing less than the whole: `build-7` must not mean `build-70` once the former is gone.
        for word in ["surely-not", "fallback.surely-not", "linux.there", "ther", "fallback.ther", "fallback", "here"] {
            let output = place.line(&format!("{verb} {word}"))?;
            ended(&output, 3, &[&format!("{word:?}: there is no such task"), "fix: `executor ps`"])?;
            same("what is printed of it", text(&output.stdout).contains("there"), false)?;
        }
        Ok(())
    })?;
    same("the other is still there", place.states()?.len(), 1)
}

fn some_missing() -> Result<(), Failed> {
    let place = Place::new()?;
    each(&["a", "b"], |name| ready(&place, name, DEAF))?;
    let output = place.line("stop --grace 0 nobody a nothing b")?;
    ended(&output, 3, &["\"nobody\"", "\"nothing\""])?;
    same("the others", text(&output.stdout).as_str(), "fallback.a\nfallback.b\n")?;
    let output = place.line("gc nobody a")?;
    ended(&output, 3, &["\"nobody\""])?;
    same("the other", text(&output.stdout).as_str(), "fallback.a\n")?;
    // What went wrong with a task that is there counts for more.
    ended(&place.line("kill -s USR1 nobody b")?, 1, &["\"nobody\"", "it has ended"])?;
    same("what is left", place.states()?, vec![("b".to_owned(), "ended".to_owned())])
}
