//! What looks at records and clears them away: `ps`, `inspect`, `stats`, `logs`, `gc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use executor_tests::Need;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::Case;
use crate::place::{Place, each, end_of, ended, same, silent, text};

pub(crate) const CASES: &[Case] = &[
    ("ps_shows_what_runs_what_has_ended_and_what_is_damaged", &[Need::Built], ps),
    ("ps_of_nothing_is_a_heading_and_no_state_directory_is_made_for_others", &[Need::Built], ps_of_nothing),
    ("ps_shows_no_control_characters_of_a_command", &[Need::Built], odd_command),
    ("inspect_tells_all_that_is_known", &[Need::Built], inspect),
    ("what_inspect_tells_of_a_task_runs_it_again", &[Need::Built], again),
    ("a_damaged_record_is_told_by_every_verb_and_collected_once_it_is_mended", &[Need::Built], damaged),
    ("stats_of_an_ended_task_are_those_of_its_record", &[Need::Built], stats),
    ("stats_of_a_running_task_say_why_the_plugin_cannot_tell", &[Need::Built], running_stats),
    ("logs_print_each_stream_on_its_own", &[Need::Built], logs),
    ("logs_as_json_are_a_document_a_line", &[Need::Built], json_logs),
    ("logs_f_goes_on_until_the_task_has_ended", &[Need::Built], follow),
    ("logs_f_ends_when_its_reader_has_gone", &[Need::Built], reader_gone),
    ("logs_of_a_task_without_kept_output_are_a_clear_error", &[Need::Built], no_logs),
    ("gc_takes_what_has_ended_with_its_logs_and_leaves_what_runs", &[Need::Built], gc),
    ("gc_takes_strays", &[Need::Built], strays),
    ("gc_of_an_id_takes_that_one_alone", &[Need::Built], gc_one),
    ("an_alias_is_its_verb", &[Need::Built], aliases),
];

