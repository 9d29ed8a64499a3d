//! Every option of a task that the fallback plugin enforces, by what the task sees of it; the plan, and the report.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use executor_tests::Need;
use libtest_mimic::Failed;
use serde_json::Value;

use crate::Case;
use crate::place::{Place, each, end_of, ended, outcome, quoted_program, same, text, until};

pub(crate) const CASES: &[Case] = &[
    ("an_option_does_what_it_says", &[Need::Built], effects),
    ("root_gives_the_user_and_the_group_that_are_named", &[Need::Built, Need::Root], users),
    ("a_root_host_never_gives_root", &[Need::Built, Need::Root], root),
    ("variables_come_from_files_and_options_in_that_order", &[Need::Built], variables),
    ("words_and_paths_need_not_be_utf_8", &[Need::Built], not_utf_8),
    ("streams_go_to_the_files_that_are_named", &[Need::Built], files),
    ("a_task_directory_is_where_the_task_starts", &[Need::Built], task_dir),
    ("an_allocation_has_the_directories_of_the_seed", &[Need::Built], alloc_dir),
    ("at_the_time_limit_a_task_with_grace_is_asked_first", &[Need::Built], grace),
    ("a_stop_signal_of_its_own_reaches_the_task", &[Need::Built], stop_signal),
    ("the_grace_of_a_start_is_what_stop_waits", &[Need::Built], grace_of_stop),
    ("a_document_is_a_whole_task_and_options_come_on_top", &[Need::Built], documents),
    ("a_document_is_read_from_a_pipe_that_is_slow", &[Need::Built], slow_document),
    ("a_report_tells_the_end_in_a_file_or_a_descriptor", &[Need::Built], reports),
    ("a_report_tells_what_kept_the_task_from_running", &[Need::Built], failure_reports),
    ("a_dry_run_shows_the_plan_and_runs_nothing", &[Need::Built], dry_run),
];

/// Options, and what the script prints with them.
const EFFECTS: &[(&[&str], &str, &str)] = &[
    (&["--rlimit", "nofile=64:128"], "ulimit -Sn; ulimit -Hn", "64\n128\n"),
    (&["--rlimit", "nofile=64", "--rlimit", "RLIMIT_CORE=0"], "ulimit -n; ulimit -c", "64\n0\n"),
    (&["--rlimit", "as=unlimited"], "ulimit -v", "unlimited\n"),
    (&["--nice", "7"], "nice", "7\n"),
    (&["--umask", "027"], "umask", "0027\n"),
    (&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500\n"),
    (&["--workdir", "/usr"], "pwd", "/usr\n"),
    (&[], "pwd", "/\n"),
    (&["-e", "A=1", "--env", "B= 2 "], "echo \"[$A][$B]\"", "[1][ 2 ]\n"),
    (&["--net", "host"], "echo ran", "ran\n"),
    (&["--seccomp", "unconfined"], "echo ran", "ran\n"),
    (&["--plugin", "fallback", "--timeout", "1m30s"], "echo ran", "ran\n"),
];

fn effects() -> Result<(), Failed> {
    let place = Place::new()?;
    each(EFFECTS, |(options, script, printed)| {
        let output = place.run(options, script)?;
        ended(&output, 0, &[])?;
        same("it printed", text(&output.stdout).as_str(), *printed)
    })
}

fn users() -> Result<(), Failed> {
    let place = Place::new()?;
    let nobody = nix::unistd::User::from_name("nobody")?.ok_or("no nobody")?;
    let own = format!("{} {} {}\n", nobody.uid, nobody.gid, nobody.gid);
    let other = format!("{} 4343 4343\n", nobody.uid);
    let rows = [("nobody", &*own), ("4242:4343", "4242 4343 4343\n"), ("nobody:4343", &*other)];
    each(&rows, |(user, printed)| {
        let output = place.run(&["--user", user], "echo $(id -u) $(id -g) $(id -G)")?;
        ended(&output, 0, &[])?;
        same("it is", text(&output.stdout).as_str(), *printed)
    })
}

fn root() -> Result<(), Failed> {
    let place = Place::new()?;
    each(&["root", "0", "0:0"], |user| ended(&place.run(&["--user", user], "id")?, 125, &["root", "fix:"]))
}

fn variables() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("one", "# a comment\n\nA=1\nB=1\nC=a b=c\n")?;
    place.file("two", "B=2\nFROM_HERE\n")?;
    let words = ["run", "-q", "--env-file", "one", "--env-file", "two", "-e", "A=3", "--", "env"];
    let output = outcome(place.command(&words).env("FROM_HERE", "x"))?;
    ended(&output, 0, &[])?;
    let mut found: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    found.retain(|line| !line.starts_with("PATH="));
    found.sort_unstable();
    same("variables", found, ["A=3", "B=2", "C=a b=c", "FROM_HERE=x"])
}

