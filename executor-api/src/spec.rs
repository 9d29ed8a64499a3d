//! What to run: the document that `start` takes.
//!
//! A task starts from a clean slate: nothing of the host's environment, directory, descriptors or signal state reaches
//! it unless it is written here.
//!
//! # Examples
//!
//! ```
//! use executor_api::spec::{Input, Output, TaskSpec};
//!
//! let mut spec = TaskSpec::new("convert");
//! spec.args = vec!["${SIZE}".into(), "in.png".into()];
//! spec.env.insert("SIZE".into(), "640x480".into());
//! spec.stdout = Output::File { path: "/srv/out.log".into(), append: true };
//! spec.validate()?;
//! assert_eq!(spec.stdin, Input::Null);
//! assert_eq!(spec.command_line(), ["convert", "640x480", "in.png"]);
//! assert!(serde_json::from_str::<TaskSpec>(r#"{"program":"a","sandbox":"off"}"#).is_err(), "unknown keys are refused");
//! # Ok::<(), executor_api::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::isolation::{Isolation, absolute};
use crate::limits::Enforcement;
use crate::support::{Demands, Feature};
use crate::text::{env, is_default, millis, optional, word, words};
use crate::units::{Nice, OomScoreAdj, Signal, Umask};

/// The search path of a task whose environment has no `PATH`: it is set to this, and bare names are looked up in it.
///
/// Example: [spec](self#examples).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a task reads from.
///
/// Example: [spec](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// Nothing: reading ends at once.
    #[default]
    Null,
    /// This file of the host, opened by the executor before the task's isolation.
    File {
        /// Its path, absolute.
        #[serde(with = "word")]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
        path: PathBuf,
    },
    /// The descriptor that the host passes beside the spec, in [`StdioFds`].
    Passed,
}

/// Where a task writes to.
///
/// Example: [spec](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Output {
    /// Nowhere.
    #[default]
    Null,
    /// This file of the host, created with mode 0600 if need be, opened by the executor outside the task's reach.
    File {
        /// Its path, absolute.
        #[serde(with = "word")]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
        path: PathBuf,
        /// Whether to keep what the file holds; false empties it.
        #[serde(default, skip_serializing_if = "is_default")]
        append: bool,
    },
    /// The descriptor that the host passes beside the spec, in [`StdioFds`].
    Passed,
}

/// The descriptors for those standard streams that the spec calls passed.
///
/// Borrowed for the call alone: an executor duplicates what it keeps. They are the host's own, so what their other ends
/// do is the host's business.
///
/// Example: [`Executor::start`](crate::Executor::start).
#[derive(Clone, Copy, Debug, Default)]
pub struct StdioFds<'a> {
    /// For [`Input::Passed`].
    pub stdin: Option<BorrowedFd<'a>>,
    /// For [`Output::Passed`] as standard output.
    pub stdout: Option<BorrowedFd<'a>>,
    /// For [`Output::Passed`] as standard error.
    pub stderr: Option<BorrowedFd<'a>>,
}

/// A command and the surroundings it runs in.
///
/// A request: unknown keys are refused, and what has its default is not written.
///
/// Example: [spec](self#examples).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskSpec {
    /// The program: an absolute path, or a bare name that is looked up in the task's `PATH` inside the task's root.
    #[serde(with = "word")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Word"))]
    pub program: OsString,
    /// Its arguments, without the program itself.
    #[serde(with = "words", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::Word>"))]
    pub args: Vec<OsString>,
    /// Its whole environment, names to values; [`DEFAULT_PATH`] is added where `PATH` is missing.
    #[serde(with = "env", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Env"))]
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory inside, absolute; absent for the task directory's `/local` if there is one, else `/`.
    #[serde(with = "optional", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Word>"))]
    pub cwd: Option<PathBuf>,
    /// Where it reads from.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: Input,
    /// Where it writes to.
    #[serde(skip_serializing_if = "is_default")]
    pub stdout: Output,
    /// Where it complains to.
    #[serde(skip_serializing_if = "is_default")]
    pub stderr: Output,
    /// As whom it runs.
    #[serde(skip_serializing_if = "is_default")]
    pub identity: Identity,
    /// What it may see and touch.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: Isolation,
    /// Permission bits that its new files do not get; absent for 022.
    #[serde(skip_serializing_if = "is_default")]
    pub umask: Option<Umask>,
    /// Its scheduling niceness; absent for 0.
    #[serde(skip_serializing_if = "is_default")]
    pub nice: Option<Nice>,
    /// What is added to its badness when the machine runs out of memory; absent for 0.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<OomScoreAdj>,
    /// The signal that asks it to end, when it is stopped or at its time limit; absent for `SIGTERM`.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: Option<Signal>,
    /// How long it has at its time limit between being asked to end and being killed, in whole milliseconds; absent for
    /// none: it is killed at the limit. A stop brings its own grace.
    #[serde(rename = "grace_ms", with = "millis", skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub grace: Option<Duration>,
    /// Whether it is killed when the process that started it is gone, however that ended; otherwise it lives on.
    #[serde(skip_serializing_if = "is_default")]
    pub die_with_host: bool,
    /// Whether what is asked for here is a condition or a wish.
    #[serde(skip_serializing_if = "is_default")]
    pub enforcement: Enforcement,
}

