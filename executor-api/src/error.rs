//! What went wrong, why, and how to mend it: one shape for every refusal, on both sides of the border.
//!
//! The kind tells a program what to do next, the words tell a person. Nothing ever matches on the words.
//!
//! # Examples
//!
//! ```
//! use executor_api::{Error, ErrorKind};
//!
//! let error = Error::new(ErrorKind::Unsupported, "limit memory to 64M", "this plugin has no cgroup to put the task in")
//!     .with_fix("use the linux plugin, or --best-effort");
//! assert_eq!(error.to_string(), "limit memory to 64M: this plugin has no cgroup to put the task in");
//! assert_eq!(error.kind(), ErrorKind::Unsupported);
//!
//! let refused = Error::from_io("open /etc/shadow", &std::io::Error::from_raw_os_error(13));
//! assert_eq!((refused.kind(), refused.errno()), (ErrorKind::Denied, Some(13)));
//! ```

use std::fmt;
use std::io;

use nix::libc;
use serde::{Deserialize, Serialize};

/// The result of every fallible act of this crate.
///
/// Example: [error](self#examples).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
///
/// Example: [error](self#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong in itself: mend it. `EINVAL` where a system call said so.
    InvalidSpec,
    /// This plugin, or this host, cannot do it: ask another one, or for less. `ENOSYS`, `EOPNOTSUPP`.
    Unsupported,
    /// The rights are missing. `EPERM`, and `EACCES` outside of starting a program.
    Denied,
    /// The thing that was named is not there: from `start` that is the program, elsewhere the task or the file. `ENOENT`,
    /// `ESRCH`.
    NotFound,
    /// The program is there and cannot be executed: no permission, no known format. `EACCES`, `ENOEXEC`.
    NotExecutable,
    /// The name is taken. `EEXIST`.
    Exists,
    /// Not now: the task is in another state, or somebody holds it. `EBUSY`, `EAGAIN` on a lock.
    Busy,
    /// The host has run out of something: later, or with less. `EMFILE`, `ENOMEM`, `ENOSPC`, `EAGAIN`.
    Exhausted,
    /// Code of a plugin, or a callback of the host, panicked. The object answers nothing but `force_stop` afterwards.
    Panicked,
    /// A fault of the executor itself; also whatever a newer version means that this one does not know.
    Internal,
}

/// A refusal or a failure: kind, errno where a system call gave one, what was being done, why not, and how to mend it.
///
/// `Display` prints `what: why` on one line, without the fix.
///
/// Example: [error](self#examples).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: ErrorKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    what: String,
    why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Error {
    /// An error in the act `what` (imperative, lower case, no full stop) for the reason `why`.
    ///
    /// Example: [error](self#examples).
    pub fn new(kind: ErrorKind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, errno: None, what: what.into(), why: why.into(), fix: None }
    }

    /// The error of a system call made for the act `what`; the kind follows from its errno.
    ///
    /// Example: [error](self#examples).
    pub fn from_io(what: impl Into<String>, source: &io::Error) -> Self {
        let fix = match source.raw_os_error() {
            Some(libc::EMFILE) => Some("raise the limit on open files: ulimit -n".to_owned()),
            _ => None,
        };
        Self { errno: source.raw_os_error(), fix, ..Self::new(kind_of(source), what, describe(source)) }
    }

    /// An operation that this executor does not have.
    ///
    /// Example: `Error::unsupported("pause")` prints `pause: this executor does not offer it`; see [error](self#examples).
    #[must_use]
    pub fn unsupported(operation: &str) -> Self {
        Self::new(ErrorKind::Unsupported, operation, "this executor does not offer it")
    }

    /// A request that is wrong in itself.
    ///
    /// Example: [error](self#examples).
    pub fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidSpec, what, why)
    }

    /// The same error, with what the user can do about it.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// The same error under another kind, where the act knows better than the errno.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The same error, with the errno of the system call behind it; zero means none.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn with_errno(self, errno: i32) -> Self {
        Self { errno: (errno != 0).then_some(errno), ..self }
    }

    /// What the caller can do about it.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The errno of the system call that failed, where one did.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// The act that failed.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The reason.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What the user can do about it, where the plugin knows.
    ///
    /// Example: [error](self#examples).
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why.as_str() {
            "" => f.write_str(&self.what),
            why => write!(f, "{}: {why}", self.what),
        }
    }
}

impl std::error::Error for Error {}

/// The kernel's words without Rust's ` (os error 13)`: the number is a field of its own.
fn describe(source: &io::Error) -> String {
    let mut words = source.to_string();
    if let Some(code) = source.raw_os_error() {
        let number = format!(" (os error {code})");
        words.truncate(words.strip_suffix(number.as_str()).map_or(words.len(), str::len));
    }
    words
}

fn kind_of(source: &io::Error) -> ErrorKind {
    use io::ErrorKind as Io;
    match source.kind() {
        Io::NotFound => ErrorKind::NotFound,
        Io::PermissionDenied => ErrorKind::Denied,
        Io::AlreadyExists => ErrorKind::Exists,
        Io::InvalidInput | Io::NotADirectory | Io::InvalidFilename => ErrorKind::InvalidSpec,
        Io::Unsupported => ErrorKind::Unsupported,
        Io::ResourceBusy | Io::ExecutableFileBusy => ErrorKind::Busy,
        Io::OutOfMemory | Io::StorageFull | Io::QuotaExceeded | Io::WouldBlock | Io::ArgumentListTooLong => {
            ErrorKind::Exhausted
        }
        // What std has no kind of its own for.
        _ => match source.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => ErrorKind::Exhausted,
            Some(libc::ESRCH) => ErrorKind::NotFound,
            Some(libc::ENOEXEC) => ErrorKind::NotExecutable,
            _ => ErrorKind::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_follows_from_the_errno() {
        use nix::errno::Errno;
        let cases = [
            (Errno::ENOENT, ErrorKind::NotFound),
            (Errno::ESRCH, ErrorKind::NotFound),
            (Errno::EPERM, ErrorKind::Denied),
            (Errno::EACCES, ErrorKind::Denied),
            (Errno::EEXIST, ErrorKind::Exists),
            (Errno::EINVAL, ErrorKind::InvalidSpec),
            (Errno::EBUSY, ErrorKind::Busy),
            (Errno::EMFILE, ErrorKind::Exhausted),
            (Errno::ENOMEM, ErrorKind::Exhausted),
            (Errno::ENOSPC, ErrorKind::Exhausted),
            (Errno::EAGAIN, ErrorKind::Exhausted),
            (Errno::ENOSYS, ErrorKind::Unsupported),
            (Errno::ENOEXEC, ErrorKind::NotExecutable),
            (Errno::EIO, ErrorKind::Internal),
        ];
        for (errno, kind) in cases {
            let error = Error::from_io("act", &io::Error::from_raw_os_error(errno as i32));
            assert_eq!(error.kind(), kind, "{errno}");
            assert_eq!(error.errno(), Some(errno as i32));
            assert!(!error.to_string().contains("os error"), "{error}");
        }
    }
}
