//! `executor logs`: what a task has printed, from the files that its record names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use executor_loader::Error;
use executor_loader::executor_api::record::State;
use executor_loader::executor_api::{Error as TaskError, ErrorKind};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::args::{Global, Logs};
use super::report::exit;
use super::{print, resolve};

/// How long a follower rests between two looks at a file. Nothing tells when another process writes to one but inotify(7),
/// which exists on one system only.
const REST: Duration = Duration::from_millis(100);
/// A longer line is told in parts: how long lines are is up to the task.
const LONGEST: usize = 64 << 10;

pub(crate) fn logs(global: &Global, args: &Logs) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let id = records.resolve(&args.id)?;
    let found = records.find(&id)?;
    let files = records.logs(&found.record);
    let files = [("stdout", files.stdout), ("stderr", files.stderr)].into_iter();
    let opened = files.filter_map(|(name, file)| Some(Stream::open(name, file?, args.json)));
    let mut streams = opened.collect::<Result<Vec<Stream>, Error>>()?;
    if streams.is_empty() {
        let why = "its output went to whoever started it, or nowhere";
        let error = TaskError::new(ErrorKind::Unsupported, format!("print what the task {id} has printed"), why);
        return Err(error.with_fix("start it with `executor start`").into());
    }
    let mut end = matches!(found.state, State::Ended(_)) || !args.follow;
    loop {
        for stream in &mut streams {
            if !stream.copy(end)? {
                // Nobody reads any more.
                return Ok(exit::SUCCESS);
            }
        }
        if end || is_reader_gone() {
            return Ok(exit::SUCCESS);
        }
        // What it printed before its end is in the file when the end is known.
        end = match &found.state {
            State::Running(watch) => watch.wait(Some(REST))?.is_some(),
            _ => true,
        };
    }
}

/// Whether nobody reads what is printed here any more, though nothing is being printed that would tell.
fn is_reader_gone() -> bool {
    let out = io::stdout();
    // With no events asked for, only what cannot be kept from being told is.
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let gone = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
    gone && fds[0].revents().is_some_and(|told| told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

/// One stream of the task on its way to the same one of ours.
struct Stream {
    name: &'static str,
    file: File,
    path: PathBuf,
    json: bool,
    /// The beginning of a line whose end has not been seen, where lines count.
    line: Vec<u8>,
}

impl Stream {
    fn open(name: &'static str, path: PathBuf, json: bool) -> Result<Self, Error> {
        let what = || format!("read {}", path.display());
        // A FIFO or a terminal that the task was given holds nothing that could be read again.
        let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
        let file = opened.map_err(|error| TaskError::from_io(what(), &error).with_kind(ErrorKind::Internal))?;
        let stat = file.metadata().map_err(|error| TaskError::from_io(what(), &error))?;
        if !stat.is_file() {
            return Err(TaskError::new(ErrorKind::Unsupported, what(), "it is not a regular file").into());
        }
        Ok(Self { name, file, path, json, line: Vec::new() })
    }

    /// Copies what has come since; `end` says that no more will. False when nobody reads it.
    fn copy(&mut self, end: bool) -> Result<bool, Error> {
        let mut room = vec![0; LONGEST];
        loop {
            match self.file.read(&mut room) {
                Ok(0) => break,
                Ok(length) if !self.put(&room[..length])? => return Ok(false),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(TaskError::from_io(format!("read {}", self.path.display()), &error).into()),
            }
        }
        match end && !self.line.is_empty() {
            true => print::bytes(entry(self.name, &std::mem::take(&mut self.line)).as_bytes(), &mut io::stdout()),
            false => Ok(true),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        if !self.json {
            let to: &mut dyn Write = if self.name == "stdout" { &mut io::stdout() } else { &mut io::stderr() };
            return print::bytes(bytes, to);
        }
        let mut text = String::new();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            text += &entry(self.name, &std::mem::take(&mut self.line));
        }
        self.line.extend_from_slice(rest);
        if self.line.len() >= LONGEST {
            text += &entry(self.name, &std::mem::take(&mut self.line));
        }
        print::bytes(text.as_bytes(), &mut io::stdout())
    }
}

/// A line as a document; one that is not UTF-8 in hexadecimal, as everywhere.
fn entry(stream: &str, line: &[u8]) -> String {
    let hex = || line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = std::str::from_utf8(line).map_or_else(|_| json!({ "hex": hex() }), Value::from);
    format!("{}\n", json!({ "stream": stream, "line": line }))
}
