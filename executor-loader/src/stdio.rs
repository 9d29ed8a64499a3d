//! What a task's standard streams are connected to, in the manner of `std::process::Stdio`.

use std::fmt;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use executor_api::{Error, ErrorKind, Feature, Input, Output};

use crate::logs::Place;

/// What one standard stream of a task is connected to.
///
/// # Examples
///
/// ```
/// use executor_loader::{Command, Stdio};
///
/// let mut command = Command::new("sort");
/// command.stdin(Stdio::piped()).stdout(Stdio::append("/var/log/sort.log")).stderr(Stdio::inherit());
/// ```
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Null,
    Inherit,
    Piped,
    Given(OwnedFd),
    Path { path: PathBuf, append: bool },
    Kept,
}

impl Stdio {
    /// Nothing to read, nowhere to write: the default.
    ///
    /// Example: [`Stdio`].
    #[must_use]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// This process's own stream.
    ///
    /// Example: [`Stdio`].
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// A new pipe, whose other end is in the [`Task`](crate::Task).
    ///
    /// Example: [`Stdio`].
    #[must_use]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// A file that the executor opens, outside of the task's reach: read from the start, or emptied and written.
    ///
    /// Example: [`Stdio`].
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Path { path: path.into(), append: false })
    }

    /// A file that the executor opens, outside of the task's reach, and that keeps what it holds.
    ///
    /// Example: [`Stdio`].
    pub fn append(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Path { path: path.into(), append: true })
    }

    /// A file in the state directory, which goes with the task's record; for output only.
    /// [`Records::logs`](crate::Records::logs) finds it.
    ///
    /// Example: [`Stdio`].
    #[must_use]
    pub fn kept() -> Self {
        Self(Kind::Kept)
    }

    fn given(fd: impl Into<OwnedFd>) -> Self {
        Self(Kind::Given(fd.into()))
    }
}

impl fmt::Display for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Null => f.write_str("nothing"),
            Kind::Inherit => f.write_str("that of this process"),
            Kind::Piped => f.write_str("a pipe"),
            Kind::Given(_) => f.write_str("a descriptor"),
            Kind::Path { path, append: false } => write!(f, "the file {}", path.display()),
            Kind::Path { path, append: true } => write!(f, "the end of the file {}", path.display()),
            Kind::Kept => f.write_str("a file that is kept with the record"),
        }
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Self {
        Self::given(fd)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self::given(file)
    }
}

impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Self {
        Self::given(pipe)
    }
}

impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Self {
        Self::given(pipe)
    }
}

/// A stream that is ready to start with: what the spec says of it, the task's end, and the host's end of a pipe.
pub(crate) struct Connected<'a, D, H> {
    pub(crate) said: D,
    pub(crate) theirs: Option<Fd<'a>>,
    pub(crate) ours: Option<H>,
}

/// A descriptor that is kept open for the length of a start.
pub(crate) enum Fd<'a> {
    Owned(OwnedFd),
    Borrowed(BorrowedFd<'a>),
}

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Borrowed(fd) => fd.as_fd(),
        }
    }
}

impl Stdio {
    /// Connects it as standard input; `own` is this process's.
    pub(crate) fn input(self, own: BorrowedFd<'_>) -> Result<Connected<'_, Input, PipeWriter>, Error> {
        let passed = |theirs, ours| Connected { said: Input::Passed, theirs: Some(theirs), ours };
        Ok(match self.0 {
            Kind::Null => Connected { said: Input::Null, theirs: None, ours: None },
            Kind::Kept => return Err(Error::invalid("connect stdin", "only output can be kept")),
            Kind::Path { path, .. } => Connected { said: Input::File { path }, theirs: None, ours: None },
            Kind::Inherit => passed(Fd::Borrowed(own), None),
            Kind::Given(fd) => passed(Fd::Owned(fd), None),
            Kind::Piped => {
                let (theirs, ours) = pipe("stdin")?;
                passed(Fd::Owned(theirs.into()), Some(ours))
            }
        })
    }

    /// Connects it as standard output or error; `own` is this process's.
    pub(crate) fn output<'a>(
        self,
        name: &str,
        own: BorrowedFd<'a>,
        place: Option<&Place>,
    ) -> Result<Connected<'a, Output, PipeReader>, Error> {
        let passed = |theirs, ours| Connected { said: Output::Passed, theirs: Some(theirs), ours };
        Ok(match self.0 {
            Kind::Null => Connected { said: Output::Null, theirs: None, ours: None },
            Kind::Kept => {
                let no_place = || Error::new(ErrorKind::Internal, format!("keep {name}"), "no place was made for it");
                let path = place.ok_or_else(no_place)?.file(name);
                Connected { said: Output::File { path, append: true }, theirs: None, ours: None }
            }
            Kind::Path { path, append } => Connected { said: Output::File { path, append }, theirs: None, ours: None },
            Kind::Inherit => passed(Fd::Borrowed(own), None),
            Kind::Given(fd) => passed(Fd::Owned(fd), None),
            Kind::Piped => {
                let (ours, theirs) = pipe(name)?;
                passed(Fd::Owned(theirs.into()), Some(ours))
            }
        })
    }
}

fn pipe(name: &str) -> Result<(PipeReader, PipeWriter), Error> {
    io::pipe().map_err(|error| Error::from_io(format!("make a pipe for {name}"), &error))
}

impl Stdio {
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.0, Kind::Kept)
    }

    /// What it needs of a plugin.
    pub(crate) fn demand(&self) -> Option<Feature> {
        match self.0 {
            Kind::Null => None,
            Kind::Inherit | Kind::Piped | Kind::Given(_) => Some(Feature::StdioPassed),
            Kind::Path { .. } | Kind::Kept => Some(Feature::StdioFiles),
        }
    }

    /// The same connection for another start; a given descriptor cannot be given twice.
    pub(crate) fn again(&self) -> Self {
        Self(match &self.0 {
            Kind::Null | Kind::Given(_) => Kind::Null,
            Kind::Inherit => Kind::Inherit,
            Kind::Piped => Kind::Piped,
            Kind::Kept => Kind::Kept,
            Kind::Path { path, append } => Kind::Path { path: path.clone(), append: *append },
        })
    }
}
