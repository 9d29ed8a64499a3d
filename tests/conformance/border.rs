//! The border's own behaviour: order of calls, strict documents, limits that are refused or enforced, no operation that
//! pretends.

use std::time::Duration;

use executor_api::limits::{Enforcement, IoLimit, Rlimit};
use executor_api::units::{Bytes, CpuMhz, Cpus, IoWeight, Pids, Signal};
use executor_api::{Cause, ErrorKind, Feature, Resources, StdioFds, TaskDir, TaskSpec};
use executor_loader::executor_api;
use libtest_mimic::Failed;

use crate::subject::{Case, Subject, refused, same, shell_spec};

pub(crate) const CASES: &[Case] = &[
    Case { name: "start_without_limit_is_refused", needs: &[], check: start_without_limit },
    Case { name: "limit_counts_once", needs: &[], check: limit_twice },
    Case { name: "nothing_of_a_task_works_before_its_start", needs: &[], check: before_start },
    Case { name: "a_task_starts_once", needs: &[], check: start_twice },
    Case { name: "a_task_stopped_before_its_start_never_starts", needs: &[], check: stopped_before_start },
    Case { name: "unknown_keys_are_refused_by_name", needs: &[], check: unknown_keys },
    Case { name: "documents_that_cannot_be_meant_are_refused", needs: &[], check: bad_documents },
    Case { name: "a_limit_that_is_not_enforced_is_refused_by_name", needs: &[], check: unenforced_limits },
    Case { name: "best_effort_runs_and_lists_what_is_missing", needs: &[], check: best_effort },
    Case { name: "require_isolation_is_met_or_refused", needs: &[], check: required_isolation },
    Case { name: "what_is_not_offered_answers_unsupported", needs: &[], check: not_offered },
    Case { name: "an_unknown_task_cannot_be_opened", needs: &[], check: open_unknown },
    Case { name: "streams_and_descriptors_must_agree", needs: &[], check: stream_mismatch },
    Case { name: "every_gap_has_a_reason", needs: &[], check: reasons },
];

fn start_without_limit(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    let started = task.handle().start(&shell_spec("exit 0"), StdioFds::default());
    refused("start", started, ErrorKind::Busy).map(drop)
}

fn limit_twice(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    refused("limit", task.handle().limit(&Resources::default()), ErrorKind::Busy).map(drop)
}

fn before_start(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    refused("wait", task.handle().wait(Some(Duration::ZERO)), ErrorKind::Busy)?;
    refused("shutdown", task.handle().shutdown(Duration::ZERO), ErrorKind::Busy)?;
    refused("signal", task.handle().signal(Signal::TERM), ErrorKind::Busy)?;
    refused("exit_handle", task.handle().exit_handle(), ErrorKind::Busy).map(drop)
}

fn start_twice(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    task.handle().start(&shell_spec("exit 0"), StdioFds::default())?;
    refused("start", task.handle().start(&shell_spec("exit 1"), StdioFds::default()), ErrorKind::Busy)?;
    let outcome = task.wait()?;
    same("cause", outcome.cause, Cause::Own)
}

fn stopped_before_start(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    task.kill()?;
    let started = task.handle().start(&shell_spec("exit 0"), StdioFds::default());
    refused("start", started, ErrorKind::Busy).map(drop)
}