/// The row of a task in a table, as words.
fn row(table: &[u8], name: &str) -> Vec<String> {
    let table = text(table);
    let line = table.lines().find(|line| line.starts_with(&format!("fallback.{name} ")));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Lets others look at a record, which is then believed no more.
fn damage(place: &Place, name: &str, mode: u32) -> Result<(), Failed> {
    let record = place.state().join(format!("tasks/fallback.{name}"));
    Ok(fs::set_permissions(record, fs::Permissions::from_mode(mode))?)
}

fn ps() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("awake", "exec sleep 1000")?;
    place.start("seven", "exit 7")?;
    place.start_with("late", &["--timeout", "700ms"], "sleep 1000")?;
    place.start("bad", "exit 0")?;
    each(&["seven", "late", "bad"], |name| place.line(&format!("wait {name}")).map(drop))?;
    damage(&place, "bad", 0o777)?;

    let table = place.line("ps")?;
    ended(&table, 0, &[])?;
    let heading = text(&table.stdout).lines().next().unwrap_or_default().to_owned();
    same("heading", heading.split_whitespace().collect::<Vec<_>>(), ["ID", "STATE", "AGE", "COMMAND"])?;
    same("running", &row(&table.stdout, "awake")[1..2], ["running"].as_slice())?;
    same("its command", row(&table.stdout, "awake")[3..].join(" ").as_str(), r#"sh -c "exec sleep 1000""#)?;
    same("ended", row(&table.stdout, "seven")[1..5].join(" ").as_str(), "exited with code 7")?;
    same("timed out", row(&table.stdout, "late").join(" ").contains("at its time limit"), true)?;
    same("damaged", row(&table.stdout, "bad").join(" ").contains("damaged - use "), true)?;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let expected = [("awake", "running"), ("bad", "damaged"), ("late", "ended"), ("seven", "ended")];
    same("states", place.states()?, expected.map(|(name, word)| state(name, word)).to_vec())?;
    damage(&place, "bad", 0o700)
}

fn ps_of_nothing() -> Result<(), Failed> {
    let place = Place::new()?;
    same("the table", text(&place.line("ps")?.stdout).as_str(), "ID  STATE  AGE  COMMAND\n")?;
    same("the document", place.json("ps --json")?, json!({ "schema": 1, "tasks": [] }))?;
    same("mode", fs::metadata(place.state())?.permissions().mode() & 0o7777, 0o700)
}

fn odd_command() -> Result<(), Failed> {
    let place = Place::new()?;
    let words = ["start", "-q", "--name", "odd", "--", "true", "\u{1b}[2J", "a\nb", "", "tab\t"];
    ended(&place.executor(&words)?, 0, &[])?;
    silent(&place.line("wait odd")?, 0)?;
    for line in ["ps", "inspect odd"] {
        let output = place.line(line)?;
        let raw = output.stdout.iter().filter(|byte| byte.is_ascii_control() && **byte != b'\n').count();
        same(line, raw, 0)?;
    }
    let read = place.json("ps --json")?;
    same("the words", &read["tasks"][0]["command"], &json!(["true", "\u{1b}[2J", "a\nb", "", "tab\t"]))
}

fn inspect() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start_with("seven", &["--nice", "5", "--timeout", "10s", "-e", "A=1"], "exit 7")?;
    silent(&place.line("wait seven")?, 7)?;
    let read = place.json("inspect --json seven")?;
    let task = &read["task"];
    same("id", task["id"].as_str(), Some("fallback.seven"))?;
    same("its end", (task["state"].as_str(), task["exit_code"].as_i64()), (Some("ended"), Some(7)))?;
    same("command", &task["command"], &json!(["sh", "-c", "exit 7"]))?;
    same("spec", (task["spec"]["nice"].as_i64(), task["spec"]["env"]["A"].as_str()), (Some(5), Some("1")))?;
    same("limits", task["resources"]["wall_time_ms"].as_i64(), Some(10_000))?;
    same("enforced", task["applied"]["enforced"].to_string().contains("nice"), true)?;
    same("usage", task["usage"]["cpu_user_ms"].is_u64(), true)?;
    let log = task["logs"]["stdout"].as_str().ok_or("no log")?;
    same("logs", (log.starts_with(&*place.state().to_string_lossy()), Path::new(log).is_file()), (true, true))?;

    let table = place.line("inspect seven")?;
    ended(&table, 0, &[])?;
    for line in ["exit_code        7", "state            ended", r#"command          ["sh","-c","exit 7"]"#] {
        same(line, text(&table.stdout).lines().any(|found| found == line), true)?;
    }
    place.start("awake", "exec sleep 1000")?;
    let read = place.json("inspect --json awake")?;
    same("running", (read["task"]["state"].as_str(), read["task"].get("outcome")), (Some("running"), None))
}

fn again() -> Result<(), Failed> {
    let place = Place::new()?;
    let script = "ulimit -n; echo $A; nice; exit 7";
    place.start_with("first", &["--nice", "5", "--rlimit", "nofile=64", "-e", "A=1", "--timeout", "1m"], script)?;
    silent(&place.line("wait first")?, 7)?;
    let read = place.json("inspect --json first")?;
    let document = json!({ "spec": read["task"]["spec"], "resources": read["task"]["resources"] });
    place.file("again.json", &document.to_string())?;
    let output = place.line("run -q --spec again.json --stdout out --stderr err")?;
    ended(&output, 7, &[])?;
    same("it printed", fs::read_to_string(place.path("out"))?.as_str(), "64\n1\n5\n")?;
    same("as it did before", text(&place.line("logs first")?.stdout).as_str(), "64\n1\n5\n")
}

fn damaged() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("bad", "exit 7")?;
    silent(&place.line("wait bad")?, 7)?;
    damage(&place, "bad", 0o770)?;
    each(&["wait", "stop", "kill", "inspect", "inspect --json", "stats", "logs", "gc"], |verb| {
        let output = place.line(&format!("{verb} bad"))?;
        same("standard output", text(&output.stdout).as_str(), "")?;
        ended(&output, if *verb == "wait" { 125 } else { 1 }, &["others have rights on it", "fix: chmod go="])
    })?;
    ended(&place.line("gc")?, 1, &["others have rights on it"])?;
    damage(&place, "bad", 0o700)?;
    same("gc", text(&place.line("gc")?.stdout).as_str(), "fallback.bad\n")
}

