//! How the kernel ranks the task: its niceness, and on Linux its score when memory runs out.
//!
//! Both are always set, to 0 where the spec does not say, so that the host's own do not reach the task. A host that is
//! ranked lower than that and may not raise anybody leaves its tasks where it is; what the spec asks for is set or
//! refused.

use executor_api::units::{Nice, OomScoreAdj};
use executor_api::{Error, ErrorKind, TaskSpec};
use nix::errno::Errno;

use crate::failure::{At, Failure, Step};
use crate::{linux, sys};

/// The rank of a task; what is absent was not asked for.
#[derive(Debug, Default)]
pub(crate) struct Priority {
    nice: Option<Nice>,
    oom_score_adj: Option<OomScoreAdj>,
    /// The score as the kernel reads it.
    score: String,
}

impl Priority {
    pub(crate) fn new(spec: &TaskSpec) -> Self {
        let score = spec.oom_score_adj.map_or(0, OomScoreAdj::get).to_string();
        Self { nice: spec.nice, oom_score_adj: spec.oom_score_adj, score }
    }

    /// Ranks this process, before the change of user takes the right to. Async-signal-safe.
    pub(crate) fn impose(&self) -> Result<(), Failure> {
        let nice = sys::set_nice(self.nice.map_or(0, Nice::get).into());
        unless_default(nice, self.nice.is_some()).at(Step::Nice)?;
        unless_default(linux::set_oom_score_adj(self.score.as_bytes()), self.oom_score_adj.is_some()).at(Step::OomScore)
    }
}

/// The result of setting what was asked for; a default that this host cannot set is no failure.
fn unless_default(set: nix::Result<()>, asked: bool) -> nix::Result<()> {
    match set {
        Err(Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ENOENT) if !asked => Ok(()),
        set => set,
    }
}

/// Why the niceness of `spec` could not be set.
pub(crate) fn nice_refusal(spec: &TaskSpec, errno: Errno) -> Error {
    let what = format!("set the niceness of the task to {}", spec.nice.map_or(0, Nice::get));
    let fix = "ask for no less than the host itself has, or give the host CAP_SYS_NICE";
    Error::from_io(what, &errno.into()).with_fix(fix)
}

/// Why the score of `spec` could not be set.
pub(crate) fn score_refusal(spec: &TaskSpec, errno: Errno) -> Error {
    let what = format!("set oom_score_adj of the task to {}", spec.oom_score_adj.map_or(0, OomScoreAdj::get));
    let error = Error::from_io(what, &errno.into());
    match errno {
        Errno::ENOENT => error.with_kind(ErrorKind::Unsupported).with_fix("mount /proc"),
        Errno::EROFS => error.with_kind(ErrorKind::Denied).with_fix("mount /proc writable"),
        Errno::EACCES | Errno::EPERM => {
            error.with_fix("ask for no less than the host itself has, or give the host CAP_SYS_RESOURCE")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_default_may_be_left_as_it_is() {
        assert_eq!(unless_default(Err(Errno::EACCES), false), Ok(()));
        assert_eq!(unless_default(Err(Errno::EACCES), true), Err(Errno::EACCES));
        assert_eq!(unless_default(Err(Errno::EINVAL), false), Err(Errno::EINVAL));
    }

    #[test]
    fn a_refusal_is_never_taken_for_a_missing_program() {
        let mut spec = TaskSpec::new("true");
        spec.nice = Nice::new(-5).ok();
        spec.oom_score_adj = OomScoreAdj::new(-500).ok();
        let nice = nice_refusal(&spec, Errno::EACCES);
        assert_eq!((nice.kind(), nice.errno()), (ErrorKind::Denied, Some(13)));
        assert!(nice.to_string().contains("niceness of the task to -5"), "{nice}");
        let score = score_refusal(&spec, Errno::EACCES);
        assert_eq!((score.kind(), score.errno()), (ErrorKind::Denied, Some(13)));
        assert!(score.to_string().contains("oom_score_adj of the task to -500"), "{score}");
        assert_eq!(score_refusal(&spec, Errno::ENOENT).kind(), ErrorKind::Unsupported);
        assert_eq!(score_refusal(&spec, Errno::EROFS).kind(), ErrorKind::Denied);
    }
}