impl TaskSpec {
    /// Runs `program` without arguments, from the clean slate.
    ///
    /// Example: [spec](self#examples).
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    /// Checks what no single type can.
    ///
    /// # Errors
    ///
    /// `InvalidSpec`: no program, a NUL byte in a word, an environment name that is empty or has `=`, a relative path.
    ///
    /// Example: [spec](self#examples).
    pub fn validate(&self) -> Result<()> {
        if self.program.is_empty() {
            return Err(Error::invalid("run a command", "the command is empty"));
        }
        let env_words = self.env.iter().flat_map(|(name, value)| [name, value]);
        if env_words.chain(&self.args).chain([&self.program]).any(|word| word.as_bytes().contains(&0)) {
            return Err(Error::invalid("run a command", "a word of it holds a NUL byte"));
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.as_bytes().contains(&b'=')) {
            return Err(Error::invalid(
                format!("set the environment variable {name:?}"),
                "its name is empty or has a =",
            ));
        }
        let input = if let Input::File { path } = &self.stdin { Some(path) } else { None };
        let outputs = [&self.stdout, &self.stderr];
        let output =
            outputs.into_iter().filter_map(|to| if let Output::File { path, .. } = to { Some(path) } else { None });
        self.cwd.iter().chain(input).chain(output).try_for_each(|path| absolute(path))?;
        self.isolation.validate()
    }

    /// The features that must hold for this task; [`Resources::demands`](crate::Resources::demands) has the limits'.
    ///
    /// Example: [spec](self#examples).
    #[must_use]
    pub fn demands(&self) -> Demands {
        let mut demands = self.isolation.demands();
        // Where no user is named, the default of identity.rs is part of the profile.
        match self.identity == Identity::default() {
            true => demands.add(Feature::User, self.isolation.profile),
            false => demands.require(Feature::User),
        }
        let file = matches!(self.stdin, Input::File { .. })
            || [&self.stdout, &self.stderr].iter().any(|to| matches!(to, Output::File { .. }));
        let passed = self.stdin == Input::Passed || [&self.stdout, &self.stderr].contains(&&Output::Passed);
        let asked = [
            (Feature::WorkingDirectory, self.cwd.is_some()),
            (Feature::Umask, self.umask.is_some()),
            (Feature::Nice, self.nice.is_some()),
            (Feature::OomScoreAdj, self.oom_score_adj.is_some()),
            (Feature::StopSignal, self.stop_signal.is_some()),
            (Feature::Grace, self.grace.is_some()),
            (Feature::DieWithHost, self.die_with_host),
            (Feature::StdioFiles, file),
            (Feature::StdioPassed, passed),
        ];
        asked.iter().filter(|(_, asked)| *asked).for_each(|(feature, _)| demands.require(*feature));
        match self.enforcement {
            Enforcement::Strict => demands,
            Enforcement::BestEffort => demands.relaxed(),
        }
    }

