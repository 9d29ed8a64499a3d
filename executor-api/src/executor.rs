//! One task, as an author sees it: the seed's verbs, and what executors have grown since.
//!
//! # The seed's operations
//!
//! | seed | here |
//! |---|---|
//! | `Limit(resources)` | [`Executor::limit`] |
//! | `ConfigureTaskDir(name, alloc)` | [`Executor::configure_task_dir`] |
//! | `Start` | [`Executor::start`] |
//! | `Open(id)` | [`Plugin::open`](crate::Plugin::open) |
//! | `Wait` | [`Executor::wait`], [`Executor::exit_handle`] |
//! | `ID` | the id that [`Plugin::create`](crate::Plugin::create) was given |
//! | `Shutdown` | [`Executor::shutdown`] |
//! | `ForceStop` | [`Executor::force_stop`] |
//! | `Command` | [`Executor::command`] |

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::limits::Resources;
use crate::outcome::Outcome;
use crate::spec::{StdioFds, TaskSpec};
use crate::support::Applied;
use crate::task_dir::TaskDir;
use crate::units::Signal;
use crate::usage::Usage;

/// One task: made empty by [`Plugin::create`](crate::Plugin::create), or found again by
/// [`Plugin::open`](crate::Plugin::open).
///
/// Every method takes `&self` and may be called from any thread at any time: `wait` blocks in one thread while
/// `shutdown` runs in another. The glue that [`export_executor!`](crate::export_executor) writes around an
/// implementation keeps the order (`limit` once, then `configure_task_dir`, then `start` once), checks every document,
/// refuses demands that the plugin's own capabilities do not cover, and turns a panic into an error; an implementation
/// need not.
///
/// # Examples
///
/// The crate's documentation has a [whole plugin](crate#examples); the methods that a task must have:
///
/// ```
/// use executor_api::{Cause, Ended, Executor, Outcome, Resources, Result, StdioFds, TaskSpec};
/// use std::time::Duration;
///
/// /// Ends before it starts: the least that is a task.
/// struct Nothing;
///
/// impl Executor for Nothing {
///     fn limit(&self, _: &Resources) -> Result<()> { Ok(()) }
///     fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> { Ok(()) }
///     fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> {
///         Ok(Some(Outcome::new(Ended::Exited(0), Cause::Own)))
///     }
///     fn shutdown(&self, _: Duration) -> Result<()> { Ok(()) }
///     fn force_stop(&self) -> Result<()> { Ok(()) }
/// }
/// # assert!(Nothing.wait(None).unwrap().unwrap().success());
/// ```
pub trait Executor: Send + Sync + 'static {
    /// Takes the limits of the task, before it starts: the only way in for limits.
    ///
    /// An empty document is valid and limits nothing. Called once; the document is checked and covered by the plugin's
    /// capabilities, or its [`enforcement`](Resources::enforcement) is best effort.
    ///
    /// # Errors
    ///
    /// Whatever makes a limit impossible that the capabilities promised: the task then does not start.
    fn limit(&self, resources: &Resources) -> Result<()>;

    /// Takes the task's directory, before it starts.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default: glue refuses it before that where `task_dir` is not among the capabilities.
    fn configure_task_dir(&self, dir: &TaskDir) -> Result<()> {
        let _unused = dir;
        Err(Error::unsupported("configure_task_dir"))
    }

    /// Starts the task, with `fds` for the streams that `spec` calls passed.
    ///
    /// On return the program has been executed: a program that is not there is an error here, not an exit code. On an
    /// error nothing runs and nothing is left.
    ///
    /// # Errors
    ///
    /// `NotFound` (`ENOENT`) and `NotExecutable` (`EACCES`, `ENOEXEC`) for the program and for nothing else: hosts answer
    /// them with 127 and 126. `InvalidSpec` that names it for a user, group, directory or file that is not there, `Exists`
    /// for an id that is taken, and what the system says.
    fn start(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<()>;

    /// Waits until the task has ended, at most `timeout` (none: for ever, zero: not at all); `None` when it still runs.
    ///
    /// Any number of callers, any number of times: every one gets the same outcome.
    ///
    /// # Errors
    ///
    /// What keeps the outcome from being known; an outcome that nobody saw is no error but
    /// [`Cause::Lost`](crate::Cause::Lost).
    fn wait(&self, timeout: Option<Duration>) -> Result<Option<Outcome>>;

    /// A descriptor of the caller's own that polls readable, for good, once the task has ended.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default: hosts then wait in a thread.
    fn exit_handle(&self) -> Result<OwnedFd> {
        Err(Error::unsupported("exit_handle"))
    }

    /// Asks the task to end, waits for `grace`, then does what [`force_stop`](Self::force_stop) does; returns once the
    /// task has ended. A task that has ended already is no error. Zero grace kills at once.
    ///
    /// # Errors
    ///
    /// What kept the stop from being carried out.
    fn shutdown(&self, grace: Duration) -> Result<()>;

    /// Kills the whole tree of the task, without waiting for anything to be cleaned up. A task that has ended already is
    /// no error, and one that never started ends with this.
    ///
    /// # Errors
    ///
    /// What kept the kill from being carried out.
    fn force_stop(&self) -> Result<()>;

    /// The command as it was executed, program first.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default: for a task that this process started, the glue then answers from the spec.
    fn command(&self) -> Result<Vec<OsString>> {
        Err(Error::unsupported("command"))
    }

    /// What the task really got of what it demanded.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default: for a task that this process started, the glue then answers from the plugin's
    /// capabilities, which is right for a plugin whose promises hold.
    fn applied(&self) -> Result<Applied> {
        Err(Error::unsupported("applied"))
    }

    /// What the task uses now, or used in all once it has ended.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn stats(&self) -> Result<Usage> {
        Err(Error::unsupported("stats"))
    }

    /// Sends `signal` to the task's main process.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default; `NotFound` when the task has ended.
    fn signal(&self, signal: Signal) -> Result<()> {
        let _unused = signal;
        Err(Error::unsupported("signal"))
    }

    /// Changes the limits of the running task to `resources`; what is absent in it stays as it is.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default, and for a limit that cannot change while the task runs: nothing has changed then.
    fn update(&self, resources: &Resources) -> Result<()> {
        let _unused = resources;
        Err(Error::unsupported("update"))
    }

    /// Stops every process of the task where it stands.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn pause(&self) -> Result<()> {
        Err(Error::unsupported("pause"))
    }

    /// Lets a paused task go on.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    fn resume(&self) -> Result<()> {
        Err(Error::unsupported("resume"))
    }

    /// Runs another command inside the running task, under the same isolation and limits; it ends with the task.
    ///
    /// What comes back is itself a task, without an id: it can be waited for, signalled and stopped.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default; else as [`start`](Self::start).
    fn exec(&self, spec: &TaskSpec, fds: StdioFds<'_>) -> Result<Box<dyn Executor>> {
        let _unused = (spec, fds);
        Err(Error::unsupported("exec"))
    }

    /// Carries out an operation that this version of the interface has no method for: the door for later verbs and for
    /// those of one plugin. `request` and the answer are JSON.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default, and for an operation that the plugin does not know.
    fn call(&self, operation: &str, request: &str) -> Result<String> {
        let _unused = request;
        Err(Error::unsupported(operation))
    }
}