fn not_utf_8() -> Result<(), Failed> {
    let place = Place::new()?;
    let odd = OsStr::from_bytes(b"odd\xff");
    fs::create_dir(place.path(odd))?;
    fs::set_permissions(place.path(odd), fs::Permissions::from_mode(0o755))?;
    fs::write(place.path(odd).join("in"), "input")?;
    let option = |name: &str, path: &Path| [OsStr::new(name), path.as_os_str()].map(OsStr::to_owned);
    let dir = place.path(odd);
    let words = ["start", "-q", "--name", "odd", "-e"].map(OsString::from).to_vec();
    let words = [
        words,
        vec![OsStr::from_bytes(b"A=\xfe").to_owned()],
        option("--stdin", &dir.join("in")).to_vec(),
        option("--stdout", &dir.join("out")).to_vec(),
        option("--workdir", &dir).to_vec(),
        ["--", "sh", "-c", "pwd; echo $A $0; cat"].map(OsString::from).to_vec(),
        vec![odd.to_owned()],
    ];
    ended(&place.executor(&words.concat())?, 0, &[])?;
    ended(&place.line("wait odd")?, 0, &[])?;
    let expected = [dir.as_os_str().as_bytes(), b"\n\xfe odd\xff\ninput"].concat();
    same("what it saw", &fs::read(dir.join("out"))?, &expected)?;
    same("its log", &place.line("logs odd")?.stdout, &expected)?;
    let read = place.json("ps --json")?;
    same("the word", read["tasks"][0]["command"][3].to_string().as_str(), r#"{"hex":"6f6464ff"}"#)?;
    same("the path", place.json("inspect --json odd")?["task"]["logs"]["stdout"]["hex"].is_string(), true)?;
    ["ps", "inspect odd", "gc"].iter().try_for_each(|line| ended(&place.line(line)?, 0, &[]))
}

fn files() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("in", "input\n")?;
    place.file("out", "what was there before, and is longer\n")?;
    let output = place.run(&["--stdin", "in", "--stdout", "out", "--stderr", "err"], "cat; echo oops >&2")?;
    ended(&output, 0, &[])?;
    same("our own output", output.stdout.len() + output.stderr.len(), 0)?;
    let found = ["out", "err"].map(|name| fs::read_to_string(place.path(name)).unwrap_or_default());
    same("the files", found, ["input\n", "oops\n"].map(str::to_owned))?;
    place.start_with("there", &["--stdout", "out"], "echo again; echo kept >&2")?;
    ended(&place.line("wait there")?, 0, &[])?;
    same("of a task in the background", fs::read_to_string(place.path("out"))?, "again\n")?;
    let logs = place.line("logs there")?;
    same("logs", (text(&logs.stdout), text(&logs.stderr)), ("again\n".to_owned(), "kept\n".to_owned()))
}

fn task_dir() -> Result<(), Failed> {
    let place = Place::new()?;
    let dir = place.shared()?;
    let output = place.run(&["--task-dir", "shared"], "pwd; echo $NOMAD_TASK_DIR; touch here")?;
    ended(&output, 0, &[])?;
    let found = text(&output.stdout);
    same("directories", found, format!("{0}\n{0}/local\n", fs::canonicalize(&dir)?.display()))?;
    same("what it made", dir.join("here").exists(), true)?;
    ended(&place.run(&["--task-dir", "surely/not"], "pwd")?, 125, &["surely/not"])
}

fn alloc_dir() -> Result<(), Failed> {
    let place = Place::new()?;
    let output = place.run(&["--alloc-dir", "alloc", "--name", "web"], "pwd; echo $NOMAD_ALLOC_DIR; touch here")?;
    ended(&output, 0, &[])?;
    let dir = fs::canonicalize(place.path("alloc"))?;
    same("directories", text(&output.stdout), format!("{0}/web/local\n{0}/alloc\n", dir.display()))?;
    let expected = ["alloc/data", "alloc/logs", "alloc/tmp", "web/local/here", "web/secrets", "web/tmp"];
    same("the tree", expected.iter().find(|path| !dir.join(path).exists()), None::<&&str>)
}

