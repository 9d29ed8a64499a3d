//! Standard streams that are closed, full or read by nobody, and a process that may open hardly anything.

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Output, Stdio};

use executor_tests::Need;
use libtest_mimic::Failed;

use crate::Case;
use crate::place::{Place, each, end_of, ended, outcome, quoted_program, same, silent, text};

pub(crate) const CASES: &[Case] = &[
    ("closed_streams_are_no_panic_and_reach_no_file", &[Need::Built], closed),
    ("a_full_output_is_an_error_and_said", &[Need::Built], full),
    ("a_closed_pipe_is_no_error_and_nothing_is_said", &[Need::Built], closed_pipe),
    ("a_start_whose_id_cannot_be_told_leaves_no_task", &[Need::Built], untold),
    ("few_descriptors_are_no_panic_and_no_hang", &[Need::Built], few_descriptors),
    ("few_descriptors_are_told_as_such", &[Need::Built], few_descriptors_told),
];

/// Whatever prints, with the task `there` to print of.
const LISTINGS: [&str; 26] = [
    "ps",
    "ps --json",
    "inspect there",
    "inspect --json there",
    "stats there",
    "stats --json there",
    "logs there",
    "logs --json there",
    "wait --json there",
    "stop there",
    "kill --json there",
    "plugins",
    "plugins -v",
    "plugins --json",
    "doctor",
    "doctor --json",
    "schema",
    "completions bash",
    "completions zsh",
    "man",
    "man run",
    "reference",
    "run --dry-run -- true",
    "run --dry-run --json -- true",
    "--help",
    "--version",
];

/// A place with an ended task that has printed more than a pipe holds.
fn with_task() -> Result<Place, Failed> {
    let place = Place::new()?;
    place.start("there", "seq 1 50000; echo err >&2")?;
    silent(&place.line("wait there")?, 0)?;
    Ok(place)
}

fn shell(place: &Place, script: &str) -> Command {
    place.surround(Command::new("sh"), &["-c", script])
}

fn closed() -> Result<(), Failed> {
    let place = with_task()?;
    let mut cases = Vec::new();
    for line in [
        "run -q -- sh -c 'echo out; echo err >&2; cat; exit 7'",
        "run -- true",
        "start -q -- true",
        "ps",
        "plugins",
        "doctor",
        "logs there",
        "wait nobody",
        "surely-no-verb",
    ] {
        for streams in 0..8 {
            cases.push((line, streams));
        }
    }
    each(&cases, |(line, streams)| {
        let closing = |bit: u32, words: &'static str| if streams & (1 << bit) == 0 { "" } else { words };
        let closing = [closing(0, "<&-"), closing(1, ">&-"), closing(2, "2>&-")].join(" ");
        let output = outcome(&mut shell(&place, &format!("exec {} {line} {closing}", quoted_program())))?;
        let code = match *line {
            "wait nobody" => 3,
            "surely-no-verb" => 2,
            line if line.contains("exit 7") => 7,
            _ => 0,
        };
        ended(&output, code, &[])?;
        let open = |bit: u32, bytes: &[u8]| streams & (1 << bit) == 0 || bytes.is_empty();
        same("a closed stream stays closed", open(1, &output.stdout) && open(2, &output.stderr), true)
    })?;
    let states = place.states()?;
    same("what was started has ended well", states.iter().filter(|(_, state)| state == "damaged").count(), 0)?;
    same("the file of the task is its own", place.line("logs there")?.stdout.ends_with(b"49999\n50000\n"), true)
}

fn full() -> Result<(), Failed> {
    let place = with_task()?;
    each(&LISTINGS, |line| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = place.command(&words);
        command.stdin(Stdio::null()).stdout(File::options().write(true).open("/dev/full")?).stderr(Stdio::piped());
        let output = end_of(command.spawn()?)?;
        // What exits like a task has a code of its own for failures of ours.
        let code = if line.starts_with("wait") || line.starts_with("run") { 125 } else { 1 };
        ended(&output, code, &["executor: print: No space left on device"])
    })
}

