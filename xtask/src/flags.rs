//! The command line.
//!
//! `run` is here for its help only: its words go to the `executor` command verbatim, so `run::words_after_run` takes
//! them before anything is parsed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::vm::{self, Lane};

/// Builds, checks and tests the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build plugins and programs, and install them into `executor` in the target directory.
    Build {
        /// Optimized, stripped.
        #[arg(long)]
        release: bool,
    },
    /// Build optimized, and install with manual and completions; DESTDIR is put in front of the prefix.
    Install {
        /// The directory to install below, as it will be used.
        #[arg(long, value_name = "DIR", default_value = "/usr/local")]
        prefix: PathBuf,
    },
    /// Build quietly, then become `executor run ARGS`.
    #[command(disable_help_flag = true)]
    Run {
        /// Optimized; only as the first word.
        #[arg(long)]
        release: bool,
        /// Options of `executor run`, `--`, and the command to run: verbatim.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Unit tests, then every suite against the built plugins; ends with the sum.
    Test {
        /// Promise root: tests that need it fail where it is missing, instead of being skipped.
        #[arg(long)]
        root: bool,
    },
    /// Run the conformance suite against one plugin file.
    Conformance {
        /// The built plugin, `libexecutor_<name>.so`.
        plugin: PathBuf,
    },
    /// Write the crate of a small working plugin, to begin one's own from.
    NewPlugin {
        /// Its name: 1 to 32 of a-z 0-9 _.
        name: String,
        /// The directory to make NAME in.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Ask the plugins what they can enforce here; write that to docs/capabilities, and the table into README.md.
    Table,
    /// Check what no compiler and no linter checks: lengths, layers, names, homes.
    Tidy,
    /// Measure, and print a table beside the figures aimed at.
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        what: Measured,
    },
    /// Run the suites in emulated machines, on other kernels and with other cgroups; ends with the sum.
    VmTest {
        /// Only this lane; may be given more than once.
        #[arg(long = "lane", value_name = "NAME", value_parser = vm::named)]
        lanes: Vec<Lane>,
        /// Only what is quick.
        #[arg(long)]
        short: bool,
        /// Say what lanes there are.
        #[arg(long)]
        list: bool,
        /// Words that each suite is called with: a filter, options of libtest.
        #[arg(last = true, value_name = "SUITE ARGS")]
        words: Vec<String>,
    },
    /// All that CI runs, stage by stage; ends with the sum.
    Ci,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Measured {
    /// What finding a plugin and calling through the stable ABI costs, and how large a plugin is.
    Border,
    /// What a start of the command costs beside one of a tiny program, and where the time goes.
    Start,
}

/// How to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl From<bool> for Profile {
    fn from(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }
}
