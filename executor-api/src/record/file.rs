//! Reading and writing the files of a record: nothing is followed, everything is checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::VERSION;
use crate::error::{Error, ErrorKind, Result};

/// The largest record: a command line and an environment are at most 2 MiB on Linux, and grow when escaped.
const LARGEST: u64 = 16 << 20;

/// The error of an act on `path`.
pub(super) fn failed<'a>(act: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::from_io(format!("{act} {}", path.display()), &source)
}

fn damaged(path: &Path, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, format!("read the record {}", path.display()), why)
        .with_fix("its task cannot be reached any more; collect it when it has ended")
}

/// Refuses what belongs to somebody else, or what somebody else could have written.
pub(super) fn check_owner(path: &Path, stat: &fs::Metadata) -> Result<()> {
    let own = geteuid().as_raw();
    if stat.uid() != own {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("use {}", path.display()),
            format!("it belongs to user {}, not to {own}", stat.uid()),
        ));
    }
    if stat.mode() & 0o077 != 0 {
        let why = format!("others have rights on it (mode {:04o})", stat.mode() & 0o7777);
        return Err(Error::new(ErrorKind::Denied, format!("use {}", path.display()), why)
            .with_fix(format!("chmod go= {}", path.display())));
    }
    Ok(())
}

/// Opens a file of the record without following a link or waiting for anybody.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    options.mode(0o600).custom_flags(flags.bits()).open(path)
}

/// Opens a FIFO of the record, and makes sure that it is one.
pub(super) fn open_fifo(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = open(path, options)?;
    match file.metadata()?.file_type().is_fifo() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What every document of a record begins with.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads a document; `None` where there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let file = match open(path, File::options().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("open", path))?,
    };
    let stat = file.metadata().map_err(failed("look at", path))?;
    if !stat.is_file() {
        return Err(damaged(path, "it is not a regular file"));
    }
    check_owner(path, &stat)?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| damaged(path, error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(damaged(path, format!("it is larger than {LARGEST} bytes")));
    }
    let unreadable = |error: serde_json::Error| damaged(path, error.to_string());
    let whole = text.split_once('\n').filter(|(json, line)| *line == sum(json));
    let (text, _) = whole.ok_or_else(|| damaged(path, "it is not as it was written: its sum differs"))?;
    let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
    if version != VERSION {
        return Err(damaged(path, format!("it has version {version}, this executor knows {VERSION}")));
    }
    serde_json::from_str(text).map(Some).map_err(unreadable)
}

/// Writes a document whole, or not at all.
pub(super) fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let json = serde_json::to_string(document).map_err(|error| damaged(path, error.to_string()))?;
    let temporary = path.with_extension("new");
    let put = || {
        let mut file = open(&temporary, File::options().write(true).create(true).truncate(true))?;
        file.write_all(format!("{json}\n{}", sum(&json)).as_bytes())?;
        fs::rename(&temporary, path)
    };
    put().map_err(failed("write", path))
}

/// The line behind a document that tells damage: FNV-1a over 64 bits, which every single changed byte changes.
pub(super) fn sum(json: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("sum {:016x}\n", json.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Takes the lock of a record for as long as the result lives; `None` where another process has it.
pub(super) fn lock(path: &Path, how: FlockArg) -> Result<Option<Flock<File>>> {
    let file = open(path, File::options().read(true).write(true).create(true)).map_err(failed("open", path))?;
    let stat = file.metadata().map_err(failed("look at", path))?;
    if !stat.is_file() {
        return Err(damaged(path, "it is not a regular file"));
    }
    check_owner(path, &stat)?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed("lock", path)(errno.into())),
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

/// Who has a lock, in the words that its holder wrote: the role and the process id.
pub(super) fn holder(path: &Path) -> Option<(String, String)> {
    let mut text = String::new();
    open(path, File::options().read(true)).ok()?.take(64).read_to_string(&mut text).ok()?;
    let (role, pid) = text.trim_end().split_once(' ')?;
    Some((role.to_owned(), pid.to_owned()))
}
