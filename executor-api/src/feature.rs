//! The vocabulary that demands and capabilities share: one name for each thing that a plugin may enforce or do.
//!
//! Names in JSON are never changed or used again; a later version adds its own. A host keeps the names of a newer plugin
//! that it does not know, and promises nothing for them.

/// Declares [`Feature`], its names in JSON and the list of all.
macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing that a plugin may be able to enforce or to do, by its name in JSON.
        ///
        /// Example: [support](crate::support#examples).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Feature { $($(#[$doc])* $variant,)* }

        impl Feature {
            /// Every feature of this version, in the order of their documentation.
            ///
            /// Example: [support](crate::support#examples).
            pub const ALL: &'static [Feature] = &[$(Feature::$variant,)*];

            /// The feature's name in JSON and in messages.
            ///
            /// Example: [support](crate::support#examples).
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Feature::$variant => $name,)* }
            }
        }
    };
}

features! {
    /// Memory of the whole task is capped.
    Memory = "memory",
    /// Memory above this is reclaimed first.
    MemorySoft = "memory_soft",
    /// Swap of the whole task is capped.
    Swap = "swap",
    /// Processor time is shared in proportion to the seed's MHz.
    CpuShares = "cpu_shares",
    /// Processor time is capped.
    CpuQuota = "cpu_quota",
    /// The task runs on the given processors only.
    Cpuset = "cpuset",
    /// Processes and threads of the whole task are capped.
    Pids = "pids",
    /// Disk time is shared in proportion.
    IoWeight = "io_weight",
    /// Disk throughput is capped per device.
    IoRate = "io_rate",
    /// What the task writes is capped in size.
    Disk = "disk",
    /// Per-process resource limits are set.
    Rlimits = "rlimits",
    /// Processor time in all is capped.
    CpuTime = "cpu_time",
    /// The task is ended after this much wall-clock time.
    WallTime = "wall_time",
    /// The task's resource groups are made in a given one.
    CgroupParent = "cgroup_parent",
    /// The task runs as another user than the host.
    User = "user",
    /// The task has a user namespace of its own.
    UserNamespace = "user_namespace",
    /// The task sees files of its own and not the host's.
    Files = "files",
    /// A given directory becomes the root.
    RootFilesystem = "root_filesystem",
    /// The task's directory is prepared as in the seed.
    TaskDir = "task_dir",
    /// Host paths are bound into the task's files.
    Binds = "binds",
    /// Temporary filesystems of limited size are mounted.
    Tmpfs = "tmpfs",
    /// Devices beyond the default few are given.
    Devices = "devices",
    /// The task sees and signals its own processes only.
    Processes = "processes",
    /// The task has System V and POSIX IPC of its own.
    Ipc = "ipc",
    /// The task has a hostname of its own.
    Hostname = "hostname",
    /// The task has a network of its own.
    Network = "network",
    /// The task sees its own resource groups only.
    GroupsView = "groups_view",
    /// No program gains rights by being executed.
    NoNewPrivileges = "no_new_privileges",
    /// The task holds the capabilities asked for and no others.
    Capabilities = "capabilities",
    /// System calls are filtered.
    Syscalls = "syscalls",
    /// Abstract sockets, signals and paths outside are out of reach, where the kernel can say so per process.
    Landlock = "landlock",
    /// The task has a keyring of its own.
    Keyring = "keyring",
    /// The working directory is set.
    WorkingDirectory = "working_directory",
    /// The file mode mask is set.
    Umask = "umask",
    /// The niceness is set.
    Nice = "nice",
    /// The out-of-memory score is set.
    OomScoreAdj = "oom_score_adj",
    /// Standard streams can be files that the executor opens.
    StdioFiles = "stdio_files",
    /// Standard streams can be descriptors that the host passes.
    StdioPassed = "stdio_passed",
    /// A signal other than `SIGTERM` asks the task to end.
    StopSignal = "stop_signal",
    /// The task is asked to end at its time limit, and killed some time later.
    Grace = "grace",
    /// The task is killed when the process that started it is gone.
    DieWithHost = "die_with_host",
    /// `exit_handle` gives a descriptor to poll.
    ExitHandle = "exit_handle",
    /// A stop reaches every process of the task, however it hid.
    WholeTree = "whole_tree",
    /// The task and its outcome outlive the host process, and `open` finds them.
    Reopen = "reopen",
    /// `stats` works.
    Stats = "stats",
    /// `signal` works.
    Signal = "signal",
    /// `update` works.
    Update = "update",
    /// `pause` and `resume` work.
    Pause = "pause",
    /// `exec` works.
    Exec = "exec",
}
