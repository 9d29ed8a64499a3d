//! Records as they should be, and as they should never be found.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::stat::Mode;

use super::*;
use crate::error::{ErrorKind, Result};
use crate::units::Signal;

pub(super) struct Place {
    _dir: tempfile::TempDir,
    pub(super) state: StateDir,
    pub(super) id: TaskId,
    pub(super) task: PathBuf,
}

pub(super) fn place() -> Place {
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(dir.path().join("state")).expect("a state directory");
    let id: TaskId = "fallback.one".parse().expect("an id");
    let task = dir.path().join("state/tasks/fallback.one");
    Place { _dir: dir, state, id, task }
}

impl Place {
    pub(super) fn live(&self) -> Live {
        self.state.create(&self.id).expect("a draft").commit(&Record::new(&self.id)).expect("a record")
    }

    fn taken(&self) -> ErrorKind {
        let draft = self.state.create(&self.id).expect("a draft");
        draft.commit(&Record::new(&self.id)).expect_err("the id is taken").kind()
    }

    fn kind(&self) -> Option<ErrorKind> {
        self.state.find(&self.id).err().map(|error| error.kind())
    }

    /// A task that has ended with 7.
    pub(super) fn ended() -> Self {
        let place = place();
        place.live().end(&Outcome::new(Ended::Exited(7), Cause::Own), &Usage::default()).expect("an end");
        place
    }

    pub(super) fn end(&self) -> Result<Option<End>> {
        self.state.find(&self.id).map(|found| if let State::Ended(end) = found.state { Some(end) } else { None })
    }
}

#[test]
fn an_id_is_taken_until_it_is_collected() {
    let place = place();
    let draft = place.state.create(&place.id).expect("a draft");
    assert_eq!(place.kind(), Some(ErrorKind::NotFound), "a draft is not found");
    drop(draft);
    let live = place.live();
    assert_eq!(place.taken(), ErrorKind::Exists);
    assert_eq!(place.state.collect(&place.id).expect_err("it runs").kind(), ErrorKind::Busy);
    drop(live);
    assert_eq!(place.taken(), ErrorKind::Exists, "not collected");
    place.state.collect(&place.id).expect("it does not run");
    assert_eq!(place.state.collect(&place.id).expect_err("gone").kind(), ErrorKind::NotFound);
    place.live().discard().expect("nothing is left");
    assert!(!place.task.exists());
}

#[test]
fn the_end_is_the_same_for_every_waiter_and_later_ones() {
    let place = place();
    let mut live = place.live();
    let watches: Vec<_> = (0..10).map(|_| place.state.find(&place.id).expect("found").state).collect();
    let outcome = Outcome::new(Ended::Signalled(Signal::TERM), Cause::Stopped);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = watches
            .iter()
            .map(|state| {
                let State::Running(watch) = state else { panic!("it runs") };
                assert_eq!(watch.wait(Some(Duration::from_millis(5))).expect("a look"), None);
                scope.spawn(|| watch.wait(None))
            })
            .collect();
        live.end(&outcome, &Usage::default()).expect("an end");
        drop(live);
        for waiter in waiting {
            let end = waiter.join().expect("no panic").expect("no error").expect("an end");
            assert_eq!(end.outcome, outcome);
        }
    });
    assert_eq!(place.end().expect("found").expect("ended").outcome, outcome);
}

#[test]
fn a_task_whose_supervisor_is_gone_is_lost() {
    let place = place();
    let live = place.live();
    let State::Running(watch) = place.state.find(&place.id).expect("found").state else { panic!("it runs") };
    drop(live);
    assert_eq!(watch.wait(None).expect("no error").expect("an end").outcome.cause, Cause::Lost);
    assert_eq!(place.end().expect("found").expect("ended").outcome.cause, Cause::Lost);
    assert!(!watch.order(b"x").expect("no error"), "nobody takes orders");
}

