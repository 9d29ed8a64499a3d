//! The command line as it was written: words, no meaning, no IO. The options of a task are in `options`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ColorChoice, Parser, Subcommand};
use executor_loader::executor_api::units::Signal;

use super::options::TaskOptions;
use super::values::{self, ReportTo};

/// Run a command with least privilege and hard limits, by the best plugin of this host
#[derive(Debug, Parser)]
#[command(name = "executor", version, propagate_version = true, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  executor run --timeout 5s -- sh -c 'echo hello'
  executor start --name nap -- sleep 60
  executor stop nap

Exit codes of run and wait: the command's own; 128+N on signal N; 124 time limit; 125 executor failed;
126 cannot execute; 127 not found. start: 0, or one of the last three.
Of the others: 0, 1 failed, 2 usage, 4 doctor found problems. No such task: 3 everywhere.";

const EXIT_CODES: &str = "Exit codes: the command's own; 128+N on signal N; 124 time limit; 125 executor failed; \
                          126 cannot execute; 127 not found.";

/// Options of every subcommand.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Look for plugins in DIR first; can be given again ($EXECUTOR_PLUGIN_PATH)
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) plugin_path: Vec<PathBuf>,
    /// Take only plugins whose digest is in FILE, in the format of sha256sum ($EXECUTOR_LOCK_FILE)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) lock_file: Option<PathBuf>,
    /// Take only plugins signed with the minisign public key in FILE; can be given again ($EXECUTOR_PUBLIC_KEY)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) public_key: Vec<PathBuf>,
    /// Keep records of tasks in DIR; by default /run/executor for root, else executor in $XDG_RUNTIME_DIR
    /// ($EXECUTOR_STATE_DIR)
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Read settings from FILE only; by default from /etc/executor/config.toml and executor/config.toml in
    /// $XDG_CONFIG_HOME; root reads the former alone ($EXECUTOR_CONFIG)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Colour what is printed
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: ColorChoice,
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
    Run(Box<Run>),
    /// Start a command in the background and print its id
    Start(Box<Start>),
    /// Wait for a task and exit like it
    Wait(Wait),
    /// Ask tasks to end, and kill those that have not after a while
    Stop(Stop),
    /// Kill tasks at once, or send them a signal
    Kill(Kill),
    /// List tasks, running and ended
    #[command(visible_alias = "ls")]
    Ps(Listing),
    /// Show all that is known of a task
    Inspect(OneTask),
    /// Show what a task uses, or used in all
    Stats(OneTask),
    /// Print what a task has printed
    Logs(Logs),
    /// Remove the records of ended tasks and what they printed
    #[command(visible_alias = "rm")]
    Gc(Gc),
    /// List every file that could be a plugin: chosen, usable, shadowed or refused, and why
    Plugins(Listing),
    /// Check what works on this host, what does not, and how to mend it
    Doctor(Listing),
    /// Print the JSON schema of the documents that --spec reads
    Schema,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of executor, or of one of its commands
    Man {
        /// The command
        verb: Option<String>,
    },
    /// Print the command reference as Markdown
    #[command(hide = true)]
    Reference,
}

/// Options of `run`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) options: TaskOptions,
    /// Write how it ended, what it used and what was enforced to FILE or to the open descriptor N, as JSON
    #[arg(long, value_name = "FILE|fd:N", value_parser = values::report_to, conflicts_with = "dry_run")]
    #[arg(help_heading = "Behaviour")]
    pub(crate) report: Option<ReportTo>,
    /// Print the plan of --dry-run as JSON
    #[arg(long, requires = "dry_run", help_heading = "Behaviour")]
    pub(crate) json: bool,
}

/// Options of `start`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) options: TaskOptions,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `wait`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Wait {
    /// The task, by its id or its name
    #[arg(value_name = "ID")]
    pub(crate) id: OsString,
    /// Remove its record and what it printed afterwards
    #[arg(long)]
    pub(crate) rm: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `stop`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Stop {
    /// The tasks
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<OsString>,
    /// Kill what has not ended after this time; by default the grace that the task was started with, else 5s
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) grace: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `kill`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Kill {
    /// The tasks
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<OsString>,
    /// Send this signal to the main process, instead of killing every process of the task
    #[arg(short, long, value_name = "SIGNAL", value_parser = values::signal)]
    pub(crate) signal: Option<Signal>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of whatever lists.
#[derive(Debug, ClapArgs)]
pub(crate) struct Listing {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of whatever shows one task.
#[derive(Debug, ClapArgs)]
pub(crate) struct OneTask {
    /// The task, by its id or its name
    #[arg(value_name = "ID")]
    pub(crate) id: OsString,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `logs`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The task, by its id or its name
    #[arg(value_name = "ID")]
    pub(crate) id: OsString,
    /// Go on until the task has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print a line of JSON for each line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `gc`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Gc {
    /// Only these tasks; by default all that have ended
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<OsString>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
