//! What the border costs: discovery, one call, one document. `cargo xtask bench border` prints the figures.
//!
//! Needs the plugins built and installed (`EXECUTOR_TEST_PREFIX`), as xtask does it, in release.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use executor_api::{
    Capabilities, Error, Executor, Outcome, PluginName, Resources, Result, StdioFds, TaskId, TaskName, TaskSpec,
};
use executor_loader::{Loader, Task, executor_api};
use executor_tests::{Need, misbehaving, prefix, prober};

/// The same body as the test plugin's, without a border in front of it.
struct Plain;

impl Executor for Plain {
    fn limit(&self, _: &Resources) -> Result<()> {
        Ok(())
    }
    fn start(&self, _: &TaskSpec, _: StdioFds<'_>) -> Result<()> {
        Err(Error::unsupported("start"))
    }
    fn wait(&self, _: Option<Duration>) -> Result<Option<Outcome>> {
        Ok(None)
    }
    fn shutdown(&self, _: Duration) -> Result<()> {
        Ok(())
    }
    fn force_stop(&self) -> Result<()> {
        Ok(())
    }
    fn pause(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {
    assert!(Need::Built.is_met(), "the plugins are not installed: run `cargo xtask bench border`");
    let mut criterion = Criterion::default().configure_from_args();
    discovery(&mut criterion, &prefix().join("lib/executor/1"));
    calls(&mut criterion);
    criterion.final_summary();
}

/// Finds, checks and asks the three plugins, and loads one of them.
fn discovery(criterion: &mut Criterion, installed: &std::path::Path) {
    let cache = tempfile::tempdir().expect("a directory for the cache");
    let state = tempfile::tempdir().expect("a directory for records");
    let look = |cache: Option<PathBuf>| {
        let builder = Loader::builder().search_only([installed.to_owned()]).state_dir(state.path());
        let builder = if let Some(dir) = cache { builder.cache_dir(dir) } else { builder.no_cache() };
        builder.build().expect("a loader")
    };
    let linux = TaskId::new(&PluginName::new("fallback").expect("a name"), &TaskName::random());
    let load = |loader: &Loader| drop(black_box(loader.create(&linux).expect("an empty task")));
    load(&look(Some(cache.path().to_owned())));
    criterion.bench_function("discover_cached", |bencher| bencher.iter(|| load(&look(Some(cache.path().to_owned())))));
    criterion.bench_function("discover_uncached", |bencher| bencher.iter(|| load(&look(None))));
}

/// A method without arguments, behind the border and in front of it, and the largest document.
fn calls(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory for the test plugin");
    let loader = test_plugin(&dir);
    let task = started(&loader);
    criterion.bench_function("border_call", |bencher| bencher.iter(|| task.handle().pause()));
    let plain: Arc<dyn Executor> = black_box(Arc::new(Plain));
    criterion.bench_function("plain_call", |bencher| bencher.iter(|| black_box(&plain).pause()));

    let mut spec = TaskSpec::new("/usr/bin/env");
    for at in 0..40 {
        spec.env.insert(format!("VARIABLE_{at}").into(), "a value of some thirty letters".into());
    }
    let bytes = serde_json::to_string(&spec).expect("a spec serializes").len();
    assert!((1900..2300).contains(&bytes), "the spec is {bytes} bytes long");
    // The task runs already: everything up to the refusal is what a start costs at the border.
    criterion.bench_function("spec_2k", |bencher| {
        bencher.iter(|| task.handle().start(&spec, StdioFds::default()).expect_err("it has been started"));
    });
}

fn test_plugin(dir: &tempfile::TempDir) -> Loader {
    let file = misbehaving("good", "misbehave", dir.path());
    let dir = file.parent().expect("a directory").to_owned();
    Loader::builder().search_only([dir]).prober(prober()).no_cache().build().expect("a loader")
}

fn started(loader: &Loader) -> Task {
    let name = loader.report()[0].name.clone().expect("the test plugin's name");
    let _: &Capabilities = loader.report()[0].capabilities().expect("it is usable");
    let task = loader.create(&TaskId::new(&name, &TaskName::random())).expect("an empty task");
    task.handle().limit(&Resources::default()).expect("no limits");
    task.handle().start(&TaskSpec::new("hang"), StdioFds::default()).expect("it starts");
    task
}
