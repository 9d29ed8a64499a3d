//! What both sides compile, held against each other; and the helper's pure parts, held against the interface's own code.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use executor_api::record::{Record as TaskRecord, StateDir};
use executor_api::units::Bytes;
use executor_api::{Cause, ErrorKind, Outcome, Resources, TaskSpec, Usage};

use super::end::{self, ROOM, number_behind};
use super::reply::{Done, Reply, Stage, Why};
use super::script::Script;
use super::times::Times;
use super::wire::{Act, Head, NEVER, NO_SLOT, Order, Record};
use crate::plan::{Groups, Owner, Plan, Request, Support, plan};

/// What the interface's own code writes for an end.
fn written(outcome: &Outcome, usage: &Usage) -> Vec<u8> {
    let place = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(place.path().join("state")).expect("a state directory");
    let id = "linux.end".parse().expect("an id");
    let mut live = state.create(&id).and_then(|draft| draft.commit(&TaskRecord::new(&id))).expect("a record");
    live.end(outcome, usage).expect("an end");
    fs::read(place.path().join("state/tasks/linux.end/outcome.json")).expect("the end")
}

#[test]
fn the_helpers_end_is_byte_for_byte_the_records() {
    let causes = [
        (Why::Own, Cause::Own),
        (Why::Stopped, Cause::Stopped),
        (Why::TimedOut, Cause::TimedOut),
        (Why::Oom, Cause::Oom),
    ];
    let statuses = [0, 7 << 8, 255 << 8, 9, 15, 64, 6 | 0x80, 11 | 0x80];
    for ((why, cause), status) in causes.into_iter().flat_map(|cause| statuses.map(|status| (cause, status))) {
        for (started_ms, finished_ms) in [(0, 0), (1_700_000_000_123, 1_700_000_001_000), (9, 253_402_300_799_999)] {
            let mut outcome = Outcome::from_status(ExitStatus::from_raw(status), cause);
            let time = |ms| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
            (outcome.started, outcome.finished) = (time(started_ms), time(finished_ms));
            let mut usage = Usage::default();
            (usage.cpu_user, usage.cpu_system) = (Some(Duration::from_millis(1234)), Some(Duration::ZERO));
            (usage.memory_peak, usage.oom_kills) = (Some(Bytes::new(u64::MAX)), Some(u64::from(status.unsigned_abs())));
            let mut figures = end::Usage::default();
            (figures[end::CPU_USER], figures[end::CPU_SYSTEM]) = (Some(1234), Some(0));
            (figures[1], figures[end::OOM_KILLS]) = (Some(u64::MAX), usage.oom_kills);
            let mut room = [0; ROOM];
            end::write(&mut room, &Done { status, why, unrecorded: 0, started_ms, finished_ms }, &figures);
            let (ours, theirs) = (String::from_utf8_lossy(&room), written(&outcome, &usage));
            assert_eq!(ours, String::from_utf8_lossy(&theirs));
        }
    }
}

#[test]
fn an_end_fits_into_its_room_whatever_is_in_it() {
    let done = Done { status: 255 << 8, why: Why::TimedOut, unrecorded: 0, started_ms: NEVER, finished_ms: NEVER };
    let mut room = [0; ROOM];
    end::write(&mut room, &done, &[Some(u64::MAX); 10]);
    assert!(room.ends_with(b"\n  ") || room.ends_with(b"    "), "the sum is in it: {}", String::from_utf8_lossy(&room));
}

#[test]
fn figures_are_found_in_the_files_of_groups() {
    let events = b"low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
    assert_eq!(number_behind(events, b"oom_kill"), Some(2));
    assert_eq!(number_behind(events, b"oom"), Some(3));
    assert_eq!(number_behind(events, b"max"), None);
    assert_eq!(number_behind(b"12345\n", b""), Some(12345));
    assert_eq!(number_behind(b"max\n", b""), None);
    assert_eq!(number_behind(b"", b""), None);
    assert_eq!(number_behind(b"8:0 Read 5\n8:16 Read 6\nTotal 11\n", b"8:0 Read"), Some(5));
    assert_eq!(number_behind(b"99999999999999999999999 x", b""), Some(u64::MAX));
}

fn planned(spec: &TaskSpec, groups: &Groups) -> Plan {
    let owner = Owner { uid: 1, gid: 2, groups: vec![0xfe, 2] };
    let (resources, directory) = (Resources::default(), Path::new("/"));
    let request = Request { spec, resources: &resources, owner: &owner, binds: &[], directory, groups };
    plan(&request, &Support { ipc: true, hostname: true }).expect("a plan")
}