#[test]
fn orders_come_whole_and_in_order() {
    let place = place();
    let live = place.live();
    let State::Running(watch) = place.state.find(&place.id).expect("found").state else { panic!("it runs") };
    for order in [b"one", b"two"] {
        assert!(watch.order(order).expect("it is taken"));
    }
    let mut room = [0; 16];
    let read = live.read_orders(&mut room).expect("there are orders");
    assert_eq!(&room[..read], b"onetwo");
    assert_eq!(live.read_orders(&mut room).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn whoever_waits_is_told_the_end_though_the_record_is_collected_and_the_id_taken_again() {
    let place = place();
    let mut first = place.live();
    let State::Running(watch) = place.state.find(&place.id).expect("found").state else { panic!("it runs") };
    first.end(&Outcome::new(Ended::Exited(7), Cause::Own), &Usage::default()).expect("an end");
    drop(first);
    place.state.collect(&place.id).expect("collected");
    let second = place.live();
    assert_eq!(watch.wait(None).expect("no error").expect("an end").outcome.ended, Ended::Exited(7));
    assert!(!watch.order(b"kill").expect("no error"), "an order for the first is not the second's");
    let mut room = [0; 16];
    assert!(second.read_orders(&mut room).is_err(), "nothing came");
}

#[test]
fn damage_is_an_error_or_lost_and_never_another_outcome() {
    let place = Place::ended();
    let path = place.task.join("outcome.json");
    let whole = fs::read(&path).expect("an outcome");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        assert!(place.end().is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).expect("written");
            assert!(place.end().is_err(), "byte {at}, bit {bit}");
        }
    }
    fs::write(&path, vec![0xff; 100_000]).expect("written");
    assert!(place.end().is_err());
    assert_eq!(place.state.list().expect("a list"), std::slice::from_ref(&place.id));
    place.state.collect(&place.id).expect("a damaged record can be collected");
}

#[test]
fn what_is_no_file_of_ours_is_not_read() {
    let outcome = |change: &dyn Fn(&std::path::Path)| {
        let place = Place::ended();
        let path = place.task.join("outcome.json");
        change(&path);
        place.end().map_err(|error| error.kind())
    };
    assert!(outcome(&|_| ()).is_ok());
    let linked = outcome(&|path| {
        fs::rename(path, path.with_extension("new")).expect("rename");
        symlink(path.with_extension("new"), path).expect("a link");
    });
    assert!(linked.is_err(), "a link: {linked:?}");
    let fifo = outcome(&|path| {
        fs::remove_file(path).expect("remove");
        nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("a fifo");
    });
    assert!(fifo.is_err(), "a FIFO: {fifo:?}");
    let open = |mode| {
        move |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod")
    };
    assert_eq!(outcome(&open(0o602)), Err(ErrorKind::Denied));
    assert_eq!(outcome(&open(0o640)), Err(ErrorKind::Denied));
    let foreign = outcome(&|path| {
        if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(path, Some(4242.into()), None).expect("chown");
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("chmod");
        }
    });
    assert_eq!(foreign, Err(ErrorKind::Denied));
}

#[test]
fn unknown_keys_are_ignored_and_other_versions_are_not_guessed() {
    let place = Place::ended();
    let path = place.task.join("record.json");
    let text = fs::read_to_string(&path).expect("a record");
    let json = text.lines().next().expect("a line");
    let rewrite = |from: &str, to: &str| {
        let json = json.replace(from, to);
        fs::write(&path, format!("{json}\n{}", file::sum(&json))).expect("written");
    };
    rewrite("{\"version\":1,", "{\"version\":1,\"later\":{},");
    assert!(place.state.find(&place.id).is_ok());
    rewrite("{\"version\":1,", "{\"version\":2,");
    assert_eq!(place.kind(), Some(ErrorKind::Internal));
    rewrite("fallback.one", "fallback.two");
    assert_eq!(place.kind(), Some(ErrorKind::Internal), "the record of another task");
    for pid in ["1", "-1", "0", "99999999999"] {
        let own = format!("\"pid\":{}", std::process::id());
        rewrite(&own, &format!("\"pid\":{pid}"));
        // Whatever it says, the number is for people: nothing is ever sent to it.
        let ended = place.end().map(|end| end.map(|end| end.outcome.ended));
        assert!(ended.is_err() || ended == Ok(Some(Ended::Exited(7))), "{pid}");
    }
}

#[test]
fn a_directory_that_others_have_rights_on_is_refused_with_the_fix() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    StateDir::open(&path).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    let error = StateDir::open(&path).expect_err("others can look");
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.fix().is_some_and(|fix| fix.starts_with("chmod go=")));
    assert!(StateDir::open("relative").is_err());
}
