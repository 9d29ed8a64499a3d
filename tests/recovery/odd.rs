//! Odd kernels, odd hosts and full disks: what a start or an end meets only there, made here by strace(1) or by a namespace.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use executor_api::record::State;
use executor_api::{Cause, Ended, LogLevel, TaskId, units::Signal};
use executor_loader::Loader;
use executor_loader::executor_api;
use executor_tests::{Need, say, trial};
use libtest_mimic::{Completion, Failed, Trial};
use nix::libc;

use crate::expect::{LONG, PROMPT, ended, same, truth, until};
use crate::host::Host;
use crate::place::Place;
use crate::processes;
use crate::trace::{Stage, traced};

/// How many orders are given to supervisors that come and go.
const ORDERS: usize = 50_000;
/// Whose children the threads of the kernel are.
const KTHREADD: i32 = 2;
/// Where a process says which number the next one of its namespace gets.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_order_to_a_supervisor_that_is_gone_does_not_end_the_host", &[Need::Built], orders),
        among("numbers_of_a_foreign_proc_are_not_signalled", foreign_proc),
        traced("an_end_that_cannot_be_recorded_is_told_to_the_host_and_its_log", unrecorded),
        traced("a_task_ends_with_its_host_on_a_kernel_without_pidfds", without_pidfds),
        traced("a_start_that_hangs_in_the_directory_can_be_stopped_by_another", slow_directory),
        traced("a_host_that_is_killed_while_a_start_hangs_leaves_nothing", slow_and_alone),
    ]
}

fn orders() -> Result<(), Failed> {
    let place = Place::new()?;
    let task = place.start("one", "exec sleep 1000")?;
    let mut host = Host::new(&place)?;
    same("the host", host.ask(&format!("orders {}", place.id("one")))?.as_str(), "watching")?;
    processes::end(place.supervisor("one")?);
    ended(&task.wait()?, Ended::Unknown, Cause::Lost)?;
    let answer = host.line()?;
    truth(answer.starts_with("taken "), || format!("the host says {answer:?}, and was ended by a signal if nothing"))?;
    drop((task, host));
    place.clean()?;
    say(&format!("10. {ORDERS} orders to supervisors that come and go, SIGPIPE at its default: {answer}"));
    Ok(())
}

/// In a host: gives orders to a task whose supervisor is gone, while others come and go. A signal ends it as any program.
pub(crate) fn give_orders(place: &Place, id: &TaskId) {
    default_sigpipe();
    let State::Running(watch) = place.state.find(id).expect("recorded").state else { panic!("it runs") };
    say("watching");
    watch.wait(Some(LONG)).expect("no error").expect("its supervisor is killed");
    let control = place.base.join("state/tasks").join(id.to_string()).join("control");
    let over = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Opened and closed: as by a supervisor that is killed between the two acts of whoever gives an order.
                let reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&control);
                drop(reader.expect("it is there"));
            }
        });
        let taken = (0..ORDERS).filter(|_| watch.order(b"x").expect("taken, or nobody is there")).count();
        over.store(true, Ordering::Relaxed);
        taken
    });
    say(&format!("taken {taken}"));
}

#[expect(unsafe_code, reason = "the Rust runtime ignores the signal, hosts in other languages do not")]
fn default_sigpipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default disposition runs no code of this process.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.expect("it can be set");
}

/// A trial that needs a kernel thread with a number to choose in a pid namespace of its own.
fn among(name: &str, test: fn(i32) -> Result<(), Failed>) -> Trial {
    let own_name = name.to_owned();
    Trial::ignorable_test(name, move || {
        let met = [Need::Built, Need::Root].into_iter().all(Need::is_met) && fs::metadata(LAST_PID).is_ok();
        let number = kernel_thread().filter(|_| met && processes::succeeds("unshare", &["--pid", "--fork", "true"]));
        if let Some(number) = number {
            return test(number).map(|()| Completion::Completed);
        }
        let reason = "needs built, root, unshare, kernel threads to see, and numbers of processes that can be chosen";
        say(&format!("skipped: {own_name}: {reason}"));
        Ok(Completion::ignored_with(reason))
    })
}

/// A host in a pid namespace of its own that still sees the /proc of this one. Its supervisor has the number that the
/// kernel's own thread has here, so the threads of the kernel seem to be its children; a stranger has one of their numbers.
fn foreign_proc(number: i32) -> Result<(), Failed> {
    let place = Place::new()?;
    let words = ["unshare", "--pid", "--fork", "--kill-child"].map(OsString::from);
    let mut host = Host::under(&place, &words)?;
    let answer = host.ask(&format!("foreign {number}"))?;
    same("the host", answer.as_str(), "the stranger lives")?;
    host.rest()?;
    place.clean()?;
    say(&format!("10. a foreign /proc says that {number} is a child: the stranger with that number lives"));
    Ok(())
}

/// The number of a thread of the kernel that no process of a fresh namespace has by itself.
fn kernel_thread() -> Option<i32> {
    let numbers = processes::children(KTHREADD);
    numbers.into_iter().filter(|number| *number > 100).min()
}

