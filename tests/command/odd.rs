//! Words that nobody should write: no panic, no hang, the right exit code, and one line that is safe for a terminal.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Output, Stdio};

use executor_tests::Need;
use libtest_mimic::Failed;
use nix::pty::openpty;

use crate::Case;
use crate::place::{Place, each, end_of, ended, same, text};
use crate::tasks::VERBS;

pub(crate) const CASES: &[Case] = &[
    ("an_odd_id_is_no_such_task", &[Need::Built], ids),
    ("an_odd_name_is_refused", &[Need::Built], names),
    ("an_id_that_looks_like_a_wish_for_help_is_none", &[Need::Built], help_alike),
    ("an_odd_value_of_any_option_is_refused_or_taken_whole", &[Need::Built], values),
    ("an_odd_verb_or_option_is_a_usage_error", &[Need::Built], usage),
    ("nothing_that_was_written_steers_the_terminal", &[Need::Built], terminal),
];

/// The start of a line in an odd word, which must not become one in a message.
const SECOND_LINE: &str = "a line of its own";

fn odd() -> Vec<OsString> {
    let mut words = ["", "../..", "/", ".", "*", "$(id)", "-h;id", "\u{1b}[2J\u{7}\rx"].map(OsString::from).to_vec();
    words.push(format!("a\n{SECOND_LINE}").into());
    words.push("a".repeat(5000).into());
    words.push(OsString::from_vec(vec![b'a', 0xff, 0xfe]));
    words
}

/// Fails unless every line of a complaint is ours, and none holds control characters but our own colours.
fn is_tame(complaint: &[u8]) -> Result<(), Failed> {
    let plain = without_colours(complaint);
    let raw = plain.iter().find(|byte| byte.is_ascii_control() && !b"\r\n".contains(byte));
    same("control characters", raw, None::<&u8>)?;
    let plain = text(&plain);
    let lone_return = plain.replace("\r\n", "\n").contains('\r');
    same("a return in a line", lone_return, false)?;
    same("a line that is not ours", plain.lines().find(|line| line.starts_with(SECOND_LINE)), None::<&str>)
}

/// Without the sequences that choose a colour: ESC, `[`, numbers, `m`.
fn without_colours(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        let end = rest.strip_prefix(b"\x1b[").and_then(|inner| {
            let length = inner.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';')?;
            (inner[length] == b'm').then(|| &inner[length + 1..])
        });
        match end {
            Some(end) => rest = end,
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    plain
}

