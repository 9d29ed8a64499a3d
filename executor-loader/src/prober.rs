//! What the program `executor-probe` does: loads one plugin in a process of its own and asks what it can do here.
//!
//! A library runs code when it is mapped, and may crash, hang or end the process: here it is this process. The request
//! comes on standard input with a random number that the answer must start with; both are read and moved out of the
//! library's sight before it is mapped, so that nothing it prints passes for an answer.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use executor_api::Capabilities;
use executor_api::plugin::HostSettings;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::elf;
use crate::open::{By, open as open_plugin};
use crate::refusal::{Refusal, Stage};
use crate::trust::{self, FileIdentity};

/// What the loader asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) nonce: String,
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) settings: HostSettings,
}

/// What the program answers.
pub(crate) type Answer = Result<Capabilities, Refusal>;

/// Answers the request on standard input.
///
/// # Errors
///
/// What kept the request from being read or the answer from being written.
pub fn answer_stdin() -> io::Result<()> {
    let channel = take_stdin()?;
    let mut line = String::new();
    BufReader::new(&channel).read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let answer = probe(&request);
    let json = serde_json::to_string(&answer)?;
    (&channel).write_all(format!("{}{json}\n", request.nonce).as_bytes())
}

/// Takes standard input as the channel to the loader, and puts nothing in its place.
fn take_stdin() -> io::Result<UnixStream> {
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::dup2_stdin(null)?;
    Ok(UnixStream::from(channel))
}

fn probe(request: &Request) -> Answer {
    let file = trust::open_trusted(&request.path)?;
    if file.identity != request.identity {
        return Err(Refusal::new(Stage::Probe, "the file was replaced while it was being looked at"));
    }
    let metadata = elf::metadata(&file)?;
    // What a plugin logs while it is probed has no reader: its answer says what matters.
    let plugin = open_plugin(file, &metadata, By::Path, &request.settings, Arc::new(|_, _| ()))?;
    plugin.probe().map_err(|error| Refusal {
        fix: error.fix().unwrap_or_default().to_owned(),
        ..Refusal::new(Stage::Probe, error.to_string())
    })
}
