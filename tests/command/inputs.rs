//! Files that the command is told to read or to write, and that are not what they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use executor_tests::Need;
use libtest_mimic::Failed;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::Case;
use crate::place::{Place, each, ended, outcome, quoted_program, same, text};

pub(crate) const CASES: &[Case] = &[
    ("a_document_that_is_no_file_of_ours_is_refused_at_once", &[Need::Built], documents),
    ("what_a_document_or_a_setting_does_not_know_is_refused_by_name", &[Need::Built], unknown_keys),
    ("a_stream_or_a_report_that_leads_nowhere_is_refused_at_once", &[Need::Built], outputs),
    ("a_lock_file_that_is_no_file_is_refused_at_once", &[Need::Built], locks),
];

/// A place with a pipe that nobody holds, a directory, a file of 5 MiB, one that is no text, and one that is too deep.
fn with_files() -> Result<Place, Failed> {
    let place = Place::new()?;
    mkfifo(&place.path("fifo"), Mode::from_bits_truncate(0o600))?;
    fs::create_dir(place.path("dir"))?;
    fs::write(place.path("large.json"), vec![b' '; 5 << 20])?;
    fs::write(place.path("binary.json"), [0xff, 0xfe])?;
    fs::write(place.path("deep.json"), "[".repeat(100_000))?;
    fs::write(place.path("deep.toml"), format!("a = {}", "[".repeat(100_000)))?;
    fs::write(place.path("empty.json"), "")?;
    fs::write(place.path("half.json"), r#"{"spec":{"program":"touch","args":["#)?;
    Ok(place)
}

/// Fails unless `run` with this option is refused, saying so in one line that names it.
fn refused(place: &Place, option: &str, value: &str, why: &str) -> Result<(), Failed> {
    let ran = place.shared()?.join("ran");
    let output = place.executor(&["run", "-q", option, value, "--", "touch", &ran.to_string_lossy()])?;
    ended(&output, 125, &["executor: ", value, why])?;
    let lines = text(&output.stderr).lines().filter(|line| !line.starts_with("  fix: ")).count();
    same("lines, output, and whether it ran", (lines, output.stdout.len(), ran.exists()), (1, 0, false))
}

fn documents() -> Result<(), Failed> {
    let place = with_files()?;
    let rows = [
        ("/dev/zero", "larger than 4 MiB"),
        ("large.json", "larger than 4 MiB"),
        ("dir", "directory"),
        ("binary.json", "UTF-8"),
        ("deep.json", ""),
        ("deep.toml", ""),
        ("empty.json", ""),
        ("half.json", ""),
        ("surely/not.json", "No such file"),
    ];
    each(&rows, |(file, why)| {
        refused(&place, "--spec", file, why)?;
        let why = if *file == "/dev/zero" { "others can write" } else { why };
        refused(&place, "--config", file, why)
    })?;
    each(&["dir", "/dev/zero", "binary.json"], |file| refused(&place, "--env-file", file, ""))?;
    // A pipe that nobody writes to is no empty file, and nobody waits for it for ever.
    each(&["--spec", "--env-file", "--config"], |option| refused(&place, option, "fifo", "nobody has written to it"))
}

fn unknown_keys() -> Result<(), Failed> {
    let place = Place::new()?;
    let rows = [
        ("--spec", "a.json", r#"{"spec":{"program":"true"},"resource":{}}"#, "resource"),
        ("--spec", "b.json", r#"{"spec":{"program":"true","sandbox":1}}"#, "sandbox"),
        ("--spec", "c.json", r#"{"spec":{"program":"true"},"resources":{"memory_byte":1}}"#, "memory_byte"),
        ("--spec", "d.json", r#"{"spec":{"program":"true","isolation":{"networks":"host"}}}"#, "networks"),
        ("--spec", "e.toml", "[spec]\nprogram = 'true'\n[resources]\npid = 5\n", "pid"),
        ("--config", "f.toml", "state_dir = '/a'\n", "state_dir"),
        ("--config", "g.toml", "memory = '64M'\n", "memory"),
        ("--config", "h.json", r#"{"plugins":"fallback"}"#, "plugins"),
    ];
    each(&rows, |(option, name, content, key)| {
        let file = place.file(name, content)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        refused(&place, option, name, &format!("unknown field `{key}`"))
    })?;
    // Nor is one of two dropped unseen.
    let twice = [
        ("a.json", r#"{"resources":{"pids":8},"resources":{}}"#),
        ("b.json", r#"{"spec":{"program":"true","umask":1,"umask":2}}"#),
        ("c.toml", "[resources]\npids = 1\npids = 2\n"),
    ];
    each(&twice, |(name, content)| {
        place.file(name, content)?;
        refused(&place, "--spec", name, "duplicate")
    })
}

fn outputs() -> Result<(), Failed> {
    let place = with_files()?;
    let rows = [
        ("--report", "dir", "directory"),
        ("--report", "fifo", ""),
        ("--report", "surely/not", "No such file"),
        ("--stdout", "dir", "directory"),
        ("--stdout", "fifo", "nobody reads"),
        ("--stderr", "fifo", "nobody reads"),
        ("--stdout", "surely/not", "No such file"),
        ("--stdin", "surely/not", "No such file"),
    ];
    each(&rows, |(option, file, why)| refused(&place, option, file, why))?;
    for number in [3, 9, 1000, i32::MAX] {
        let output = place.line(&format!("run -q --report fd:{number} -- true"))?;
        ended(&output, 125, &[&format!("descriptor {number}"), "Bad file descriptor"])?;
    }
    ended(&place.line("run -q --report fd:99999999999 -- true")?, 125, &["fd:N"])?;
    let script = format!("exec {} run -q --report fd:7 -- true 7</dev/null", quoted_program());
    let output = outcome(&mut place.surround(Command::new("sh"), &["-c", &script]))?;
    ended(&output, 125, &["descriptor 7", "open for reading only"])
}

fn locks() -> Result<(), Failed> {
    let place = with_files()?;
    for option in ["--lock-file", "--public-key"] {
        each(&["fifo", "dir", "binary.json", "surely/not"], |file| refused(&place, option, file, ""))?;
    }
    same("the pipe is still one", Path::new(&place.path("fifo")).metadata()?.is_file(), false)
}
