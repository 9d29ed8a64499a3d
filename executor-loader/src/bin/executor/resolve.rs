//! From words to what the library takes: units, environment, directories, streams.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use executor_loader::executor_api::isolation::{Isolation, Network, Syscalls};
use executor_loader::executor_api::limits::IoLimit;
use executor_loader::executor_api::units::Bytes;
use executor_loader::executor_api::{
    Enforcement, Error as TaskError, ErrorKind, Feature, Identity, Resources, TaskDir, TaskName, TaskSpec,
};
use executor_loader::{Command, Error, Loader, LoaderBuilder, Records, Stdio};

use super::args::Global;
use super::config::Config;
use super::document::{self, Given};
use super::environment::{variable, variables};
use super::options::{Files, Limits, Surroundings, TaskOptions};
use super::report;

/// The plugins of this host, as the options say.
pub(crate) fn loader(global: &Global) -> Result<Loader, Error> {
    builder(global)?.build()
}

/// The same, with every plugin asked anew: for whoever looks at them.
pub(crate) fn fresh_loader(global: &Global) -> Result<Loader, Error> {
    builder(global)?.fresh().build()
}

/// The records of this user's tasks.
pub(crate) fn records(global: &Global) -> Result<Records, Error> {
    Records::open(global.state_dir.as_deref().map(here).transpose()?)
}

fn builder(global: &Global) -> Result<LoaderBuilder, Error> {
    let mut builder = Loader::builder();
    for dir in &global.plugin_path {
        builder = builder.dir(existing(dir)?);
    }
    if let Some(file) = &global.lock_file {
        builder = builder.lock_file(file);
    }
    if let Some(dir) = &global.state_dir {
        builder = builder.state_dir(here(dir)?);
    }
    for file in &global.public_key {
        builder = builder.public_key(file);
    }
    if global.verbose {
        builder = builder.log(|level, line| report::say(&format!("{level:?}: {line}").to_lowercase()));
    }
    Ok(builder)
}

/// A directory that was named: one that is not there must not be passed over.
fn existing(dir: &Path) -> Result<PathBuf, Error> {
    let dir = here(dir)?;
    let missing = || TaskError::invalid(format!("look for plugins in {}", dir.display()), "there is no such directory");
    if dir.is_dir() { Ok(dir) } else { Err(missing().into()) }
}

/// Whether the task stays with this process or is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    Fore,
    Back,
}

/// The task that the options describe.
pub(crate) fn command(options: &TaskOptions, config: &Config, ground: Ground) -> Result<Command, Error> {
    let Given { document, streams } =
        options.behaviour.spec.as_deref().map_or_else(|| Ok(Given::default()), document::task)?;
    let mut command = Command::new("");
    *command.spec_mut() = document.spec;
    *command.resources_mut() = document.resources;
    if let Some((program, args)) = options.command.split_first() {
        command.spec_mut().program.clone_from(program);
        command.spec_mut().args = args.to_vec();
    }
    limits(command.resources_mut(), &options.limits, config)?;
    isolation(command.spec_mut(), options)?;
    surroundings(command.spec_mut(), &options.surroundings)?;
    command.spec_mut().grace = options.limits.grace.or(command.spec_mut().grace);
    command.spec_mut().die_with_host |= options.behaviour.die_with_host;
    connect(&mut command, &options.surroundings, &streams, ground)?;
    let name = options.behaviour.name.clone().or(document.name);
    let dir = directory(&options.files, name.as_ref())?;
    if let Some((dir, name)) = dir {
        command.task_dir(dir);
        name.map(|name| command.name(name));
    } else if let Some(dir) = document.task_dir {
        command.task_dir(dir);
    }
    name.map(|name| command.name(name));
    let plugin = options.behaviour.plugin.clone().or(document.plugin).or_else(|| config.plugin.clone());
    plugin.map(|plugin| command.plugin(plugin));
    if options.behaviour.best_effort {
        command.best_effort();
    }
    require_isolation(&mut command, options, config)?;
    if ground == Ground::Back {
        command.require(Feature::Reopen);
    }
    let strict = command.spec().enforcement == Enforcement::Strict;
    if strict && options.isolation.seccomp == Some(Syscalls::Default) {
        // Part of what is preferred; whoever names it means it.
        command.require(Feature::Syscalls);
    }
    Ok(command)
}