fn grace() -> Result<(), Failed> {
    let place = Place::new()?;
    let polite = "trap 'echo asked; exit 9' TERM; while :; do sleep 0.02; done";
    let output = place.run(&["--timeout", "700ms", "--grace", "15s"], polite)?;
    ended(&output, 124, &[])?;
    same("it was asked", text(&output.stdout).as_str(), "asked\n")?;
    let deaf = "trap 'echo asked' TERM; while :; do sleep 0.02; done";
    let output = place.run(&["--timeout", "700ms", "--grace", "200ms"], deaf)?;
    ended(&output, 124, &[])?;
    same("it was asked, and killed", text(&output.stdout).as_str(), "asked\n")
}

fn stop_signal() -> Result<(), Failed> {
    let place = Place::new()?;
    let script = "trap 'exit 8' USR1; trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    place.start_with("own", &["--stop-signal", "USR1"], script)?;
    until("it is ready", || Ok(place.line("logs own")?.stdout == b"ready\n"))?;
    ended(&place.line("stop own")?, 0, &[])?;
    ended(&place.line("wait own")?, 8, &[])
}

fn grace_of_stop() -> Result<(), Failed> {
    let place = Place::new()?;
    let script = "trap '' TERM; echo ready; while :; do sleep 0.02; done";
    place.start_with("short", &["--grace", "100ms"], script)?;
    until("it is ready", || Ok(place.line("logs short")?.stdout == b"ready\n"))?;
    let begun = std::time::Instant::now();
    ended(&place.line("stop short")?, 0, &[])?;
    same("less than the usual 5 s", begun.elapsed().as_secs() < 4, true)?;
    ended(&place.line("wait short")?, 137, &[])
}

