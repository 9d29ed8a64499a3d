//! System calls of a start fail: it refuses with a reason and leaves nothing, or the call did not matter.

use std::time::Instant;

use executor_api::{Cause, Ended};
use executor_loader::executor_api;
use executor_tests::say;
use libtest_mimic::{Failed, Trial};

use crate::expect::{LONG, same, truth, until};
use crate::host::Host;
use crate::place::Place;
use crate::trace::{Stage, Who, traced};

/// Whose calls fail, which (a name with a mark need not be known on this machine), with what, and up to which time.
const FAULTS: &[(Who, &str, &str, usize)] = &[
    (Who::Host, "socketpair", "EMFILE", 1),
    (Who::Host, "?clone,?clone3,?fork,?vfork", "EAGAIN", 1),
    (Who::Host, "?clone,?clone3,?fork,?vfork", "ENOMEM", 1),
    (Who::Host, "?pipe,pipe2", "EMFILE", 2),
    (Who::Host, "sendmsg", "ENOBUFS", 1),
    (Who::Host, "execve", "ENOMEM", 1),
    (Who::Host, "execve", "EACCES", 1),
    (Who::Supervisor, "?mkdir,mkdirat", "ENOSPC", 3),
    (Who::Supervisor, "?mkdir,mkdirat", "EACCES", 3),
    (Who::Supervisor, "?mknod,mknodat", "ENOSPC", 2),
    (Who::Supervisor, "flock", "ENOLCK", 1),
    (Who::Supervisor, "flock", "EAGAIN", 1),
    (Who::Supervisor, "openat", "EMFILE", 24),
    (Who::Supervisor, "?pipe,pipe2", "EMFILE", 1),
    (Who::Supervisor, "socketpair", "EMFILE", 1),
    (Who::Supervisor, "?clone,?clone3,?fork,?vfork", "EAGAIN", 1),
    (Who::Supervisor, "write", "ENOSPC", 4),
    (Who::Supervisor, "?rename,?renameat,renameat2", "EIO", 2),
    (Who::Supervisor, "execve", "ENOMEM", 1),
    (Who::Supervisor, "execve", "EACCES", 1),
    (Who::Supervisor, "setgroups", "EPERM", 1),
    (Who::Supervisor, "setgid", "EPERM", 1),
    (Who::Supervisor, "setuid,setresuid", "EPERM", 3),
    (Who::Supervisor, "prctl", "EPERM", 3),
    (Who::Supervisor, "setsid", "EPERM", 2),
    (Who::Supervisor, "chdir", "EACCES", 2),
    (Who::Supervisor, "?dup2,dup3", "EMFILE", 4),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![traced("a_start_whose_calls_fail_refuses_or_runs", faults)]
}

/// What came of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Ran,
    /// It ran, and its end could not be recorded.
    Unrecorded,
}

fn faults() -> Result<(), Failed> {
    let stage = Stage::new()?;
    let place = stage.place()?;
    let begun = Instant::now();
    let (mut fates, mut failures) = (Vec::new(), Vec::new());
    for (who, calls, errno, most) in FAULTS {
        for nth in 1..=*most {
            let which = format!("f{}", fates.len() + failures.len());
            let fault = format!("-e inject={calls}:error={errno}:when={nth}");
            match tried(&stage, &place, *who, &which, &fault) {
                Ok(fate) => fates.push(fate),
                Err(error) => {
                    failures.push(format!("{who:?} {fault}: {}", error.message().unwrap_or("?")));
                    place.collect()?;
                }
            }
        }
    }
    let [refused, ran, unrecorded] =
        [Fate::Refused, Fate::Ran, Fate::Unrecorded].map(|fate| fates.iter().filter(|found| **found == fate).count());
    let took = begun.elapsed();
    say(&format!(
        "5. {} injected errors in {took:?}: {refused} refused, {ran} ran, {unrecorded} unrecorded",
        fates.len()
    ));
    truth(failures.is_empty(), || failures.join("\n"))?;
    place.clean()
}

fn tried(stage: &Stage, place: &Place, who: Who, which: &str, fault: &str) -> Result<Fate, Failed> {
    // Programs that are executed have calls of their own, which do not matter here.
    let bound = if fault.contains("execve") { "" } else { "-b execve " };
    let options = format!("{bound}-o /dev/null {fault}");
    let mut host = match who {
        Who::Host => Host::under(place, &stage.host_prefix(&format!("-f {options}")))?,
        Who::Supervisor => {
            stage.trace_supervisor(place, which, &options)?;
            Host::new(place)?
        }
    };
    let answer = host.ask(&format!("start {which} echo ran >WORK/{which}; exit 7"))?;
    if answer.starts_with("refused Some(") {
        truth(answer.contains(": "), || format!("no reason: {answer}"))?;
        host.rest()?;
        until("the supervisor is gone", || place.processes(which).is_empty().then_some(()))?;
        truth(!place.work(which).exists(), || format!("it ran, and then: {answer}"))?;
        truth(place.no_record(), || format!("a record is left behind: {answer}"))?;
        return Ok(Fate::Refused);
    }
    truth(answer.starts_with("started "), || format!("the host says {answer:?}"))?;
    let outcome = place.open(which)?.wait_timeout(LONG)?.ok_or("it does not end")?;
    host.rest()?;
    same("it ran", place.work(which).exists(), true)?;
    place.collect()?;
    match (outcome.ended, outcome.cause) {
        (Ended::Exited(7), Cause::Own) => Ok(Fate::Ran),
        (Ended::Unknown, Cause::Lost) => Ok(Fate::Unrecorded),
        other => Err(format!("the end: {other:?}").into()),
    }
}