/// Makes the isolation a condition where the options or the settings say so; what contradicts that is refused.
fn require_isolation(command: &mut Command, options: &TaskOptions, config: &Config) -> Result<(), Error> {
    if config.require_isolation == Some(true) && command.spec().enforcement == Enforcement::BestEffort {
        let why = "the settings of this host require the whole isolation";
        return Err(TaskError::new(ErrorKind::Denied, "run with less than was asked for", why).into());
    }
    if options.isolation.require_isolation || config.require_isolation == Some(true) {
        command.require_isolation();
    }
    Ok(())
}

/// Puts `from` into `to` where it is given.
fn over<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
    if from.is_some() {
        to.clone_from(from);
    }
}

fn limits(to: &mut Resources, options: &Limits, config: &Config) -> Result<(), Error> {
    over(&mut to.memory, &options.memory);
    over(&mut to.memory_soft, &options.memory_soft);
    over(&mut to.swap, &options.swap);
    over(&mut to.cpus, &options.cpus);
    over(&mut to.cpu_mhz, &options.cpu_mhz);
    over(&mut to.pids, &options.pids);
    over(&mut to.io_weight, &options.io_weight);
    over(&mut to.disk, &options.disk);
    over(&mut to.wall_time, &options.timeout);
    over(&mut to.cpu_time, &options.cpu_time);
    over(&mut to.cgroup_parent, &options.cgroup_parent);
    to.cgroup_parent = to.cgroup_parent.take().or_else(|| config.cgroup_parent.clone());
    if let Some(cpuset) = &options.cpuset {
        to.cpuset.clone_from(&cpuset.0);
    }
    to.rlimits.extend(options.rlimit.iter().cloned());
    rates(&mut to.io, &options.io_read, |limit| &mut limit.read_bps)?;
    rates(&mut to.io, &options.io_write, |limit| &mut limit.write_bps)
}

/// Puts each rate into the entry of its device, which may be there already for the other direction.
fn rates(
    to: &mut Vec<IoLimit>,
    rates: &[(PathBuf, Bytes)],
    direction: impl Fn(&mut IoLimit) -> &mut Option<Bytes>,
) -> Result<(), Error> {
    for (device, rate) in rates {
        let device = here(device)?;
        let at = to.iter().position(|limit| limit.device == device).unwrap_or_else(|| {
            to.push(IoLimit::new(device));
            to.len() - 1
        });
        *direction(&mut to[at]) = Some(*rate);
    }
    Ok(())
}

fn isolation(to: &mut TaskSpec, options: &TaskOptions) -> Result<(), Error> {
    let (isolation, files) = (&options.isolation, &options.files);
    if let Some(user) = &isolation.user {
        // As a whole: groups that the document gives to another user are not this one's.
        let supplementary = user.group.is_some().then(Vec::new);
        to.identity = Identity { user: Some(user.user.clone()), group: user.group.clone(), supplementary };
    }
    match &isolation.net {
        Some(Network::Namespace(path)) => to.isolation.network = Network::Namespace(here(path)?),
        Some(network) => to.isolation.network = network.clone(),
        None => (),
    }
    match &isolation.seccomp {
        Some(Syscalls::Profile(path)) => to.isolation.syscalls = Syscalls::Profile(here(path)?),
        Some(syscalls) => to.isolation.syscalls = syscalls.clone(),
        None => (),
    }
    over(&mut to.isolation.hostname, &isolation.hostname);
    let capability = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map_or_else(|| name.clone(), str::to_owned)
    };
    to.isolation.capabilities.extend(isolation.cap_add.iter().map(capability));
    mounts(&mut to.isolation, files)
}

