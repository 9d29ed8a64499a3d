//! What is collected, what is not, and what is said of it.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::outcome::{Cause, Ended, Outcome};
use crate::record::tests::{Place, place};
use crate::record::{Record, State};
use crate::usage::Usage;

#[test]
fn leftovers_of_a_start_that_was_killed_are_collected() {
    let place = place();
    for files in [&[][..], &["lock"], &["lock", "alive", "control", "record.json.new", "outcome.json"]] {
        let leftover = place.task.with_file_name(".new-one");
        fs::create_dir(&leftover).expect("a directory");
        fs::set_permissions(&leftover, fs::Permissions::from_mode(0o700)).expect("chmod");
        for name in files {
            fs::write(leftover.join(name), "half").expect("a file");
            fs::set_permissions(leftover.join(name), fs::Permissions::from_mode(0o600)).expect("chmod");
        }
        assert!(place.state.list().expect("a list").is_empty());
        assert_eq!(place.state.collect_all(), Ok(Collected::default()));
        assert!(!leftover.exists(), "{files:?}");
    }
    let draft = place.state.create(&place.id).expect("a draft");
    assert_eq!(place.state.collect_all(), Ok(Collected::default()));
    let live = draft.commit(&Record::new(&place.id)).expect("what is being made is no leftover");
    drop(live);
}

#[test]
fn what_cannot_be_removed_is_named_and_tried_again_by_the_next() {
    let place = Place::ended();
    fs::write(place.task.join("stranger"), "not of a record").expect("a file");
    let error = place.state.collect(&place.id).expect_err("a file is in the way");
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Internal, Some(Errno::ENOTEMPTY as i32)), "{error}");
    assert!(error.fix().is_some_and(|fix| fix.contains(".gone-")), "{error:?}");
    assert_eq!(place.state.collect(&place.id).expect_err("gone").kind(), ErrorKind::NotFound, "the id is free");
    place.live().end(&Outcome::new(Ended::Exited(0), Cause::Own), &Usage::default()).expect("an end");
    for _ in 0..2 {
        let Collected { removed, left } = place.state.collect_all().expect("a list");
        let [(what, error)] = &left[..] else { panic!("{left:?}") };
        assert!(what.contains(".gone-") && Path::new(what).join("stranger").is_file(), "{what}");
        assert!(error.to_string().starts_with(&format!("remove {what}: ")), "{error}");
        assert!(removed.len() <= 1, "{removed:?}");
    }
    let stuck = fs::read_dir(place.state.tasks).expect("a directory").next().expect("one").expect("readable").path();
    fs::remove_file(stuck.join("stranger")).expect("it is there");
    let state = StateDir::open(stuck.ancestors().nth(2).expect("a state directory")).expect("it is there");
    assert_eq!(state.collect_all(), Ok(Collected::default()));
    assert!(!stuck.exists());
}

#[test]
fn a_task_whose_record_cannot_be_removed_is_told_once_and_the_others_are_collected() {
    let place = Place::ended();
    fs::remove_file(place.task.join("outcome.json")).expect("it is there");
    fs::create_dir(place.task.join("outcome.json")).expect("a directory in its place");
    let other: TaskId = "fallback.other".parse().expect("an id");
    drop(place.state.create(&other).expect("a draft").commit(&Record::new(&other)).expect("a record"));
    let collected = place.state.collect_all().expect("a list");
    assert_eq!(collected.removed, [other]);
    let [(what, error)] = &collected.left[..] else { panic!("{collected:?}") };
    assert_eq!(*what, place.id.to_string());
    assert!(error.to_string().contains("outcome.json") && error.fix().is_some(), "{error}");
}

#[test]
fn a_running_task_is_neither_removed_nor_left() {
    let place = place();
    let live = place.live();
    assert_eq!(place.state.collect_all(), Ok(Collected::default()));
    drop(live);
    let collected = place.state.collect_all().expect("a list");
    assert_eq!(collected.removed, [place.id], "lost tasks are collected");
}

#[test]
fn records_that_are_made_without_a_break_put_leftovers_off_and_that_is_said() {
    let place = Place::ended();
    let making = File::open(&place.state.tasks).expect("a directory");
    let making = Flock::lock(making, FlockArg::LockShared).expect("free");
    let collected = place.state.collect_all().expect("a list");
    assert_eq!(collected.removed, [place.id], "the tasks are collected all the same");
    let [(what, error)] = &collected.left[..] else { panic!("{collected:?}") };
    assert_eq!((Path::new(what), error.kind()), (place.state.tasks.as_path(), ErrorKind::Busy));
    drop(making);
    assert_eq!(place.state.collect_all(), Ok(Collected::default()));
}

#[test]
fn a_stuck_holder_of_the_lock_is_named() {
    let place = Place::ended();
    let dir = Dir::open(&place.task).expect("no error").expect("it is there");
    let mut held = dir.lock(FlockArg::LockExclusiveNonblock).expect("no error").expect("free");
    sign(&mut held, &place.task, "collector").expect("signed");
    let error = place.state.collect(&place.id).expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(place.end().expect("found").expect("ended").outcome.ended, Ended::Exited(7), "it can be read meanwhile");
}

#[test]
fn a_record_that_cannot_be_looked_at_is_not_said_to_be_another_s() {
    let place = Place::ended();
    let dir = Dir::open(&place.task).expect("no error").expect("it is there");
    let file = place.task.join("record.json");
    let unseen = is_at(&dir, &file.join("below")).expect_err("a file is no directory");
    assert_eq!(unseen.errno(), Some(Errno::ENOTDIR as i32), "{unseen}");
    assert_eq!(is_at(&dir, &place.task), Ok(true));
    assert_eq!(is_at(&dir, &place.task.with_file_name("gone")), Ok(false));
    assert_eq!(is_at(&dir, &file), Ok(false), "something else is there");
}

#[test]
fn a_lock_that_cannot_be_read_is_told_and_nothing_is_removed() {
    let place = place();
    let _live = place.live();
    fs::set_permissions(place.task.join("lock"), fs::Permissions::from_mode(0o666)).expect("chmod");
    let error = place.state.collect(&place.id).expect_err("others could have written it");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let left = place.state.collect_all().expect("a list").left;
    assert!(left.len() == 1 && place.task.is_dir(), "{left:?}");
}

/// How often a record is made while others collect.
const ROUNDS: usize = 300;

/// Ends the others when its owner returns or panics: a failure must not leave them running for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn those_who_collect_never_touch_a_live_record() {
    let place = place();
    let (made, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let until = Instant::now() + Duration::from_secs(60);
    let (state, id, made, over) = (&place.state, &place.id, &made, &over);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Busy, gone, collected: whatever it is, it concerns nobody else.
                    _ = state.collect(id);
                    _ = state.collect_all();
                }
            });
        }
        scope.spawn(|| {
            let _over = Over(over);
            while made.load(Ordering::Relaxed) < ROUNDS && Instant::now() < until {
                let draft = state.create(id).expect("a draft");
                let Ok(mut live) = draft.commit(&Record::new(id)) else { continue };
                let State::Running(watch) = state.find(id).expect("a live task is found").state else {
                    panic!("a live task runs")
                };
                live.end(&Outcome::new(Ended::Exited(7), Cause::Own), &Usage::default()).expect("an end");
                drop(live);
                let left = until.saturating_duration_since(Instant::now());
                let end = watch.wait(Some(left)).expect("no error").expect("an end in time");
                assert_eq!(end.outcome.ended, Ended::Exited(7), "never lost, never another's");
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    assert_eq!(made.load(Ordering::Relaxed), ROUNDS, "within a minute");
}
