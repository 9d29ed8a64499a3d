//! What runs in the groups: one verb each, and what the kernel says to it on standard output.

use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::{Write as _, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use executor_linux::cgroup::{Groups, Hierarchies};
use nix::libc::O_DIRECT;

/// The size of one write, and what it is aligned to.
const BLOCK: usize = 64 << 10;
const ALIGNMENT: usize = 4096;

pub(crate) fn run(words: &[String]) {
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    match words[0].as_str() {
        "sleep" => sleep_on(),
        "status" => say(&status()),
        "hold" => hold(number(1)),
        "spawn" => spawn(number(1)),
        "spin" => spin(Duration::from_millis(number(1) as u64)),
        "bomb" => bomb(),
        "reopen" => reopen(&words[1..]),
        "write" => write(&words[1], number(2)),
        other => panic!("no such verb: {other}"),
    }
}

fn say(text: &str) {
    stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()).expect("somebody reads it");
}

fn sleep_on() {
    say("!");
    loop {
        std::thread::park();
    }
}

/// Where the kernel has this process: its groups, and the processors that it may use.
fn status() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").expect("/proc");
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let processors = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).expect("a line");
    format!("{groups}{processors}\n")
}

/// Holds so many bytes, and gives a sign.
fn hold(bytes: usize) {
    let held = vec![1u8; bytes];
    black_box(&held);
    sleep_on();
}

/// Starts children until it may not, or has so many; says how many, and the errno.
fn spawn(most: usize) {
    let mut children = Vec::new();
    let errno = loop {
        if children.len() == most {
            break 0;
        }
        match child("sleep") {
            Ok(child) => children.push(child),
            Err(error) => break error.raw_os_error().expect("the kernel said so"),
        }
    };
    say(&format!("{} {errno}", children.len()));
    for mut child in children {
        child.kill().expect("a child");
        child.wait().expect("a child");
    }
}

fn child(verb: &str) -> std::io::Result<Child> {
    // In a group of its own, as what wants to get away does; its signs go nowhere.
    let program = std::env::current_exe().expect("this program");
    Command::new(program).args(["inside", verb]).stdout(std::process::Stdio::null()).process_group(0).spawn()
}

/// Computes for so long by the wall clock; zero for ever. Says how long it was.
fn spin(wall: Duration) {
    let began = Instant::now();
    while wall.is_zero() || began.elapsed() < wall {
        for number in 0..100_000_u32 {
            black_box(number);
        }
    }
    say(&began.elapsed().as_millis().to_string());
}

/// Forks wherever it is allowed to, and so does whatever it forks.
fn bomb() {
    say("!");
    loop {
        // Never waited for: they are to be in the way.
        drop(child("bomb"));
    }
}

/// Tries to open the groups that this process is in; says which were opened.
fn reopen(paths: &[String]) {
    let host = Hierarchies::find().expect("/proc is mounted");
    let opened = paths.iter().filter(|path| Groups::reopen(&host, &[PathBuf::from(path)]).is_ok());
    say(&opened.map(String::as_str).collect::<Vec<_>>().join(" "));
}

/// Writes so many bytes past the page cache; says how many milliseconds that took, or the errno as a negative number.
fn write(path: &str, bytes: usize) {
    let room = vec![0u8; BLOCK + ALIGNMENT];
    let from = room.as_ptr().align_offset(ALIGNMENT);
    let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(O_DIRECT).open(path);
    let began = Instant::now();
    let written =
        opened.and_then(|mut file| (0..bytes / BLOCK).try_for_each(|_| file.write_all(&room[from..from + BLOCK])));
    match written {
        Ok(()) => say(&began.elapsed().as_millis().to_string()),
        Err(error) => say(&format!("-{}", error.raw_os_error().expect("the kernel said so"))),
    }
}