fn mounts(to: &mut Isolation, files: &Files) -> Result<(), Error> {
    for bind in &files.bind {
        let mut bind = bind.clone();
        bind.source = here(&bind.source)?;
        to.binds.push(bind);
    }
    to.tmpfs.extend(files.tmpfs.iter().cloned());
    for device in &files.device {
        to.devices.push(here(device)?);
    }
    Ok(())
}

fn surroundings(to: &mut TaskSpec, options: &Surroundings) -> Result<(), Error> {
    for file in &options.env_file {
        to.env.extend(variables(file)?);
    }
    for word in &options.env {
        to.env.extend([variable(word)?]);
    }
    over(&mut to.cwd, &options.workdir);
    over(&mut to.umask, &options.umask);
    over(&mut to.nice, &options.nice);
    over(&mut to.oom_score_adj, &options.oom_score_adj);
    over(&mut to.stop_signal, &options.stop_signal);
    Ok(())
}

/// Connects the streams: an option first, then what the document names, then this process's own or a file for `logs`.
fn connect(command: &mut Command, options: &Surroundings, named: &[&str], ground: Ground) -> Result<(), Error> {
    use executor_loader::executor_api::{Input, Output};
    let own = || if ground == Ground::Fore { Stdio::inherit() } else { Stdio::null() };
    let kept = || if ground == Ground::Fore { Stdio::inherit() } else { Stdio::kept() };
    let spec = command.spec_mut();
    let passed = [spec.stdin == Input::Passed, spec.stdout == Output::Passed, spec.stderr == Output::Passed];
    if ground == Ground::Back && passed.contains(&true) {
        let why = "it names a stream as passed, and `executor start` is gone when the task runs";
        return Err(TaskError::invalid("start the task of the document", why).with_fix("use `executor run`").into());
    }
    let stdin = match (&options.stdin, &spec.stdin) {
        (Some(path), _) => Stdio::path(here(path)?),
        (None, Input::File { path }) => Stdio::path(path),
        (None, Input::Null) if named.contains(&"stdin") => Stdio::null(),
        _ => own(),
    };
    let output = |option: &Option<PathBuf>, said: &Output, name: &str| {
        Ok::<_, Error>(match (option, said) {
            (Some(path), _) => Stdio::path(here(path)?),
            (None, Output::File { path, append: true }) => Stdio::append(path),
            (None, Output::File { path, append: false }) => Stdio::path(path),
            (None, Output::Null) if named.contains(&name) => Stdio::null(),
            _ => kept(),
        })
    };
    let stdout = output(&options.stdout, &spec.stdout, "stdout")?;
    let stderr = output(&options.stderr, &spec.stderr, "stderr")?;
    if let (Some(one), Some(other)) = (&options.stdout, &options.stderr)
        && here(one)? == here(other)?
        && !one.starts_with("/dev")
    {
        let why = "each would write over the other";
        let error = TaskError::invalid(format!("write stdout and stderr to {}", one.display()), why);
        return Err(error.with_fix("name one of them, and let a shell do the rest: sh -c 'exec COMMAND 2>&1'").into());
    }
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    Ok(())
}

/// The task's own directory, and the name that it is built for.
fn directory(files: &Files, name: Option<&TaskName>) -> Result<Option<(TaskDir, Option<TaskName>)>, Error> {
    if let Some(dir) = &files.task_dir {
        return Ok(Some((TaskDir::new(here(dir)?), None)));
    }
    let Some(alloc) = &files.alloc_dir else { return Ok(None) };
    let name = name.cloned().unwrap_or_else(TaskName::random);
    // Where it will be; `begin` makes it.
    Ok(Some((TaskDir::new(here(alloc)?.join(name.as_str())), Some(name))))
}

