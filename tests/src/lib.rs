//! What the suites share: what a trial needs, where the built things are, and plugins that misbehave on request.
//!
//! `EXECUTOR_TEST_REQUIRE=root,cc` turns a missing need from a skipped trial into a failed one. `EXECUTOR_TEST_PREFIX`
//! is an installation to test, as `cargo xtask build` makes it: `bin/executor`, and in `lib/executor/1`
//! the plugins with `executor-probe`.

mod misbehave;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use libtest_mimic::{Completion, Failed, Trial};

pub use misbehave::{Behaviour, misbehaving, prober};

/// What a trial cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// The suite runs as root.
    Root,
    /// There is an installation in [`prefix`].
    Built,
    /// There is a C compiler by the name of `cc`.
    Cc,
    /// There is a nightly toolchain.
    Nightly,
}

impl Need {
    /// The need's name in `EXECUTOR_TEST_REQUIRE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Built => "built",
            Self::Cc => "cc",
            Self::Nightly => "nightly",
        }
    }

    /// Whether it is met here.
    #[must_use]
    pub fn is_met(self) -> bool {
        match self {
            Self::Root => nix::unistd::geteuid().is_root(),
            Self::Built => named_prefix().is_some_and(|prefix| prefix.join("bin/executor").is_file()),
            Self::Cc => succeeds("cc", &["--version"]),
            // Asking for the toolchain by name would make rustup fetch it.
            Self::Nightly => output("rustup", &["toolchain", "list"]).is_some_and(|list| list.contains("nightly")),
        }
    }

    /// Whether whoever runs the suite promised it.
    #[must_use]
    pub fn is_required(self) -> bool {
        let promised = std::env::var("EXECUTOR_TEST_REQUIRE").unwrap_or_default();
        promised.split(',').any(|name| name.trim() == self.name())
    }
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    output(program, args).is_some()
}

/// A trial that is ignored where a need is missing, and fails where that was promised (`EXECUTOR_TEST_REQUIRE`).
///
/// An ignored one says so on standard output: `skipped: NAME: reason`.
pub fn trial<F>(name: &str, needs: &'static [Need], test: F) -> Trial
where
    F: FnOnce() -> Result<(), Failed> + Send + 'static,
{
    let own_name = name.to_owned();
    Trial::ignorable_test(name, move || {
        let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
        if let Some(promised) = missing.iter().find(|need| need.is_required()) {
            return Err(format!("{} was promised and is missing", promised.name()).into());
        }
        if missing.is_empty() {
            return test().map(|()| Completion::Completed);
        }
        let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
        let reason = format!("needs {}", names.join(", "));
        say(&format!("skipped: {own_name}: {reason}"));
        Ok(Completion::ignored_with(reason))
    })
}

/// Prints a line of a suite's own.
#[expect(clippy::print_stdout, reason = "a suite is a program that reports on standard output")]
pub fn say(line: &str) {
    println!("{line}");
}

/// The installation to test.
///
/// # Panics
///
/// Where [`Need::Built`] is not met.
#[must_use]
pub fn prefix() -> PathBuf {
    named_prefix().expect("EXECUTOR_TEST_PREFIX names an installation: the trial needs `built`")
}

pub(crate) fn named_prefix() -> Option<PathBuf> {
    std::env::var_os("EXECUTOR_TEST_PREFIX").filter(|prefix| !prefix.is_empty()).map(PathBuf::from)
}