fn stats() -> Result<(), Failed> {
    let place = Place::new()?;
    // Until it has used what can be told in milliseconds.
    place.start_with("busy", &["--rlimit", "cpu=1"], "while :; do :; done")?;
    ended(&place.line("wait busy")?, 137, &[]).or_else(|_| ended(&place.line("wait busy")?, 152, &[]))?;
    let read = place.json("stats --json busy")?;
    same("schema and id", (read["schema"].as_i64(), read["id"].as_str()), (Some(1), Some("fallback.busy")))?;
    same("state", read["state"].as_str(), Some("ended"))?;
    let used = ["cpu_user_ms", "cpu_system_ms"].iter().filter_map(|key| read["usage"][key].as_u64()).sum::<u64>();
    same("its second", (500..10_000).contains(&used), true)?;
    let table = text(&place.line("stats busy")?.stdout);
    same("the table", table.lines().any(|line| line.starts_with("cpu_user_ms ")), true)
}

fn running_stats() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("awake", "exec sleep 1000")?;
    let output = place.line("stats awake")?;
    ended(&output, 1, &["the plugin fallback cannot tell: ", "resource group", "fix:"])?;
    same("standard output", text(&output.stdout).as_str(), "")
}

fn logs() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("both", r"echo out; echo err >&2; printf '\377\033[1m'")?;
    silent(&place.line("wait both")?, 0)?;
    for verb in ["logs", "logs -f"] {
        let output = place.line(&format!("{verb} both"))?;
        ended(&output, 0, &[])?;
        same("as they are", (&*output.stdout, &*output.stderr), (&b"out\n\xff\x1b[1m"[..], &b"err\n"[..]))?;
    }
    place.start("mute", "exit 0")?;
    silent(&place.line("wait mute")?, 0)?;
    silent(&place.line("logs mute")?, 0)
}

fn json_logs() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("both", r"echo one; echo err >&2; printf '\377x\ntwo\033 unended'")?;
    silent(&place.line("wait both")?, 0)?;
    let output = place.line("logs --json both")?;
    ended(&output, 0, &[])?;
    let lines = text(&output.stdout);
    let lines = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let line = |stream: &str, line: &str| json!({ "stream": stream, "line": line });
    let hex = json!({ "stream": "stdout", "line": { "hex": "ff78" } });
    let last = line("stdout", "two\u{1b} unended");
    same("lines", lines, vec![line("stdout", "one"), hex, last, line("stderr", "err")])
}

