//! The options of a task, the same for `run` and `start`: what runs, and everything that it is given or kept from.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use executor_loader::executor_api::isolation::{Bind, Network, Syscalls, Tmpfs};
use executor_loader::executor_api::limits::Rlimit;
use executor_loader::executor_api::units::{Bytes, CpuMhz, Cpus, IoWeight, Nice, OomScoreAdj, Pids, Signal, Umask};
use executor_loader::executor_api::{PluginName, TaskName};

use super::values::{self, Cpuset, UserGroup};

/// All of them, in the groups of the help.
#[derive(Debug, Args)]
pub(crate) struct TaskOptions {
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) isolation: Isolation,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) surroundings: Surroundings,
    #[command(flatten)]
    pub(crate) behaviour: Behaviour,
    /// The command and its arguments
    #[arg(required_unless_present = "spec", trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What the task may use at most.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Cap the task's memory: 64M is 2^26 bytes, 64MB is decimal
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<Bytes>,
    /// Reclaim memory above SIZE first
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_soft: Option<Bytes>,
    /// Let the task swap this much on top of --memory; by default nothing
    #[arg(long, value_name = "SIZE")]
    pub(crate) swap: Option<Bytes>,
    /// Cap the task's processor time, in processors: 0.5
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<Cpus>,
    /// Give the task this share of the processors, in MHz
    #[arg(long, value_name = "MHZ")]
    pub(crate) cpu_mhz: Option<CpuMhz>,
    /// Run on these processors only: 0-3,5
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset: Option<Cpuset>,
    /// Cap the number of the task's processes and threads
    #[arg(long, visible_alias = "pids-limit", value_name = "N")]
    pub(crate) pids: Option<Pids>,
    /// Give the task this share of disk time, 10 to 1000
    #[arg(long, value_name = "N")]
    pub(crate) io_weight: Option<IoWeight>,
    /// Cap what the task reads from a device in a second: /dev/sda=10M; can be given again
    #[arg(long, value_name = "DEV=RATE", value_parser = values::io_rate)]
    pub(crate) io_read: Vec<(PathBuf, Bytes)>,
    /// Cap what the task writes to a device in a second; can be given again
    #[arg(long, value_name = "DEV=RATE", value_parser = values::io_rate)]
    pub(crate) io_write: Vec<(PathBuf, Bytes)>,
    /// Cap the size of what the task writes
    #[arg(long, value_name = "SIZE")]
    pub(crate) disk: Option<Bytes>,
    /// Set a limit of setrlimit(2) for each process: nofile=1024:4096; can be given again
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = values::rlimit)]
    pub(crate) rlimit: Vec<(String, Rlimit)>,
    /// End the whole task after this time: 5s, 1m30s, or bare seconds
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,
    /// End the whole task after this much processor time
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) cpu_time: Option<Duration>,
    /// At the time limit ask the task to end first, and kill it this much later; also what `stop` waits
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) grace: Option<Duration>,
    /// Make the task's resource groups in this one ($EXECUTOR_CGROUP_PARENT)
    #[arg(long, value_name = "GROUP")]
    pub(crate) cgroup_parent: Option<PathBuf>,
}

/// What the task may see and do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Isolation")]
pub(crate) struct Isolation {
    /// Run as this user and its groups, or with the group named and no other; nobody if executor is run by root
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<UserGroup>,
    /// Give the task the host's network, none but loopback, or the network namespace at a path; by default the host's
    #[arg(long, value_name = "host|none|PATH", value_parser = values::network)]
    pub(crate) net: Option<Network>,
    /// Give the task this hostname
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Let the task keep this capability, such as NET_BIND_SERVICE; can be given again
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,
    /// Filter system calls by the default profile, by none, or by the one in a file
    #[arg(long, value_name = "default|unconfined|FILE", value_parser = values::seccomp)]
    pub(crate) seccomp: Option<Syscalls>,
    /// Run only with the whole default isolation
    #[arg(long, conflicts_with = "best_effort")]
    pub(crate) require_isolation: bool,
}

/// Which files the task has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct Files {
    /// Give the task this directory of its own, which exists
    #[arg(long, value_name = "DIR")]
    pub(crate) task_dir: Option<PathBuf>,
    /// Build the directories of an allocation in DIR, and of this task in it
    #[arg(long, value_name = "DIR", conflicts_with = "task_dir")]
    pub(crate) alloc_dir: Option<PathBuf>,
    /// Show the task a file or directory of the host, at another place; can be given again
    #[arg(long, value_name = "SRC:DST[:ro]", value_parser = values::bind)]
    pub(crate) bind: Vec<Bind>,
    /// Mount a temporary filesystem; can be given again
    #[arg(long, value_name = "DST[:SIZE]", value_parser = values::tmpfs)]
    pub(crate) tmpfs: Vec<Tmpfs>,
    /// Give the task a device; can be given again
    #[arg(long, value_name = "PATH")]
    pub(crate) device: Vec<PathBuf>,
}

/// What the task starts with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Environment and streams")]
pub(crate) struct Surroundings {
    /// Set a variable of the task's environment, which has only PATH otherwise; without =VALUE it is copied from here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = value_parser!(OsString))]
    pub(crate) env: Vec<OsString>,
    /// Set the variables in FILE, one NAME=VALUE a line; --env comes after it
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Start in this directory, as the task sees it
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Read from this file of the host; by default run passes its own input, and start gives none
    #[arg(long, value_name = "PATH")]
    pub(crate) stdin: Option<PathBuf>,
    /// Write to this file of the host, emptied first; by default run passes its own output, and start keeps it for logs
    #[arg(long, value_name = "PATH")]
    pub(crate) stdout: Option<PathBuf>,
    /// Complain to this file of the host, emptied first
    #[arg(long, value_name = "PATH")]
    pub(crate) stderr: Option<PathBuf>,
    /// Keep these permission bits from the task's new files: 022
    #[arg(long, value_name = "OCTAL")]
    pub(crate) umask: Option<Umask>,
    /// Schedule the task with this niceness, -20 to 19
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) nice: Option<Nice>,
    /// Add this to the task's badness when memory runs out, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<OomScoreAdj>,
    /// Ask the task to end by this signal; by default TERM
    #[arg(long, value_name = "SIGNAL", value_parser = values::signal)]
    pub(crate) stop_signal: Option<Signal>,
}

/// How it is run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Behaviour")]
pub(crate) struct Behaviour {
    /// Name the task; random if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<TaskName>,
    /// Run it with this plugin or not at all ($EXECUTOR_PLUGIN)
    #[arg(long, value_name = "NAME")]
    pub(crate) plugin: Option<PluginName>,
    /// Run with less than was asked for where that cannot be had, and say so
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// Kill the task when this command is gone, however that ended
    #[arg(long)]
    pub(crate) die_with_host: bool,
    /// Read the whole task from FILE, JSON or TOML; other options come on top of it
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// Print what would run, by which plugin and with what, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