/// `path` as seen from any directory, without `..`.
pub(crate) fn here(path: &Path) -> Result<PathBuf, Error> {
    let failed = |error: io::Error| {
        // Not found is what is told of programs.
        TaskError::from_io(format!("find {}", path.display()), &error).with_kind(ErrorKind::InvalidSpec)
    };
    if path.as_os_str().is_empty() {
        return Err(TaskError::invalid("use the path \"\"", "it is empty").into());
    }
    let absolute = std::path::absolute(path).map_err(failed)?;
    if absolute.components().all(|part| part != Component::ParentDir) {
        return Ok(absolute);
    }
    // Only the system knows where `..` leads behind a link.
    let (parent, name) = match absolute.file_name() {
        Some(name) => (absolute.parent().unwrap_or(&absolute), name),
        None => (&*absolute, OsStr::new("")),
    };
    let parent = fs::canonicalize(parent).map_err(failed)?;
    Ok(if name.is_empty() { parent } else { parent.join(name) })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Args, Verb};
    use super::*;

    fn options(words: &[&str]) -> TaskOptions {
        let args = Args::try_parse_from([&["executor", "run"], words].concat()).expect("it parses");
        let Verb::Run(run) = args.verb else { panic!("not run") };
        run.options
    }

    fn resolved(words: &[&str]) -> Result<(TaskSpec, Resources), String> {
        let command = command(&options(words), &Config::default(), Ground::Fore);
        let mut command = command.map_err(|error| error.to_string())?;
        Ok((command.spec_mut().clone(), command.resources_mut().clone()))
    }

    #[test]
    fn every_option_of_a_limit_reaches_the_document() {
        let words = "-m 64M --memory-soft 32M --swap 1M --cpus 0.5 --cpu-mhz 500 --cpuset 0-1 --pids 8 --io-weight 20 \
                     --io-read /dev/a=1M --io-write /dev/a=2M --io-write /dev/b=3M --disk 1G --rlimit nofile=8:9 \
                     --timeout 5 --cpu-time 2s --cgroup-parent /x -- make -j4";
        let (spec, resources) = resolved(&words.split_whitespace().collect::<Vec<_>>()).expect("it resolves");
        assert_eq!((spec.program, spec.args), ("make".into(), vec!["-j4".into()]));
        let written = serde_json::to_value(&resources).expect("it serializes");
        assert_eq!(written.as_object().map(serde_json::Map::len), Some(14), "{written}");
        assert_eq!(resources.io.len(), 2);
        assert_eq!((resources.io[0].read_bps, resources.io[0].write_bps), (Some(Bytes::mib(1)), Some(Bytes::mib(2))));
        resources.validate().expect("they fit each other");
    }

    #[test]
    fn an_option_comes_on_top_of_the_document() {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        let text = "[spec]\nprogram = 'make'\nargs = ['-j4']\ncwd = '/usr'\n[spec.env]\nA = '1'\nB = '2'\n[resources]\npids = 8\n";
        fs::write(file.path(), text).expect("write");
        let path = file.path().to_str().expect("a path");
        let (spec, resources) = resolved(&["--spec", path, "-e", "B=3", "--pids", "9"]).expect("it resolves");
        assert_eq!((&*spec.program, spec.cwd), (OsStr::new("make"), Some("/usr".into())));
        assert_eq!((spec.env[OsStr::new("A")].to_str(), spec.env[OsStr::new("B")].to_str()), (Some("1"), Some("3")));
        assert_eq!(resources.pids.map(|pids| pids.get()), Some(9));
        let (spec, _) = resolved(&["--spec", path, "--", "true"]).expect("it resolves");
        assert_eq!((&*spec.program, spec.args.len()), (OsStr::new("true"), 0), "the command is replaced as a whole");
    }

    #[test]
    fn paths_are_meant_from_here_and_names_without_their_prefix() {
        let words = ["--bind", "sub/../x:/x", "--cap-add", "cap_net_admin", "--cap-add", "KILL", "--", "true"];
        assert!(resolved(&words).expect_err("no such directory").contains("sub/../x"));
        let (spec, _) = resolved(&["--bind", "x:/x", "--cap-add", "cap_net_admin", "--", "true"]).expect("it resolves");
        assert_eq!(spec.isolation.binds[0].source, std::env::current_dir().expect("a directory").join("x"));
        assert_eq!(spec.isolation.capabilities.iter().collect::<Vec<_>>(), ["NET_ADMIN"]);
    }
}
