//! The command line as it was written: words, no meaning, no IO.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, value_parser};
use executor_loader::executor_api::units::{Bytes, Cpus, Pids};
use executor_loader::executor_api::{Account, PluginName, TaskName};

/// Run a command with least privilege and hard limits, by the best plugin of this host
#[derive(Debug, Parser)]
#[command(name = "executor", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXIT_CODES: &str = "Exit codes of run: the command's own; 128+N on signal N; 124 time limit; 125 executor failed; \
                          126 cannot execute; 127 not found.";

/// Options of every subcommand.
#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// Look for plugins in DIR first; can be given again
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) plugin_path: Vec<PathBuf>,
    /// Take only plugins whose digest is in FILE, in the format of sha256sum
    #[arg(long, value_name = "FILE", global = true, env = "EXECUTOR_LOCK_FILE")]
    pub(crate) lock_file: Option<PathBuf>,
    /// Take only plugins signed with the minisign public key in FILE; can be given again
    #[arg(long, value_name = "FILE", global = true, env = "EXECUTOR_PUBLIC_KEY")]
    pub(crate) public_key: Vec<PathBuf>,
    /// Keep records of tasks in DIR; by default /run/executor for root, else executor in $XDG_RUNTIME_DIR
    #[arg(long, value_name = "DIR", global = true, env = "EXECUTOR_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print no warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print what plugins log, and the whole of each report
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command in the foreground; exits with the command's exit code
    Run(Run),
    /// List every file that could be a plugin: usable, shadowed or refused, and why
    Plugins(Plugins),
}

/// Options of `plugins`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Plugins {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `run`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Run {
    /// Run it with this plugin or not at all
    #[arg(long, value_name = "NAME", env = "EXECUTOR_PLUGIN")]
    pub(crate) plugin: Option<PluginName>,
    /// Name the task; random if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<TaskName>,
    /// Kill the whole task after this time: 5s, 1m30s, or bare seconds
    #[arg(long, value_name = "TIME", value_parser = super::duration::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Cap the task's memory: 64M is 2^26 bytes, 64MB is decimal
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<Bytes>,
    /// Cap the task's processor time, in processors: 0.5
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<Cpus>,
    /// Cap the number of the task's processes and threads
    #[arg(long, value_name = "N")]
    pub(crate) pids: Option<Pids>,
    /// Set a variable of the task's environment, which has only PATH otherwise; without =VALUE it is copied from here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = value_parser!(OsString))]
    pub(crate) env: Vec<OsString>,
    /// Start in this directory, as the task sees it
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Run as this user and its groups; nobody if executor is run by root
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<Account>,
    /// Run with less than was asked for where that cannot be had, and say so
    #[arg(long, conflicts_with = "require_isolation")]
    pub(crate) best_effort: bool,
    /// Run only with the whole default isolation
    #[arg(long)]
    pub(crate) require_isolation: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