    /// The program and its arguments as the kernel gets them: `$NAME` and `${NAME}` replaced from the task's
    /// environment, an unknown name left as it is, as in the seed.
    ///
    /// Example: [spec](self#examples).
    #[must_use]
    pub fn command_line(&self) -> Vec<OsString> {
        [&self.program].into_iter().chain(&self.args).map(|word| interpolate(word, &self.env)).collect()
    }
}

/// The reply to `command`: the words as they were executed, program first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CommandLine {
    #[serde(with = "words")]
    pub(crate) words: Vec<OsString>,
}

/// `word` with `$NAME` and `${NAME}` (letters, digits, underscore) replaced by `env`'s values, once.
fn interpolate(word: &OsStr, env: &BTreeMap<OsString, OsString>) -> OsString {
    let mut rest = word.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        let (before, reference) = rest.split_at(at);
        out.extend_from_slice(before);
        let (name, len) = reference_at(reference);
        match env.get(OsStr::from_bytes(name)).filter(|_| !name.is_empty()) {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => out.extend_from_slice(&reference[..len]),
        }
        rest = &reference[len..];
    }
    out.extend_from_slice(rest);
    OsString::from_vec(out)
}

/// The name that `text`, which starts with `$`, refers to, and how many bytes the reference takes.
fn reference_at(text: &[u8]) -> (&[u8], usize) {
    let braced = text.get(1) == Some(&b'{');
    let start = if braced { 2 } else { 1 };
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let len = text.iter().skip(start).take_while(in_name).count();
    let name = text.get(start..start + len).unwrap_or_default();
    match (braced, text.get(start + len)) {
        (false, _) => (name, start + len),
        (true, Some(b'}')) => (name, start + len + 1),
        (true, _) => (&[], 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_words_are_replaced_as_in_the_seed() {
        let env =
            BTreeMap::from([("A".into(), "1".into()), ("A_B".into(), "$A".into()), ("E".into(), OsString::new())]);
        let cases = [
            ("$A", "1"),
            ("${A}", "1"),
            ("x$A.y", "x1.y"),
            ("$A_B", "$A"),
            ("${A}_B", "1_B"),
            ("$NO", "$NO"),
            ("${NO}", "${NO}"),
            ("${A", "${A"),
            ("$", "$"),
            ("$$A", "$1"),
            ("${}", "${}"),
            ("a$E$A", "a1"),
            ("$-$A", "$-1"),
        ];
        for (word, expected) in cases {
            assert_eq!(interpolate(OsStr::new(word), &env), OsStr::new(expected), "{word}");
        }
    }

    #[test]
    fn a_spec_that_cannot_run_is_refused() {
        let check = |change: fn(&mut TaskSpec)| {
            let mut spec = TaskSpec::new("true");
            change(&mut spec);
            spec.validate()
        };
        assert!(check(|_| ()).is_ok());
        assert!(check(|spec| spec.program.clear()).is_err());
        assert!(check(|spec| spec.args.push("a\0b".into())).is_err());
        assert!(check(|spec| drop(spec.env.insert("A=B".into(), "c".into()))).is_err());
        assert!(check(|spec| drop(spec.env.insert("".into(), "c".into()))).is_err());
        assert!(check(|spec| spec.cwd = Some("relative".into())).is_err());
        assert!(check(|spec| spec.stdout = Output::File { path: "x".into(), append: false }).is_err());
    }

    #[test]
    fn a_spec_survives_json_and_defaults_are_not_written() {
        let spec = TaskSpec::new("true");
        assert_eq!(serde_json::to_string(&spec).ok().as_deref(), Some(r#"{"program":"true"}"#));
        let mut full = TaskSpec::new(OsString::from_vec(vec![0x2f, 0xff]));
        full.stdin = Input::Passed;
        full.stdout = Output::File { path: "/x".into(), append: true };
        full.cwd = Some("/tmp".into());
        (full.stop_signal, full.grace, full.die_with_host) = (Some(Signal::TERM), Some(Duration::from_millis(1)), true);
        full.isolation.network = crate::isolation::Network::Namespace("/run/netns/a".into());
        full.identity.user = Some(crate::identity::Account::Id(7));
        let json = serde_json::to_string(&full).expect("a spec serializes");
        assert_eq!(serde_json::from_str::<TaskSpec>(&json).expect(&json), full);
    }
}
