//! Records are damaged, forged and replaced: an error or lost, never another end, and no stranger is harmed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use executor_api::{Cause, ErrorKind, Outcome, units::Signal};
use executor_loader::Task;
use executor_loader::executor_api;
use executor_tests::{Need, say, trial};
use libtest_mimic::{Failed, Trial};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, geteuid, mkfifo};

use crate::expect::{LONG, of_task, same, truth, until};
use crate::place::{Place, TRIAL};
use crate::processes;

const FILES: [&str; 2] = ["record.json", "outcome.json"];
/// A file that nobody may read or write through a record.
const BAIT: &str = "bait";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Need::Built];
    vec![
        trial("a_damaged_record_of_an_ended_task_never_tells_another_end", needs, ended),
        trial("a_damaged_record_of_a_running_task_harms_nobody", needs, running),
        trial("a_record_that_names_a_stranger_harms_nobody", needs, forged),
    ]
}

/// A file of a record as it was, to be put back.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Original {
    fn of(place: &Place, which: &str, file: &str) -> Result<Self, Failed> {
        let path = place.record_dir(which).join(file);
        Ok(Self { bytes: fs::read(&path)?, path })
    }

    /// Puts it back in place of whatever is there.
    fn restore(&self) -> Result<(), Failed> {
        self.put(&self.bytes)
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Failed> {
        // Absent already where a damage has removed it.
        _ = fs::remove_file(&self.path);
        _ = fs::remove_dir(&self.path);
        fs::write(&self.path, bytes)?;
        Ok(fs::set_permissions(&self.path, Permissions::from_mode(0o600))?)
    }
}

type Damage = (String, Box<dyn Fn(&Original) -> Result<(), Failed>>);

/// Damages that replace the whole file, or cut it.
fn replaced(original: &Original, bait: &Path) -> Vec<Damage> {
    let length = original.bytes.len();
    let mut damages: Vec<Damage> = Vec::new();
    for cut in (0..length).step_by(length.div_ceil(24)).chain([1, length - 2, length - 1]) {
        damages.push((format!("cut at {cut}"), Box::new(move |file| file.put(&file.bytes[..cut]))));
    }
    damages.push(("100 kB of 0xff".into(), Box::new(|file| file.put(&vec![0xff; 100_000]))));
    damages.push(("17 MiB of spaces".into(), Box::new(|file| file.put(&vec![b' '; 17 << 20]))));
    damages.push(("twice".into(), Box::new(|file| file.put(&[&*file.bytes, &*file.bytes].concat()))));
    let bait = bait.to_owned();
    damages.push((
        "a link".into(),
        Box::new(move |file| {
            fs::remove_file(&file.path)?;
            fs::write(&bait, &file.bytes)?;
            Ok(symlink(&bait, &file.path)?)
        }),
    ));
    damages.push((
        "a FIFO".into(),
        Box::new(|file| {
            fs::remove_file(&file.path)?;
            Ok(mkfifo(&file.path, Mode::S_IRUSR | Mode::S_IWUSR)?)
        }),
    ));
    damages.push((
        "a directory".into(),
        Box::new(|file| {
            fs::remove_file(&file.path)?;
            Ok(fs::create_dir(&file.path)?)
        }),
    ));
    damages.push(("foreign".into(), Box::new(|file| foreign(&file.path))));
    damages
}

/// Gives the file to somebody else, or the rights on it where this user cannot.
fn foreign(path: &Path) -> Result<(), Failed> {
    match geteuid().is_root() {
        true => Ok(chown(path, Some(Uid::from_raw(4242)), None)?),
        false => Ok(fs::set_permissions(path, Permissions::from_mode(0o666))?),
    }
}

/// What opening and asking gives: an error, or how it ended; none while it runs.
fn asked(place: &Place, which: &str) -> Result<Result<Option<Outcome>, executor_api::Error>, Failed> {
    match of_task(place.open(which))? {
        Ok(task) => of_task(task.try_wait()),
        Err(error) => Ok(Err(error)),
    }
}

/// Fails where the task is said to have ended in a way that it has not.
fn honest(place: &Place, what: &str, truly: Option<&Outcome>) -> Result<bool, Failed> {
    match asked(place, "one")? {
        Err(_) => Ok(true),
        Ok(found) if found.as_ref() == truly => Ok(false),
        Ok(Some(found)) if found.cause == Cause::Lost => Ok(true),
        Ok(found) => Err(format!("{what}: said {found:?}, was {truly:?}").into()),
    }
}

/// The other task can be listed and opened, whatever became of this one.
fn others_are_well(place: &Place) -> Result<(), Failed> {
    same("the list", place.state.list()?, vec![place.id("one"), place.id("other")])?;
    same("the other runs", place.open("other")?.try_wait()?, None)
}

fn ended() -> Result<(), Failed> {
    let place = Place::new()?;
    let other = place.start("other", "exec sleep 1000")?;
    let truly = place.start("one", "exit 7")?.wait()?;
    until("its supervisor is gone", || place.processes("one").is_empty().then_some(()))?;
    let (mut damages, mut noticed, mut flips) = (0, 0, 0);
    for file in FILES {
        let original = Original::of(&place, "one", file)?;
        for (what, damage) in replaced(&original, &place.base.join(BAIT)) {
            damage(&original)?;
            let seen = honest(&place, &format!("{file}, {what}"), Some(&truly))?;
            truth(seen, || format!("{file}, {what}: it was not noticed"))?;
            others_are_well(&place)?;
            (damages, noticed) = (damages + 1, noticed + 1);
            // A directory is not removed like a file.
            _ = fs::remove_dir(&original.path);
            original.restore()?;
            same(file, asked(&place, "one")??, Some(truly))?;
        }
        for at in 0..original.bytes.len() {
            for mask in [1, 0x20, 0xff] {
                let mut bytes = original.bytes.clone();
                bytes[at] ^= mask;
                fs::write(&original.path, &bytes)?;
                let seen = honest(&place, &format!("{file}, byte {at} ^ {mask:#x}"), Some(&truly))?;
                truth(seen, || format!("{file}, byte {at} ^ {mask:#x}: it was not noticed"))?;
                flips += 1;
            }
        }
        original.restore()?;
    }
    others_are_well(&place)?;
    other.kill()?;
    other.wait()?;
    place.clean()?;
    say(&format!("4. ended task: {damages} replaced or cut files, {flips} flipped bytes, {noticed} + {flips} noticed"));
    Ok(())
}