fn words<'a>(line: &'a str, more: &[&'a OsStr]) -> Vec<&'a OsStr> {
    line.split(' ').map(OsStr::new).chain(more.iter().copied()).collect()
}

fn joined(one: &str, other: &OsStr) -> OsString {
    let mut word = OsString::from(one);
    word.push(other);
    word
}

fn ids() -> Result<(), Failed> {
    let place = Place::new()?;
    place.start("there", "exit 0")?;
    let odd = odd();
    let cases: Vec<(&str, &OsString)> = VERBS.iter().flat_map(|verb| odd.iter().map(move |id| (*verb, id))).collect();
    each(&cases, |(verb, id)| {
        // Behind `--` every word is an id.
        let output = place.executor(&words(verb, &[OsStr::new("--"), id]))?;
        ended(&output, 3, &["executor: find the task ", "there is no such task"])?;
        same("standard output", text(&output.stdout).as_str(), "")?;
        same("lines", text(&output.stderr).lines().count(), 2)?;
        is_tame(&output.stderr)
    })?;
    same("the task is still there", place.states()?.len(), 1)
}

fn names() -> Result<(), Failed> {
    let place = Place::new()?;
    let cases: Vec<(&str, OsString)> =
        ["run", "start"].iter().flat_map(|verb| odd().into_iter().map(move |name| (*verb, name))).collect();
    each(&cases, |(verb, name)| {
        let option = joined("--name=", name);
        let output = place.executor(&words(verb, &[&option, OsStr::new("true")]))?;
        ended(&output, 125, &[if name.to_str().is_some() { "--name" } else { "UTF-8" }])?;
        same("standard output", text(&output.stdout).as_str(), "")
    })?;
    same("nothing ran", place.states()?, Vec::new())
}

/// A script that passes on what it was given must not read the help's exit code as the task's.
fn help_alike() -> Result<(), Failed> {
    let place = Place::new()?;
    let verbs = [&VERBS[..], &["wait -q", "wait --color never"]].concat();
    each(&verbs, |verb| {
        for id in ["-h;id", "-V;id"] {
            let output = place.executor(&words(verb, &[OsStr::new(id)]))?;
            ended(&output, if verb.starts_with("wait") { 125 } else { 2 }, &[])?;
            same("standard output", text(&output.stdout).as_str(), "")?;
        }
        // A flag given twice is a usage error, whatever stands beside it.
        let wishes: &[&str] = if verb.contains("-q") { &["-h", "--help"] } else { &["-h", "--help", "-qh"] };
        for wish in wishes {
            let help = place.executor(&words(verb, &[OsStr::new(wish)]))?;
            same("the help itself", (help.status.code(), help.stdout.is_empty()), (Some(0), false))?;
        }
        Ok(())
    })
}

/// Every option with a value, and whether an odd one can be a path that is good.
const OPTIONS: [(&str, bool); 44] = [
    ("memory", false),
    ("memory-soft", false),
    ("swap", false),
    ("cpus", false),
    ("cpu-mhz", false),
    ("cpuset", false),
    ("pids", false),
    ("io-weight", false),
    ("io-read", false),
    ("io-write", false),
    ("disk", false),
    ("rlimit", false),
    ("timeout", false),
    ("cpu-time", false),
    ("grace", false),
    ("cgroup-parent", false),
    ("user", false),
    ("net", false),
    ("hostname", false),
    ("cap-add", false),
    ("seccomp", false),
    ("task-dir", true),
    ("alloc-dir", true),
    ("bind", false),
    ("tmpfs", false),
    ("device", false),
    ("env", false),
    ("env-file", false),
    ("workdir", true),
    ("stdin", true),
    ("stdout", true),
    ("stderr", true),
    ("umask", false),
    ("nice", false),
    ("oom-score-adj", false),
    ("stop-signal", false),
    ("plugin", false),
    ("spec", false),
    ("report", true),
    ("plugin-path", true),
    ("lock-file", false),
    ("public-key", false),
    ("config", false),
    ("color", false),
];

fn values() -> Result<(), Failed> {
    let place = Place::new()?;
    let odd = odd();
    let cases: Vec<(&str, bool, &OsString)> =
        OPTIONS.iter().flat_map(|(name, path)| odd.iter().map(move |value| (*name, *path, value))).collect();
    each(&cases, |(name, path, value)| {
        let option = joined(&format!("--{name}="), value);
        let mut run = place.command(&words("run -q", &[&option, OsStr::new("true")]));
        // What is made by a path from here is made in here; two at once must not meet in a file.
        let deep = tempfile::tempdir_in(place.path(""))?;
        let here = deep.path().join("x/y");
        std::fs::create_dir_all(&here)?;
        let output = crate::place::outcome(run.current_dir(&here))?;
        same("standard output", text(&output.stdout).as_str(), "")?;
        let code = if output.status.code() == Some(0) && *path { 0 } else { 125 };
        ended(&output, code, &[])?;
        is_tame(&output.stderr)
    })?;
    same("nothing is left", place.states()?, Vec::new())
}

fn usage() -> Result<(), Failed> {
    let place = Place::new()?;
    let odd = odd().into_iter().filter(|word| !word.as_bytes().starts_with(b"-h")).collect::<Vec<_>>();
    each(&odd, |word| {
        let verb = place.executor(&[word])?;
        ended(&verb, 2, &[])?;
        is_tame(&verb.stderr)?;
        let option = joined("--x", word);
        for (line, code) in [("ps", 2), ("gc", 2), ("run", 125), ("start", 125), ("wait", 125)] {
            let output = place.executor(&words(line, &[&option, OsStr::new("true")]))?;
            ended(&output, code, &["--x"])?;
            same("standard output", text(&output.stdout).as_str(), "")?;
            is_tame(&output.stderr)?;
        }
        for line in ["man", "completions"] {
            let output = place.executor(&words(line, &[OsStr::new("--"), word]))?;
            same("an error", output.status.code().is_some_and(|code| [1, 2].contains(&code)), true)?;
            is_tame(&output.stderr)?;
        }
        // A program's name is a path like any other.
        let output = place.executor(&words("run -q --", &[&joined("/surely/", word)]))?;
        same("not run", output.status.code().is_some_and(|code| [125, 126, 127].contains(&code)), true)?;
        is_tame(&output.stderr)
    })
}

/// The same with a terminal, where colours are printed and nothing is taken out on the way.
fn terminal() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows = [
        "wait W",
        "inspect W",
        "run --memory=W true",
        "run --user=W true",
        "run --name=W true",
        "run --plugin=W true",
        "run --W true",
        "W",
        "completions W",
        "man W",
        "run --rlimit=W=1 true",
        "run --workdir=/W true",
        "run --task-dir=/W true",
        "run --alloc-dir=/surely/W true",
        "run --stdin=/W true",
        "run --stdout=/surely/W true",
        "run --env-file=/W true",
        "run --env=W true",
        "run --spec=/W true",
        "run --report=/surely/W true",
        "run --config=/W true",
        "run --lock-file=/W true",
        "run --public-key=/W true",
        "run --cgroup-parent=W true",
        "run --hostname=W true",
        "run --device=/W true",
        "run /W",
        "run W",
        "ps --state-dir=/surely/W",
        "ps --state-dir=W",
        "plugins -v --plugin-path=/W",
        "run --dry-run --workdir=/W W",
        "run --dry-run --best-effort --cap-add=W --hostname=x true",
    ];
    each(&rows, |line| {
        for odd in [format!("a\n{SECOND_LINE}"), "\u{1b}[2Jx\u{7}y\rz".into()] {
            let words: Vec<String> = line.split(' ').map(|word| word.replace('W', &odd)).collect();
            let (output, shown) = on_terminal(place.command(&words))?;
            same("a signal, or a panic", output.status.code().is_none_or(|code| code == 101), false)?;
            is_tame(&shown)
                .map_err(|failed| format!("{} in {:?}", failed.message().unwrap_or_default(), text(&shown)))?;
        }
        Ok(())
    })
}

/// What comes of a command whose output and complaints go to a terminal, and what that shows.
pub(crate) fn on_terminal(mut command: Command) -> Result<(Output, Vec<u8>), Failed> {
    let terminal = openpty(None, None)?;
    command.env("TERM", "xterm").stdin(Stdio::null());
    command.stdout(terminal.slave.try_clone()?).stderr(terminal.slave);
    let child = command.spawn()?;
    // The terminal ends with the last who holds the other side.
    drop(command);
    let reading = std::thread::spawn(move || {
        let (mut shown, mut room, mut master) = (Vec::new(), [0; 4096], File::from(terminal.master));
        while let Ok(length @ 1..) = master.read(&mut room) {
            shown.extend_from_slice(&room[..length]);
        }
        shown
    });
    let output = end_of(child)?;
    Ok((output, reading.join().map_err(|_| "the reader panicked")?))
}
