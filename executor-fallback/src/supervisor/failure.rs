//! The child's word for what went wrong before the program ran: a step, which one of several, and an errno; eight bytes
//! on a pipe.
//!
//! The child cannot allocate, so it says no more than that; the supervisor, which knows what was asked, makes the words.
//! The order of [`Step::ALL`] is the order of the child's acts.

use std::path::Path;

use executor_api::{Error, ErrorKind, TaskSpec};
use nix::errno::Errno;

use crate::identity::Owner;
use crate::priority;
use crate::rlimit::Limit;

/// One act of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Session,
    Streams,
    Nice,
    OomScore,
    Limit,
    LimitProof,
    Groups,
    Group,
    User,
    Proof,
    Directory,
    Privileges,
    Bond,
    Execute,
}

impl Step {
    const ALL: [Self; 14] = [
        Self::Session,
        Self::Streams,
        Self::Nice,
        Self::OomScore,
        Self::Limit,
        Self::LimitProof,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::Proof,
        Self::Directory,
        Self::Privileges,
        Self::Bond,
        Self::Execute,
    ];
}

/// A step that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    /// Which one, where there are several of the step: counted from 0.
    pub(crate) number: u8,
    pub(crate) errno: Errno,
}

/// Says at which step a system call was refused.
pub(crate) trait At<T> {
    /// The result, with the step in its error.
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for nix::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|errno| Failure { step, number: 0, errno })
    }
}

impl Failure {
    /// Bytes of a report.
    pub(crate) const LEN: usize = 8;

    /// The same failure, of the one with this number.
    pub(crate) fn with_number(self, number: u8) -> Self {
        Self { number, ..self }
    }

    /// The report as it goes through the pipe.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.step as u8;
        bytes[1] = self.number;
        bytes[4..].copy_from_slice(&(self.errno as i32).to_ne_bytes());
        bytes
    }

    /// The report that these bytes are; none where the child said nothing, since it executed the program.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [step, number, _, _, errno @ ..] = <[u8; Self::LEN]>::try_from(bytes).ok()?;
        let step = *Step::ALL.get(usize::from(step))?;
        Some(Self { step, number, errno: Errno::from_raw(i32::from_ne_bytes(errno)) })
    }

    /// The report in words, for the task of `spec` that was to belong to `owner` and to have these `limits`.
    pub(crate) fn explain(self, spec: &TaskSpec, owner: Option<&Owner>, limits: &[Limit]) -> Error {
        let from_errno = |what: String| Error::from_io(what, &self.errno.into());
        let whose = owner.map_or_else(|| "the host's own user".to_owned(), ToString::to_string);
        let limit = limits.get(usize::from(self.number));
        let unnamed = || from_errno("limit the task".into());
        match self.step {
            Step::Session => from_errno("give the task a session of its own".into()),
            Step::Streams => from_errno("connect the task's standard streams".into()),
            Step::Nice => priority::nice_refusal(spec, self.errno),
            Step::OomScore => priority::score_refusal(spec, self.errno),
            Step::Limit => limit.map_or_else(unnamed, |limit| limit.refusal(self.errno)),
            Step::LimitProof => limit.map_or_else(unnamed, |limit| limit.difference(self.errno)),
            Step::Groups | Step::Group | Step::User => from_errno(format!("run the task as {whose}")),
            Step::Proof => {
                let why = "afterwards it still could become root, or has other ids than these";
                Error::new(ErrorKind::Denied, format!("run the task as {whose}"), why).with_errno(self.errno as i32)
            }
            Step::Directory => self.explain_directory(spec.cwd.as_deref().unwrap_or(Path::new("/")), &whose),
            Step::Privileges => from_errno("keep the task from gaining privileges".into()),
            Step::Bond => from_errno("let the task end with its supervisor".into()),
            Step::Execute => self.explain_program(spec, &whose),
        }
    }

    fn explain_directory(self, directory: &Path, whose: &str) -> Error {
        let what = format!("enter the working directory {} as {whose}", directory.display());
        match self.errno {
            Errno::ENOENT => Error::new(ErrorKind::InvalidSpec, what, "there is no such directory"),
            Errno::ENOTDIR => Error::new(ErrorKind::InvalidSpec, what, "it is not a directory"),
            Errno::EACCES => Error::from_io(what, &self.errno.into())
                .with_fix("let this user search every directory on the way to it, or choose another"),
            errno => Error::from_io(what, &errno.into()),
        }
        .with_errno(self.errno as i32)
    }

    fn explain_program(self, spec: &TaskSpec, whose: &str) -> Error {
        let program = spec.command_line().swap_remove(0);
        let bare = !program.as_encoded_bytes().contains(&b'/');
        let what = format!("execute {} as {whose}", program.display());
        let path = crate::launch::search_path(spec);
        let error = match self.errno {
            Errno::ENOENT | Errno::ENOTDIR if bare => {
                let why = format!("there is no such program in PATH, which is {}", path.display());
                Error::new(ErrorKind::NotFound, what, why).with_fix("give its absolute path, or another PATH")
            }
            // Seen with the supervisor's eyes, which only matters for the words.
            Errno::ENOENT if Path::new(&program).exists() => {
                let why = "it is there, but the interpreter or loader that it names is not";
                Error::new(ErrorKind::NotFound, what, why)
            }
            Errno::ENOENT | Errno::ENOTDIR => Error::new(ErrorKind::NotFound, what, "there is no such program"),
            Errno::EACCES => {
                let why = "it is no file that this user may execute";
                Error::new(ErrorKind::NotExecutable, what, why).with_fix("check its mode and those of its directories")
            }
            Errno::ENOEXEC => {
                let why = "it is no program of this machine, and no script that starts with #!";
                Error::new(ErrorKind::NotExecutable, what, why)
            }
            errno => Error::from_io(what, &errno.into()),
        };
        error.with_errno(self.errno as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_pipe() {
        for (number, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, number, "the list is in the order of the steps");
            let failure = Failure { step, number: 7, errno: Errno::EACCES };
            assert_eq!(Failure::from_bytes(&failure.to_bytes()), Some(failure));
        }
        assert_eq!(Failure::from_bytes(&[]), None);
        assert_eq!(Failure::from_bytes(&[0xff; Failure::LEN]), None);
    }

    #[test]
    fn a_missing_directory_is_not_taken_for_a_missing_program() {
        let mut spec = TaskSpec::new("greet");
        spec.cwd = Some("/nowhere".into());
        spec.env.insert("PATH".into(), "/opt/bin".into());
        let explain = |step, errno| Failure { step, number: 0, errno }.explain(&spec, None, &[]);
        let directory = explain(Step::Directory, Errno::ENOENT);
        let program = explain(Step::Execute, Errno::ENOENT);
        assert_eq!((directory.kind(), directory.errno()), (ErrorKind::InvalidSpec, Some(2)));
        assert_eq!((program.kind(), program.errno()), (ErrorKind::NotFound, Some(2)));
        assert!(directory.to_string().contains("directory /nowhere"), "{directory}");
        assert!(program.to_string().contains("greet") && program.to_string().contains("/opt/bin"), "{program}");
        assert_eq!(explain(Step::Execute, Errno::EACCES).kind(), ErrorKind::NotExecutable);
        assert_eq!(explain(Step::User, Errno::EPERM).kind(), ErrorKind::Denied);
    }
}