fn running() -> Result<(), Failed> {
    let (mut damages, mut unaffected, mut flips) = (0, 0, 0);
    let place = Place::new()?;
    let other = place.start("other", "exec sleep 1000")?;
    let task = place.start("one", "exec sleep 1000")?;
    let record = Original::of(&place, "one", "record.json")?;
    let outcome = Original::of(&place, "one", "outcome.json")?;
    for (file, original) in [("record.json", &record), ("outcome.json", &outcome)] {
        for (what, damage) in replaced(original, &place.base.join(BAIT)) {
            original.restore()?;
            damage(original)?;
            unaffected += usize::from(!honest(&place, &format!("{file}, {what}"), None)?);
            others_are_well(&place)?;
            same("its host is not affected", task.try_wait()?, None)?;
            damages += 1;
        }
        original.restore()?;
    }
    for at in (0..record.bytes.len()).step_by(7) {
        let mut bytes = record.bytes.clone();
        bytes[at] ^= 0xff;
        record.put(&bytes)?;
        truth(asked(&place, "one")?.is_err(), || format!("byte {at}: it was not noticed"))?;
        flips += 1;
    }
    record.restore()?;
    let opened = place.open("one")?;
    opened.stop(Duration::from_secs(1))?;
    // The room for the end is another file now than the one that the supervisor has: lost, for whoever has only that.
    honest(&place, "after the end", Some(&task.wait()?))?;
    other.kill()?;
    other.wait()?;
    place.clean()?;
    say(&format!(
        "4. running task: {damages} replaced or cut files ({unaffected} without effect), {flips} flipped bytes"
    ));
    Ok(())
}

/// A process that has nothing to do with the tasks.
fn bystander(place: &Place) -> Result<Child, Failed> {
    Ok(Command::new("sleep").arg("1000").env(TRIAL, &place.word).stdin(Stdio::null()).spawn()?)
}

/// The line behind a document: FNV-1a over 64 bits.
fn sum(json: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("sum {:016x}\n", json.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn forged() -> Result<(), Failed> {
    let place = Place::new()?;
    let mut stranger = bystander(&place)?;
    let pid = i32::try_from(stranger.id())?;
    let bait = place.work(BAIT);
    fs::write(&bait, "bait")?;
    let (mut orders, mut records) = (0, 0);
    for number in ["1", "-1", "0", "4294967295", &pid.to_string()] {
        for summed in [false, true] {
            for dead in [false, true] {
                let which = format!("p{records}");
                let task = place.start(&which, "exec sleep 1000")?;
                let original = Original::of(&place, &which, "record.json")?;
                let supervisor = place.supervisor(&which)?;
                if dead {
                    processes::end(supervisor);
                    task.wait()?;
                }
                let text = String::from_utf8(original.bytes.clone())?;
                let (json, line) = text.split_once('\n').ok_or("one line")?;
                let json = json.replace(&format!("\"pid\":{supervisor}"), &format!("\"pid\":{number}"));
                let groups = format!("\"groups\":[\"{}\"]", bait.display());
                let json = json.replace("\"groups\":[]", &groups);
                truth(!text.contains(&json), || format!("nothing was forged in {text}"))?;
                let line = if summed { sum(&json) } else { line.to_owned() };
                original.put(format!("{json}\n{line}").as_bytes())?;
                orders += ordered(of_task(place.open(&which))?, &format!("pid {number}, summed: {summed}"))?;
                same("the stranger lives", stranger.try_wait()?.is_none() && processes::lives(pid), true)?;
                task.kill()?;
                task.wait_timeout(LONG)?.ok_or("it runs")?;
                records += 1;
            }
        }
    }
    same("the bait", fs::read_to_string(&bait)?.as_str(), "bait")?;
    place.collect()?;
    same("the stranger lives", stranger.try_wait()?.is_none(), true)?;
    same("the bait", fs::read_to_string(&bait)?.as_str(), "bait")?;
    stranger.kill()?;
    stranger.wait()?;
    place.clean()?;
    say(&format!("4. forged pids: {records} records, {orders} orders through them, the stranger lives"));
    Ok(())
}

/// Gives every order through what was opened; how many it took.
fn ordered(opened: Result<Task, executor_api::Error>, what: &str) -> Result<usize, Failed> {
    let task = match opened {
        Ok(task) => task,
        Err(error) if error.kind() == ErrorKind::Internal => return Ok(0),
        Err(error) => return Err(format!("{what}: {error}").into()),
    };
    // A task that is lost takes no signal.
    _ = task.signal(Signal::new(nix::sys::signal::Signal::SIGCONT as i32)?);
    task.stop(Duration::from_millis(50))?;
    task.kill()?;
    let cause = task.wait_timeout(LONG)?.ok_or("it was stopped and runs")?.cause;
    truth(matches!(cause, Cause::Stopped | Cause::Lost), || format!("{what}: ended by {cause:?}"))?;
    Ok(3)
}