fn documents() -> Result<(), Failed> {
    let place = Place::new()?;
    place.file("task.json", r#"{"name":"doc","spec":{"program":"sh","args":["-c","echo $A $B; umask"],"env":{"A":"1","B":"2"},"umask":63},"resources":{"rlimits":{"nofile":{"soft":64,"hard":64}},"wall_time_ms":10000}}"#)?;
    let toml = "plugin = 'fallback'\n[spec]\nprogram = 'sh'\nargs = ['-c', 'echo $A; cat']\nstdin = 'null'\n[spec.env]\nA = 'toml'\n";
    place.file("task.toml", toml)?;
    let rows: [(&[&str], &str); 5] = [
        (&["--spec", "task.json"], "1 2\n0077\n"),
        (&["--spec", "task.json", "-e", "B=3", "--umask", "022"], "1 3\n0022\n"),
        (&["--spec", "task.json", "--", "sh", "-c", "ulimit -n; echo $B"], "64\n2\n"),
        (&["--spec", "task.toml"], "toml\n"),
        (&["--spec", "task.toml", "--stdin", "task.toml", "-e", "A=option"], &format!("option\n{toml}")),
    ];
    // One after the other: the document names its task.
    for (words, printed) in rows {
        let output = place.executor(&[&["run", "-q"], words].concat())?;
        ended(&output, 0, &[])?;
        same("it printed", text(&output.stdout).as_str(), printed)?;
    }
    let output = place.line("start -q --spec task.json")?;
    same("the name of the document", text(&output.stdout).as_str(), "fallback.doc\n")?;
    let output = place.line("start -q --spec task.json --name other")?;
    same("the name of the option", text(&output.stdout).as_str(), "fallback.other\n")?;
    let unnamed = place.file("empty.json", "{}")?;
    ended(&place.executor(&["run".as_ref(), "--spec".as_ref(), unnamed.as_os_str()])?, 125, &["command"])
}

/// As a shell has it: `--spec <(…)`, `… | executor run --spec /dev/stdin`, and the same for variables.
fn slow_document() -> Result<(), Failed> {
    let place = Place::new()?;
    let script = |words: &str| format!("(sleep 0.3; echo 'A=piped') | {} {words}", quoted_program());
    let sh = |script: &str| outcome(&mut place.surround(Command::new("sh"), &["-c", script]));
    let output = sh(&script("run -q --env-file /dev/stdin -- sh -c 'echo $A'"))?;
    ended(&output, 0, &[])?;
    same("it printed", text(&output.stdout).as_str(), "piped\n")?;
    let words = "run -q --spec /dev/stdin --stdin /dev/null";
    let output = sh(&script(words).replace("A=piped", r#"{"spec":{"program":"echo","args":["doc"]}}"#))?;
    ended(&output, 0, &[])?;
    same("it printed", text(&output.stdout).as_str(), "doc\n")
}

fn report(bytes: &[u8], code: u64, id: &str) -> Result<Value, Failed> {
    let read: Value = serde_json::from_slice(bytes)?;
    same("code", read["exit_code"].as_u64(), Some(code))?;
    same("schema", read["schema"].as_u64(), Some(1))?;
    same("id", read["id"].as_str(), Some(id))?;
    same("plugin", read["plugin"].as_str(), Some("fallback"))?;
    same("usage", read["usage"]["cpu_user_ms"].is_u64(), true)?;
    let lists = ["enforced", "not_enforced"].map(|list| read[list].to_string());
    same("enforced", lists[0].contains("rlimits") && !lists[0].contains("landlock"), true)?;
    same("not enforced", lists[1].contains("landlock") && !lists[1].contains("rlimits"), true)?;
    Ok(read)
}

fn reports() -> Result<(), Failed> {
    let place = Place::new()?;
    let options = ["--name", "told", "--rlimit", "core=0", "--report", "report.json"];
    ended(&place.run(&options, "exit 7")?, 7, &[])?;
    let read = report(&fs::read(place.path("report.json"))?, 7, "fallback.told")?;
    same(
        "its end",
        (&read["outcome"]["ended"]["exited"], &read["outcome"]["cause"]),
        (&Value::from(7), &Value::from("own")),
    )?;

    let (mut reader, writer) = std::io::pipe()?;
    // A shell gives the descriptor its number; the task does not get it.
    let words =
        "run -q --name told --timeout 1s --rlimit core=0 --report fd:7 -- sh -c 'ls -l /proc/self/fd; sleep 1000'";
    let mut shell =
        place.surround(Command::new("sh"), &["-c", &format!("exec {} {words} 7>&0 </dev/null", quoted_program())]);
    let child = shell.stdin(writer).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(shell);
    let mut told = Vec::new();
    reader.read_to_end(&mut told)?;
    let output = end_of(child)?;
    ended(&output, 124, &[])?;
    same("the task has no other descriptors", text(&output.stdout).contains(" 7 ->"), false)?;
    let read = report(&told, 124, "fallback.told")?;
    same("its cause", read["outcome"]["cause"].as_str(), Some("timed_out"))
}

fn failure_reports() -> Result<(), Failed> {
    let place = Place::new()?;
    for (options, code, word) in [(&["/surely/not"][..], 127, "/surely/not"), (&["--pids", "9", "true"], 125, "pids")] {
        let words = [&["run", "-q", "--report", "report.json"], options].concat();
        ended(&place.executor(&words)?, code, &[word])?;
        let read: Value = serde_json::from_reader(File::open(place.path("report.json"))?)?;
        same("code", read["exit_code"].as_i64(), Some(code.into()))?;
        same("the error", read["error"].to_string().contains(word), true)?;
        same("an outcome", read.get("outcome"), None::<&Value>)?;
    }
    // What cannot be told is known before anything runs.
    let ran = place.shared()?.join("ran");
    let script = format!("touch {}", ran.display());
    for to in ["/", "fd:99", "surely/not/there", ""] {
        ended(&place.run(&["--report", to], &script)?, 125, &["report"])?;
    }
    same("it ran", ran.exists(), false)?;
    ended(&place.run(&["--report", "/dev/full"], "exit 7")?, 125, &["report", "No space"])
}

fn dry_run() -> Result<(), Failed> {
    let place = Place::new()?;
    let ran = place.shared()?.join("ran");
    let script = format!("touch {}", ran.display());
    for verb in ["run", "start"] {
        let words = [verb, "--dry-run", "--timeout", "5s", "--nice", "5", "--", "sh", "-c", &script];
        let output = place.executor(&words)?;
        ended(&output, 0, &[])?;
        let printed = text(&output.stdout);
        for expected in ["command  sh -c ", "plugin   fallback: ", "not      linux: "] {
            same(expected, printed.lines().any(|line| line.starts_with(expected)), true)?;
        }
        let row = |name: &str| printed.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let words: Vec<String> = row("wall_time ").split_whitespace().map(str::to_owned).collect();
        same("the limit", &words[1..4], ["required", "5000", "hard"].as_slice())?;
        same("a wish", row("landlock ").contains("preferred"), true)?;
    }
    let read = place.json("run --dry-run --json --nice 5 -- true")?;
    same("schema and plugin", (read["schema"].as_u64(), read["plugin"].as_str()), (Some(1), Some("fallback")))?;
    same("the task", read["spec"]["nice"].as_i64(), Some(5))?;
    ended(&place.line("run --dry-run --pids 5 -- true")?, 125, &["fallback: cannot enforce pids"])?;
    same("nothing ran", (ran.exists(), place.states()?.len()), (false, 0))
}