#[test]
fn a_script_reads_back_step_by_step() {
    let groups = Groups { tasks: 1, birth: true, kill: true, names: vec!["g".into()], ..Groups::default() };
    let mut spec = TaskSpec::new("/bin/echo");
    spec.args = vec!["one".into(), "".into()];
    spec.env.insert("A".into(), "b c".into());
    let plan = planned(&spec, &groups);
    let script = Script::new(&plan).expect("no NUL byte");
    assert_eq!(Head::from_bytes(&script.head.to_bytes()), Some(script.head));
    assert_eq!(script.head.size, script.bytes.len() as u64);
    let mut rest = &script.bytes[..];
    let mut acts = Vec::new();
    while let Some((record, after)) = Record::first(rest) {
        acts.push(record.act);
        match record.act {
            // Reply, four of the record, three streams, the root: then what came late.
            Act::Root => assert_eq!(record.a, 8),
            Act::Group => assert_eq!(record.a, 9),
            Act::KillGroup => assert_eq!(record.a, 11),
            Act::RemoveGroup => assert_eq!((record.a, record.c_text(rest)), (12, Some(c"g"))),
            Act::Groups => assert_eq!(record.text, [0xfe, 0, 0, 0, 2, 0, 0, 0]),
            Act::Execute => {
                assert_eq!([record.a, record.b, record.c], [1, 3, 1]);
                assert!(record.text.ends_with(b"/bin/echo\0/bin/echo\0one\0\0A=b c\0"));
            }
            _ => {}
        }
        rest = after;
    }
    assert!(rest.is_empty());
    let counts = [&plan.supervisor, &plan.child, &plan.end].map(|steps| steps.len() as u64);
    assert_eq!((script.head.counts, acts.len() as u64), (counts, counts.iter().sum()));
    assert_eq!((script.head.birth_group, script.head.host), (10, NO_SLOT));
}

#[test]
fn a_nul_byte_is_refused() {
    let plan = |change: fn(&mut TaskSpec)| {
        let mut spec = TaskSpec::new("/bin/echo");
        change(&mut spec);
        Script::new(&planned(&spec, &Groups::default())).map_err(|error| error.kind()).map(drop)
    };
    assert_eq!(plan(|_| ()), Ok(()));
    assert_eq!(plan(|spec| spec.args.push("a\0b".into())), Err(ErrorKind::InvalidSpec));
    assert_eq!(plan(|spec| spec.cwd = Some("/a\0b".into())), Err(ErrorKind::InvalidSpec));
    assert_eq!(plan(|spec| drop(spec.env.insert("A".into(), "\0".into()))), Err(ErrorKind::InvalidSpec));
}

#[test]
fn a_record_that_is_cut_short_is_none() {
    let script = Script::new(&planned(&TaskSpec::new("true"), &Groups::default())).expect("a script").bytes;
    let (first, rest) = Record::first(&script).expect("a record");
    assert_eq!(first.act, Act::Unshare);
    let length = script.len() - rest.len();
    (0..length).for_each(|end| assert_eq!(Record::first(&script[..end]), None));
    assert_eq!(Record::first(&[0xff; 64]), None);
    assert_eq!(Head::from_bytes(&script), None, "no head");
}

#[test]
fn replies_and_orders_survive_the_socket() {
    let done = Done { status: 9, why: Why::Oom, unrecorded: 28, started_ms: 1, finished_ms: NEVER };
    let failed = Reply::Failed { step: Stage::Died as u32, errno: 2 };
    for reply in [Reply::Supervised, Reply::Started, failed, Reply::Done(done)] {
        assert_eq!(Reply::from_bytes(&reply.to_bytes()), Some(reply));
    }
    assert_eq!(Reply::from_bytes(&[0; Reply::LEN]), None);
    assert_eq!(Reply::from_bytes(b"p"), None);
    for order in [Order::Signal(15), Order::Stop(1500), Order::Kill] {
        assert_eq!(Order::from_bytes(order.to_bytes()), Some(order));
    }
    for bytes in [[0; Order::LEN], [b's'; Order::LEN], [b's', 0, 0, 0, 0, 0, 0, 0, 65]] {
        assert_eq!(Order::from_bytes(bytes), None);
    }
}

#[test]
fn whoever_is_first_gets_the_blame_and_the_shortest_grace_counts() {
    let mut times = Times::new(0, NEVER, 0);
    assert!(!times.kills(5) && !times.asks());
    assert_eq!((times.next_ms(), times.why()), (NEVER, Why::Own));
    times.stop(5, NEVER);
    assert_eq!(times.next_ms(), NEVER, "some graces never end");
    [30, 20, 90].into_iter().for_each(|grace| times.stop(5, grace));
    assert!(times.asks() && !times.asks());
    // The millisecond that has begun does not count.
    assert!(!times.kills(25) && times.kills(26) && !times.kills(99));
    let mut limited = Times::new(0, 10, 30);
    assert!(!limited.kills(10) && !limited.asks(), "not before its limit");
    assert!(!limited.kills(11) && limited.asks());
    assert_eq!((limited.next_ms(), limited.why()), (42, Why::TimedOut));
    limited.stop(11, 5);
    assert!(!limited.asks() && !limited.kills(16) && limited.kills(17), "it was asked");
    assert_eq!(limited.why(), Why::TimedOut);
    let mut at_once = Times::new(0, NEVER, 0);
    at_once.stop(1, 0);
    assert!(at_once.kills(1) && !at_once.asks(), "no grace is no question");
}