fn closed_pipe() -> Result<(), Failed> {
    let place = with_task()?;
    each(&LISTINGS, |line| {
        let (reader, writer) = pipe()?;
        drop(reader);
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = place.command(&words);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let child = command.spawn()?;
        drop(command);
        let output = end_of(child)?;
        ended(&output, 0, &[])?;
        same("a complaint", text(&output.stderr).as_str(), "")
    })?;
    // And one that goes away after the first line.
    each(&["logs there", "logs --json there", "reference", "completions bash", "schema"], |line| {
        let mut command = shell(&place, &format!("{} {line} | head -n 1", quoted_program()));
        let output = end_of(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)?;
        ended(&output, 0, &[])?;
        same("one line", text(&output.stdout).lines().count(), 1)?;
        same("a complaint", text(&output.stderr).replace("err\n", "").as_str(), "")
    })
}

fn untold() -> Result<(), Failed> {
    let place = Place::new()?;
    let start = |name: &str, line: &str| {
        let words = ["start", "-q", "--name", name].into_iter().chain(line.split(' ')).collect::<Vec<_>>();
        let mut start = place.command(&words);
        start.stdin(Stdio::null()).stderr(Stdio::piped());
        start
    };
    let told = |name: &str, output: &Output, why: &str| {
        ended(output, 125, &[&format!("the task fallback.{name} is killed again: its id cannot be told"), why])?;
        let output = place.line(&format!("wait {name}"))?;
        silent(&output, 137)
    };
    for (name, line) in [("full", "-- sleep 1000"), ("full-json", "--json -- sleep 1000")] {
        let mut start = start(name, line);
        let output = end_of(start.stdout(File::options().write(true).open("/dev/full")?).spawn()?)?;
        told(name, &output, "No space")?;
    }
    let (reader, writer) = pipe()?;
    drop(reader);
    let mut start = start("unread", "-- sleep 1000");
    let child = start.stdout(writer).spawn()?;
    drop(start);
    told("unread", &end_of(child)?, "")?;
    same("nothing runs", place.states()?.iter().any(|(_, state)| state != "ended"), false)
}

/// Verbs with few descriptors, and the exit codes that they may end with.
const WITH_FEW: [(&str, &[i32]); 6] = [
    ("run -q -- sh -c 'exit 7'", &[7, 125]),
    ("start -q -- true", &[0, 125]),
    ("ps", &[0, 1]),
    ("wait there", &[7, 125]),
    ("plugins", &[0, 1]),
    ("doctor", &[0, 1, 4]),
];

/// Checks each verb under every limit, from one below what the dynamic linker needs to one that is enough.
fn with_few(place: &Place, check: impl Fn(i32, &str, &Output) -> Result<(), Failed> + Sync) -> Result<(), Failed> {
    place.start("there", "exit 7")?;
    silent(&place.line("wait there")?, 7)?;
    let cases: Vec<(u32, (&str, &[i32]))> = (3..=24).flat_map(|limit| WITH_FEW.map(|verb| (limit, verb))).collect();
    each(&cases, |(limit, (line, codes))| {
        let script = format!("ulimit -n {limit}; exec {} {line}", quoted_program());
        let output = outcome(&mut shell(place, &script))?;
        let (code, told) = (output.status.code(), text(&output.stderr) + &text(&output.stdout));
        // With three the dynamic linker gives up before this program begins.
        if *limit == 3 && code == Some(127) && told.contains("shared libraries") {
            return Ok(());
        }
        let code = code.filter(|code| codes.contains(code)).ok_or(format!("{}: {told}", output.status))?;
        check(code, &told, &output)
    })
}

fn few_descriptors() -> Result<(), Failed> {
    let place = Place::new()?;
    with_few(&place, |code, _, output| ended(output, code, &[]))?;
    same("half a task", place.states()?.iter().any(|(_, state)| state == "damaged"), false)?;
    ended(&place.line("gc")?, 0, &[])?;
    same("drafts", std::fs::read_dir(place.state().join("tasks"))?.count(), 0)
}

/// What is short is named, not what would be there with more of it.
fn few_descriptors_told() -> Result<(), Failed> {
    with_few(&Place::new()?, |code, told, _| {
        let failed = [1, 125].contains(&code);
        same("it is named", !failed || told.contains("Too many open files"), true)
            .map_err(|failed| format!("{} in: {told}", failed.message().unwrap_or_default()))?;
        let wrong = ["fix: install", "fix: ask for no less", "none is installed", "no plugins found"];
        let misled = told.lines().find(|line| wrong.iter().any(|wrong| line.contains(wrong)));
        same("what is not so", misled, None)
    })
}