/// In a host that is the first process of its namespace: starts a stranger with this number, and a task that ends.
pub(crate) fn among_strangers(place: &Place, number: i32) {
    let next = |number: i32| fs::write(LAST_PID, (number - 1).to_string()).expect("the next number can be chosen");
    // Asked now: what the loader starts has numbers as well.
    place.shell("none", "true").choose(&place.loader).expect("a plugin");
    place.open("none").expect_err("the plugin is loaded");
    next(number);
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().expect("a stranger");
    assert_eq!(stranger.id(), number.unsigned_abs(), "the number was free");
    next(KTHREADD);
    let task = place.start("one", "exec sleep 1000").expect("it starts");
    assert_eq!(place.supervisor("one").expect("recorded"), KTHREADD, "the number was free");
    task.kill().expect("it is killed");
    task.wait().expect("an end");
    // The supervisor's last round is over with its own end.
    until("it is gone", || place.state.collect(task.id()).ok()).expect("it lets go");
    drop(task);
    let gone =
        || place.open("none").is_err() && nix::sys::signal::kill(nix::unistd::Pid::from_raw(KTHREADD), None).is_err();
    until("its supervisor is gone", || gone().then_some(())).expect("it ends");
    let lives = stranger.try_wait().expect("it is ours").is_none();
    say(if lives { "the stranger lives" } else { "the stranger was killed" });
    stranger.kill().and_then(|()| stranger.wait()).expect("it was there");
}

fn unrecorded() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    // The first of these writes takes the room for the end, the second is the end.
    stage.trace_supervisor(&place, "one", "-o /dev/null -e inject=pwrite64:error=ENOSPC:when=2")?;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let lines = Arc::clone(&lines);
        move |level: LogLevel, line: &str| lines.lock().expect("no panic under it").push((level, line.to_owned()))
    };
    let loader = Loader::builder().search_only([place.plugins.clone()]).prober(place.plugins.join("executor-probe"));
    let loader = loader.no_cache().state_dir(place.base.join("state")).log(sink).build()?;
    let task = place.shell("one", "exit 7").start(&loader)?;
    ended(&task.wait()?, Ended::Exited(7), Cause::Own)?;
    ended(&task.wait()?, Ended::Exited(7), Cause::Own)?;
    ended(&place.open("one")?.wait_timeout(LONG)?.ok_or("it runs")?, Ended::Unknown, Cause::Lost)?;
    let lines = lines.lock().map_err(|_| "a panic in the log")?.clone();
    let [(LogLevel::Warn, line)] = &lines[..] else { return Err(format!("the log: {lines:?}").into()) };
    for words in [&*place.id("one").to_string(), "exited with code 7", "No space left", "lost"] {
        truth(line.contains(words), || format!("{words:?} is not in {line:?}"))?;
    }
    drop(task);
    until("its supervisor is gone", || place.processes("one").is_empty().then_some(()))?;
    // By the plugin that has started it, with its next act.
    let reaped = || loader.open(&place.id("nobody")).is_err() && processes::zombies().is_empty();
    until("it is reaped", || reaped().then_some(()))?;
    place.clean()?;
    say(&format!("10. a full disk at the end: the host knows, the record says lost, the log: {line}"));
    Ok(())
}

fn without_pidfds() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    stage.trace_supervisor(&place, "one", "-o /dev/null -e inject=pidfd_open:error=ENOSYS")?;
    let mut host = Host::new(&place)?;
    host.ask("bound one echo $$ >WORK/ready; exec sleep 1000")?;
    let main: i32 = place.written("ready")?.parse()?;
    let task = place.open("one")?;
    same("it lives with its host", task.wait_timeout(Duration::from_millis(300))?, None)?;
    host.kill()?;
    ended(&task.wait_timeout(LONG)?.ok_or("it outlives its host")?, Ended::Signalled(Signal::KILL), Cause::Stopped)?;
    truth(!processes::lives(main), || "its process lives on".into())?;
    place.clean()?;
    say("10. without pidfd_open: a task that must not outlive its host does not");
    Ok(())
}

/// A start that hangs in the change of directory, and the host that waits for it.
fn slow_start(stage: &Stage, place: &Place) -> Result<Host, Failed> {
    // The first of the supervisor, and then the first of its child, which is counted by itself.
    let log = place.work("chdir");
    let options = format!("-o {} -e trace=chdir -e inject=chdir:delay_enter=2000000:when=1", log.display());
    stage.trace_supervisor(place, "one", &options)?;
    let mut host = Host::new(place)?;
    host.order("start one touch WORK/ran; exec sleep 1000")?;
    until("it hangs", || fs::read_to_string(&log).ok().filter(|text| text.matches("chdir(").count() >= 2))?;
    Ok(host)
}

fn slow_directory() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    let mut host = slow_start(&stage, &place)?;
    let (task, begun) = (place.open("one")?, Instant::now());
    task.kill()?;
    let answer = host.line()?;
    truth(begun.elapsed() < PROMPT, || format!("the start returned after {:?}", begun.elapsed()))?;
    truth(answer.starts_with("refused Some(Busy)"), || format!("the host says {answer:?}"))?;
    // Whether the tracer lets go of the child in time to be seen is its own affair.
    same("the cause", task.wait_timeout(LONG)?.map(|outcome| outcome.cause), Some(Cause::Stopped))?;
    drop((task, host));
    place.clean()?;
    say("10. a working directory that does not answer: stopped by another");
    Ok(())
}

/// Nobody has been told that the task runs, and nobody can be any more.
fn slow_and_alone() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    slow_start(&stage, &place)?.kill()?;
    until("nothing is left", || (place.processes("one").is_empty() && place.no_record()).then_some(()))?;
    same("it ran", place.work("ran").exists(), false)?;
    place.clean()?;
    say("10. a host killed while a start hangs: no task, no record");
    Ok(())
}
