//! Standard streams go where the host says, and nowhere else.

use std::fs;
use std::io::{Read, Write};

use executor_api::Feature;
use executor_loader::Stdio;
use executor_loader::executor_api;
use libtest_mimic::Failed;

use crate::subject::{Case, Subject, same};

pub(crate) const CASES: &[Case] = &[
    Case { name: "streams_are_separate", needs: &[Feature::StdioPassed], check: separate },
    Case { name: "a_task_reads_what_the_host_writes", needs: &[Feature::StdioPassed], check: input },
    Case { name: "without_streams_there_is_nothing_to_read", needs: &[Feature::StdioPassed], check: nothing },
    Case { name: "a_file_is_emptied_or_kept", needs: &[Feature::StdioFiles], check: files },
    Case { name: "a_file_behind_a_link_is_not_touched", needs: &[Feature::StdioFiles], check: link },
];

fn separate(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.shell("echo out; echo err >&2");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = subject.start(command)?;
    let (mut out, mut err) = (String::new(), String::new());
    running.0.stdout.take().ok_or("no pipe")?.read_to_string(&mut out)?;
    running.0.stderr.take().ok_or("no pipe")?.read_to_string(&mut err)?;
    same("the streams", (out.as_str(), err.as_str()), ("out\n", "err\n"))
}

fn input(subject: &Subject) -> Result<(), Failed> {
    let mut command = subject.command("/bin/cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = subject.start(command)?;
    let sent = "x".repeat(100_000);
    let mut stdin = running.0.stdin.take().ok_or("no pipe")?;
    let text = sent.clone();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let mut echoed = String::new();
    running.0.stdout.take().ok_or("no pipe")?.read_to_string(&mut echoed)?;
    writing.join().map_err(|_| "the writer panicked")??;
    same("the echo is whole", echoed == sent, true)?;
    same("it ends well", running.end()?.success(), true)
}

fn nothing(subject: &Subject) -> Result<(), Failed> {
    let text = crate::launch::printed(subject, subject.command("/bin/cat"))?;
    same("what there is to read", text.as_str(), "")
}

fn files(subject: &Subject) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("log");
    fs::write(&file, "before\n")?;
    for (stdio, expected) in [(Stdio::append(&file), "before\nnow\n"), (Stdio::path(&file), "now\n")] {
        let mut command = subject.shell("echo now");
        command.stdout(stdio);
        subject.start(command)?.end()?;
        same("the file", fs::read_to_string(&file)?.as_str(), expected)?;
    }
    Ok(())
}

fn link(subject: &Subject) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let (bait, link) = (dir.path().join("bait"), dir.path().join("link"));
    fs::write(&bait, "precious")?;
    std::os::unix::fs::symlink(&bait, &link)?;
    let mut command = subject.shell("echo overwritten");
    command.stdout(Stdio::path(&link));
    subject.refusal(command)?;
    same("the file behind the link", fs::read_to_string(&bait)?.as_str(), "precious")
}
