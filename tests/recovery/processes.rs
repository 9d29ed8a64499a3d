//! The processes of this machine, as far as a trial has to look at them.

use std::fs;
use std::process::{Command, Stdio};

use nix::unistd::Pid;

/// The processes that carry `word` in their environment or their command line.
pub(crate) fn carrying(word: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        let has = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.windows(word.len()).any(|part| part == word.as_bytes())
        };
        has("environ") || has("cmdline")
    };
    all().filter(carries).collect()
}

/// The children of this process that have ended and that nobody has reaped.
pub(crate) fn zombies() -> Vec<i32> {
    let own = std::process::id().to_string();
    let ours = |pid: &i32| matches!(&*stat(*pid), [state, parent, ..] if state == "Z" && *parent == own);
    all().filter(ours).collect()
}

/// The processes whose parent is `parent`, as /proc has them.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    all().filter(|pid| matches!(&*stat(*pid), [_, found, ..] if *found == parent)).collect()
}

/// Whether a program runs and ends well.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether the process is there and no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != "Z" && state != "X")
}

/// The state of a process, in the letter that ps(1) shows.
pub(crate) fn state(pid: i32) -> Option<String> {
    stat(pid).first().cloned()
}

/// Ends a process of ours at once.
pub(crate) fn end(pid: i32) {
    // ESRCH: it is gone.
    _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

fn all() -> impl Iterator<Item = i32> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(move |name| *name != own).filter_map(|name| name.parse().ok())
}

/// The words of `/proc/PID/stat` behind the name; none where there is no such process.
fn stat(pid: i32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_ascii_whitespace().take(2).map(str::to_owned).collect()
}
