//! `executor logs`: what a task has printed, from the files that its record names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use executor_loader::Error;
use executor_loader::executor_api::record::State;
use executor_loader::executor_api::{Error as TaskError, ErrorKind};
use nix::fcntl::OFlag;
use serde_json::json;

use super::args::{Global, Logs};
use super::report::exit;
use super::{print, resolve};

/// How long a follower rests between two looks at a file. Nothing tells when another process writes to one but inotify(7),
/// which exists on one system only.
const REST: Duration = Duration::from_millis(100);

pub(crate) fn logs(global: &Global, args: &Logs) -> Result<u8, Error> {
    let records = resolve::records(global)?;
    let id = records.resolve(&args.id)?;
    let found = records.find(&id)?;
    let files = records.logs(&found.record);
    let streams = [("stdout", files.stdout), ("stderr", files.stderr)];
    let mut streams: Vec<Stream> = streams
        .into_iter()
        .filter_map(|(name, file)| Some(Stream::open(name, file?, args.json)))
        .collect::<Result<_, _>>()?;
    if streams.is_empty() {
        let why = "its output went to whoever started it, or nowhere";
        let error = TaskError::new(ErrorKind::Unsupported, format!("print what the task {id} has printed"), why);
        return Err(error.with_fix("start it with `executor start`").into());
    }
    let mut end = matches!(found.state, State::Ended(_)) || !args.follow;
    loop {
        for stream in &mut streams {
            stream.copy(end)?;
        }
        if end {
            return Ok(exit::SUCCESS);
        }
        // What it printed before its end is in the file when the end is known.
        end = match &found.state {
            State::Running(watch) => watch.wait(Some(REST))?.is_some(),
            _ => true,
        };
    }
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

    /// Copies what has come since; `end` says that no more will.
    fn copy(&mut self, end: bool) -> Result<(), Error> {
        let mut room = vec![0; 64 << 10];
        loop {
            match self.file.read(&mut room) {
                Ok(0) => break,
                Ok(length) => self.put(&room[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(TaskError::from_io(format!("read {}", self.path.display()), &error).into()),
            }
        }
        if end && !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.put_line(&line)?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !self.json {
            let to: &mut dyn Write = if self.name == "stdout" { &mut io::stdout() } else { &mut io::stderr() };
            return print::bytes(bytes, to);
        }
        self.line.extend_from_slice(bytes);
        while let Some(at) = self.line.iter().position(|byte| *byte == b'\n') {
            let rest = self.line.split_off(at + 1);
            let line = std::mem::replace(&mut self.line, rest);
            self.put_line(&line[..at])?;
        }
        Ok(())
    }

    fn put_line(&self, line: &[u8]) -> Result<(), Error> {
        print::text(&format!("{}\n", json!({ "stream": self.name, "line": String::from_utf8_lossy(line) })))
    }
}