fn follow() -> Result<(), Failed> {
    let place = Place::new()?;
    let go = place.shared()?.join("go");
    let script = format!("echo early; until [ -e {} ]; do sleep 0.02; done; echo late; printf last", go.display());
    place.start("talker", &script)?;
    let mut logs = place.command(&["logs", "-f", "talker"]);
    let mut child = logs.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut reader = BufReader::new(child.stdout.take().ok_or("no pipe")?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    same("what was there", line.as_str(), "early\n")?;
    same("it goes on", child.try_wait()?.is_none(), true)?;
    fs::write(go, "")?;
    let rest: Vec<String> = reader.lines().collect::<Result<_, _>>()?;
    same("what came since", rest, ["late", "last"])?;
    same("it ends with the task", end_of(child)?.status.code(), Some(0))
}

fn reader_gone() -> Result<(), Failed> {
    let place = Place::new()?;
    // One task that goes on printing, and one that does not.
    let rows = [("talker", "while :; do echo more; sleep 0.05; done"), ("mute", "echo more; exec sleep 1000")];
    each(&rows, |(name, script)| {
        place.start(name, script)?;
        let mut logs = place.command(&["logs", "-f", name]);
        let mut child = logs.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        same("a line", line.as_str(), "more\n")?;
        silent(&end_of(child)?, 0)
    })?;
    let states = ["mute", "talker"].map(|name| (name.to_owned(), "running".to_owned()));
    same("the tasks do not mind", place.states()?, states.to_vec())
}

fn no_logs() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("task.json", r#"{"name":"mute","spec":{"program":"true","stdout":"null","stderr":"null"}}"#)?;
    ended(&place.line("start -q --spec task.json")?, 0, &[])?;
    let output = place.line("logs mute")?;
    ended(&output, 1, &["its output went to whoever started it, or nowhere", "fix: start it with `executor start`"])?;
    same("standard output", text(&output.stdout).as_str(), "")?;
    place.start_with("device", &["--stdout", "/dev/null", "--stderr", "/dev/null"], "exit 0")?;
    ended(&place.line("logs device")?, 1, &["/dev/null", "not a regular file"])?;
    // A log that somebody has removed.
    place.start("torn", "echo out")?;
    silent(&place.line("wait torn")?, 0)?;
    let read = place.json("inspect --json torn")?;
    fs::remove_file(read["task"]["logs"]["stdout"].as_str().ok_or("no log")?)?;
    ended(&place.line("logs torn")?, 1, &["stdout", "No such file"])
}

/// How many directories of logs there are.
fn places(place: &Place) -> Result<usize, Failed> {
    Ok(fs::read_dir(place.state().join("logs"))?.count())
}

fn gc() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("awake", "echo still here; exec sleep 1000")?;
    for name in ["a", "b"] {
        place.start(name, "echo printed")?;
        silent(&place.line(&format!("wait {name}"))?, 0)?;
    }
    same("logs before", places(&place)?, 3)?;
    let output = place.line("gc")?;
    ended(&output, 0, &[])?;
    same("collected", text(&output.stdout).as_str(), "fallback.a\nfallback.b\n")?;
    same("what is left", place.states()?, vec![("awake".to_owned(), "running".to_owned())])?;
    same("logs after", places(&place)?, 1)?;
    same("its log", text(&place.line("logs awake")?.stdout).as_str(), "still here\n")?;
    let read = place.json("gc --json")?;
    same("nothing more", read, json!({ "schema": 1, "collected": [], "running": ["fallback.awake"] }))
}

fn strays() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("awake", "exec sleep 1000")?;
    // What a start that was killed leaves: a directory of logs that no record names, and a draft of a record.
    fs::create_dir(place.state().join("logs/fallback.awake.t0123456789abcdef"))?;
    fs::write(place.state().join("logs/fallback.awake.t0123456789abcdef/stdout"), "half")?;
    let draft = place.state().join("tasks/.new-t0123456789abcdef");
    fs::create_dir(&draft)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o700))?;
    let output = place.line("gc")?;
    silent(&output, 0)?;
    same("logs", places(&place)?, 1)?;
    same("the draft", draft.exists(), false)?;
    same("what runs", place.states()?, vec![("awake".to_owned(), "running".to_owned())])
}

fn gc_one() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("awake", "exec sleep 1000")?;
    for name in ["a", "b"] {
        place.start(name, "exit 0")?;
        silent(&place.line(&format!("wait {name}"))?, 0)?;
    }
    same("the one", place.json("gc --json a")?["collected"].clone(), json!(["fallback.a"]))?;
    ended(&place.line("gc awake")?, 1, &["fallback.awake", "it runs"])?;
    // What is there and could not go counts for more than what is not there, in any order.
    ended(&place.line("gc awake nobody")?, 1, &["it runs", "there is no such task"])?;
    ended(&place.line("gc nobody awake")?, 1, &["it runs", "there is no such task"])?;
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    same("what is left", place.states()?, vec![state("awake", "running"), state("b", "ended")])
}

fn aliases() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("one", "exit 0")?;
    silent(&place.line("wait one")?, 0)?;
    same("ls", place.json("ls --json")?, place.json("ps --json")?)?;
    same("rm", text(&place.line("rm one")?.stdout).as_str(), "fallback.one\n")?;
    same("it is gone", place.states()?, Vec::new())
}