fn unknown_keys(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    let limits = [r#"{"memory_byte":67108864}"#, r#"{"rlimits":{"core":{"softer":1}}}"#];
    for (json, key) in limits.into_iter().zip(["memory_byte", "softer"]) {
        let error = refused(json, task.handle().limit_json(json), ErrorKind::InvalidSpec)?;
        same("it names the key", error.to_string().contains(key), true)?;
    }
    task.handle().limit(&Resources::default())?;
    for json in [r#"{"program":"/bin/true","no_network":true}"#, r#"{"program":"/bin/true","isolation":{"jail":1}}"#] {
        refused(json, task.handle().start_json(json, StdioFds::default()), ErrorKind::InvalidSpec)?;
    }
    Ok(())
}

fn bad_documents(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    for json in
        ["", "null", "[]", "{", r#"{"memory_bytes":512}"#, r#"{"pids":0}"#, r#"{"cpu_mhz":1}"#, r#"{"swap_bytes":1}"#]
    {
        refused(json, task.handle().limit_json(json), ErrorKind::InvalidSpec)?;
    }
    task.handle().limit(&Resources::default())?;
    let specs = [
        "",
        "{}",
        r#"{"program":""}"#,
        r#"{"program":"/bin/true","args":["a\u0000b"]}"#,
        r#"{"program":"/bin/true","cwd":"here"}"#,
        r#"{"program":"/bin/true","env":[["A=B","c"]]}"#,
        r#"{"program":"/bin/true","stdout":{"file":{"path":"out"}}}"#,
        r#"{"program":"/bin/true","isolation":{"binds":[{"source":"/a","target":"../b"}]}}"#,
    ];
    for json in specs {
        refused(json, task.handle().start_json(json, StdioFds::default()), ErrorKind::InvalidSpec)?;
    }
    Ok(())
}

/// One document for each limit, with the feature that must enforce it.
fn limits() -> Result<Vec<(Feature, Resources)>, Failed> {
    let with = |change: &dyn Fn(&mut Resources)| {
        let mut resources = Resources::default();
        change(&mut resources);
        resources
    };
    let (mhz, weight) = (CpuMhz::new(500)?, IoWeight::new(100)?);
    let (cpus, pids): (Cpus, _) = ("0.5".parse()?, Pids::new(64)?);
    let no_core = Rlimit { soft: Some(0), hard: Some(0) };
    let hour = Some(Duration::from_secs(3600));
    let io = IoLimit { read_iops: Some(1000), ..IoLimit::new("/dev/null") };
    Ok(vec![
        (Feature::Memory, with(&|r| r.memory = Some(Bytes::mib(64)))),
        (Feature::CpuShares, with(&|r| r.cpu_mhz = Some(mhz))),
        (Feature::CpuQuota, with(&|r| r.cpus = Some(cpus))),
        (Feature::Cpuset, with(&|r| r.cpuset = vec![0])),
        (Feature::Pids, with(&|r| r.pids = Some(pids))),
        (Feature::IoWeight, with(&|r| r.io_weight = Some(weight))),
        (Feature::IoRate, with(&|r| r.io = vec![io.clone()])),
        (Feature::Disk, with(&|r| r.disk = Some(Bytes::mib(64)))),
        (Feature::Rlimits, with(&|r| r.rlimits = [("core".to_owned(), no_core)].into())),
        (Feature::CpuTime, with(&|r| r.cpu_time = hour)),
        (Feature::WallTime, with(&|r| r.wall_time = hour)),
    ])
}

fn unenforced_limits(subject: &Subject) -> Result<(), Failed> {
    for (feature, resources) in limits()?.into_iter().filter(|(feature, _)| !subject.states(*feature)) {
        let task = subject.created()?;
        let error = refused(feature.name(), task.handle().limit(&resources), ErrorKind::Unsupported)?;
        same("it names the limit", error.to_string().contains(feature.name()), true)?;
    }
    Ok(())
}

fn best_effort(subject: &Subject) -> Result<(), Failed> {
    for (feature, mut resources) in limits()?.into_iter().filter(|(feature, _)| !subject.states(*feature)) {
        resources.enforcement = Enforcement::BestEffort;
        let task = subject.created()?;
        task.handle().limit(&resources)?;
        let mut spec = shell_spec("exit 0");
        spec.enforcement = Enforcement::BestEffort;
        task.handle().start(&spec, StdioFds::default())?;
        let applied = task.applied()?;
        let listed = applied.not_enforced.iter().any(|missing| missing.feature == feature.name());
        same(&format!("{} is listed", feature.name()), listed, true)?;
        task.wait()?;
    }
    Ok(())
}

fn required_isolation(subject: &Subject) -> Result<(), Failed> {
    let mut spec = shell_spec("exit 0");
    spec.isolation.profile = executor_api::Demand::Required;
    let met = spec.isolation.demands().iter().all(|(feature, _)| subject.states(feature));
    let met = met && spec.demands().iter().all(|(feature, _)| subject.states(feature));
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    let started = task.handle().start(&spec, StdioFds::default());
    if met {
        started?;
        return same("it ends on its own", task.wait()?.cause, Cause::Own);
    }
    refused("start", started, ErrorKind::Unsupported).map(drop)
}

fn not_offered(subject: &Subject) -> Result<(), Failed> {
    let task = subject.start(subject.shell("exec sleep 1000"))?;
    let handle = task.0.handle();
    let unsupported = |feature: Feature, answer: Result<(), executor_api::Error>| match subject.states(feature) {
        true => Ok(()),
        false => refused(feature.name(), answer, ErrorKind::Unsupported).map(drop),
    };
    unsupported(Feature::Stats, handle.stats().map(drop))?;
    unsupported(Feature::Pause, handle.pause())?;
    unsupported(Feature::Pause, handle.resume())?;
    unsupported(Feature::Update, handle.update(&Resources::default()))?;
    unsupported(Feature::Exec, handle.exec(&shell_spec("exit 0"), StdioFds::default()).map(drop))?;
    unsupported(Feature::Signal, handle.signal(Signal::new(28)?))?;
    refused("call", handle.call("surely-no-operation", "{}"), ErrorKind::Unsupported)?;
    let fresh = subject.created()?;
    fresh.handle().limit(&Resources::default())?;
    unsupported(Feature::TaskDir, fresh.handle().configure_task_dir(&TaskDir::new("/tmp")))
}

fn open_unknown(subject: &Subject) -> Result<(), Failed> {
    let id = executor_api::TaskId::new(&subject.name, &executor_api::TaskName::random());
    match subject.loader.open(&id) {
        Ok(_) => Err("a task that nobody started was opened".into()),
        Err(error) => {
            let kind = error.task().map(executor_api::Error::kind);
            let expected = if subject.states(Feature::Reopen) { ErrorKind::NotFound } else { ErrorKind::Unsupported };
            same("the kind", kind, Some(expected))
        }
    }
}

fn stream_mismatch(subject: &Subject) -> Result<(), Failed> {
    let task = subject.created()?;
    task.handle().limit(&Resources::default())?;
    let mut spec: TaskSpec = shell_spec("exit 0");
    spec.stdout = executor_api::Output::Passed;
    match task.handle().start(&spec, StdioFds::default()) {
        Err(error) if [ErrorKind::InvalidSpec, ErrorKind::Unsupported].contains(&error.kind()) => Ok(()),
        other => Err(format!("found {other:?}").into()),
    }
}

fn reasons(subject: &Subject) -> Result<(), Failed> {
    for (name, support) in &subject.capabilities.features {
        let silent = support.level != executor_api::Level::Hard && support.why.is_empty();
        same(&format!("{name} says why"), silent, false)?;
    }
    Ok(())
}
