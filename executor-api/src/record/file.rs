//! Reading and writing the files of a record, by the descriptor of its directory: nothing is followed, everything is
//! checked, and what was opened stays this task's whatever becomes of its id.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::VERSION;
use crate::error::{Error, ErrorKind, Result};

/// The largest record: a command line and an environment are at most 2 MiB on Linux, and grow when escaped.
const LARGEST: u64 = 16 << 20;

/// The room for the end of a task, taken when its record is made: a full disk cannot lose an end.
const END_ROOM: usize = 2048;

/// The directory of one record, open; the path is for messages.
#[derive(Debug)]
pub(super) struct Dir {
    fd: File,
    pub(super) path: PathBuf,
}

/// The error of an act on `path`.
pub(super) fn failed<'a>(act: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::from_io(format!("{act} {}", path.display()), &source)
}

fn damaged(path: &Path, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, format!("read the record {}", path.display()), why)
        .with_fix("its task cannot be reached any more; collect it when it has ended")
}

/// Refuses what belongs to somebody else, or what somebody else could have written.
pub(super) fn check_owner(path: &Path, stat: &Metadata) -> Result<()> {
    let what = || format!("use {}", path.display());
    let own = geteuid().as_raw();
    if stat.uid() != own {
        let why = format!("it belongs to user {}, not to {own}", stat.uid());
        return Err(Error::new(ErrorKind::Denied, what(), why));
    }
    if stat.mode() & 0o077 != 0 {
        let why = format!("others have rights on it (mode {:04o})", stat.mode() & 0o7777);
        return Err(Error::new(ErrorKind::Denied, what(), why).with_fix(format!("chmod go= {}", path.display())));
    }
    Ok(())
}

impl Dir {
    /// Opens the directory of a record; `None` where there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match open(path, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => File::from(opened.map_err(|errno| failed("open", path)(errno.into()))?),
        };
        check_owner(path, &fd.metadata().map_err(failed("look at", path))?)?;
        Ok(Some(Self { fd, path: path.to_owned() }))
    }

    /// Which directory it is, whatever its path is now.
    pub(super) fn identity(&self) -> Result<(u64, u64)> {
        let stat = self.fd.metadata().map_err(failed("look at", &self.path))?;
        Ok((stat.dev(), stat.ino()))
    }

    /// Opens a file in it without following a link or waiting for anybody.
    pub(super) fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let always = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        Ok(openat(self.fd.as_fd(), name, flags | always, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Opens a FIFO in it, and makes sure that it is one.
    pub(super) fn fifo(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let file = self.file(name, flags)?;
        if file.metadata()?.file_type().is_fifo() { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Opens a regular file in it that is this user's alone; `None` where there is none.
    pub(super) fn regular(&self, name: &str, flags: OFlag) -> Result<Option<File>> {
        let path = self.path.join(name);
        let file = match self.file(name, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed("open", &path))?,
        };
        let stat = file.metadata().map_err(failed("look at", &path))?;
        if !stat.is_file() {
            return Err(damaged(&path, "it is not a regular file"));
        }
        check_owner(&path, &stat)?;
        Ok(Some(file))
    }

    /// Reads a document; `None` where there is none.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path.join(name);
        let Some(file) = self.regular(name, OFlag::O_RDONLY)? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(failed("read", &path))?;
        parse(&path, &text).map(Some)
    }

    /// Writes a document whole, or not at all.
    pub(super) fn write<T: Serialize>(&self, name: &str, document: &T) -> Result<()> {
        let path = self.path.join(name);
        let text = text(&path, document)?;
        let new = format!("{name}.new");
        let put = || {
            let mut file = self.file(&new, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC)?;
            file.write_all(text.as_bytes())?;
            renameat(self.fd.as_fd(), new.as_str(), self.fd.as_fd(), name).map_err(io::Error::from)
        };
        put().map_err(failed("write", &path))
    }

    /// Takes the lock of the record for as long as the result lives; `None` where another process has it.
    pub(super) fn lock(&self, how: FlockArg) -> Result<Option<Flock<File>>> {
        let path = self.path.join("lock");
        let Some(file) = self.regular("lock", OFlag::O_RDWR)? else {
            return Err(Error::new(ErrorKind::NotFound, format!("lock {}", path.display()), "there is no such record"));
        };
        match Flock::lock(file, how) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed("lock", &path)(errno.into())),
        }
    }

    /// Who has the lock, in the words that its holder wrote: the role and the process id. None where there is no lock, or
    /// its holder has not written yet.
    pub(super) fn holder(&self) -> Result<Option<(String, String)>> {
        let Some(lock) = self.regular("lock", OFlag::O_RDONLY)? else { return Ok(None) };
        let mut text = Vec::new();
        lock.take(64).read_to_end(&mut text).map_err(failed("read", &self.path.join("lock")))?;
        let text = String::from_utf8_lossy(&text);
        let words = text.trim_end().split_once(' ');
        Ok(words.map(|(role, pid)| (role.to_owned(), pid.to_owned())))
    }
}

/// Writes into a lock who has it.
pub(super) fn sign(lock: &mut Flock<File>, path: &Path, role: &str) -> Result<()> {
    let mut put = || {
        lock.set_len(0)?;
        lock.write_all(format!("{role} {}\n", std::process::id()).as_bytes())
    };
    put().map_err(failed("write", path))
}

/// Takes the room for an end, in a file that holds nothing else.
pub(super) fn reserve_end(file: &File) -> io::Result<()> {
    file.write_all_at(&[b' '; END_ROOM], 0)
}

/// Writes an end into the room that was taken for it, at once.
pub(super) fn write_end<T: Serialize>(file: &File, path: &Path, end: &T) -> Result<()> {
    let text = text(path, end)?;
    let padded = format!("{text:<END_ROOM$}");
    file.write_all_at(padded.as_bytes(), 0).map_err(failed("write", path))
}

/// Reads the end out of its room; `None` while nothing was written into it.
pub(super) fn read_end<T: DeserializeOwned>(file: &File, path: &Path) -> Result<Option<T>> {
    let mut room = vec![0; END_ROOM + 1];
    let mut filled = 0;
    while filled < room.len() {
        match file.read_at(&mut room[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(failed("read", path)(error)),
        }
    }
    if filled != END_ROOM {
        return Err(damaged(path, format!("it has {filled} bytes where {END_ROOM} were written")));
    }
    let text = room[..filled].trim_ascii_end();
    if text.is_empty() { Ok(None) } else { parse(path, &[text, b"\n"].concat()).map(Some) }
}

/// A document as it is written: the JSON on one line, its sum on the next.
fn text<T: Serialize>(path: &Path, document: &T) -> Result<String> {
    let json = serde_json::to_string(document).map_err(|error| damaged(path, error.to_string()))?;
    Ok(format!("{json}\n{}", sum(&json)))
}

/// What every document of a record begins with.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(path, error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(damaged(path, format!("it is larger than {LARGEST} bytes")));
    }
    let unreadable = |error: serde_json::Error| damaged(path, error.to_string());
    let whole = text.split_once('\n').filter(|(json, line)| *line == sum(json));
    let (json, _) = whole.ok_or_else(|| damaged(path, "it is not as it was written: its sum differs"))?;
    let Versioned { version } = serde_json::from_str(json).map_err(unreadable)?;
    if version != VERSION {
        return Err(damaged(path, format!("it has version {version}, this executor knows {VERSION}")));
    }
    serde_json::from_str(json).map_err(unreadable)
}

/// The line behind a document that tells damage: FNV-1a over 64 bits, which every single changed byte changes.
pub(super) fn sum(json: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("sum {:016x}\n", json.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
