//! State directories that are not as they should be: missing, of others, full, read-only; and the tasks in them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::thread;

use executor_tests::Need;
use libtest_mimic::Failed;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::Case;
use crate::place::{Place, each, ended, outcome, same, silent, text};
use crate::stranger::Stranger;

pub(crate) const CASES: &[Case] = &[
    ("a_state_directory_that_cannot_be_used_is_an_error_on_every_verb", &[Need::Built], unusable),
    ("without_a_place_for_records_the_fix_is_told", &[Need::Built, Need::Root], nowhere),
    ("a_task_of_another_user_is_never_reached", &[Need::Built, Need::Root], other_user),
    ("a_full_disk_starts_nothing_and_ends_everything", &[Need::Built, Need::Root], full_disk),
    ("a_read_only_state_directory_shows_what_is_there", &[Need::Built, Need::Root], read_only),
];

/// Every verb that needs records, and how it ends without them.
const VERBS: [(&str, i32); 12] = [
    ("run -q -- touch RAN", 125),
    ("start -q -- touch RAN", 125),
    ("wait there", 125),
    ("stop there", 1),
    ("kill there", 1),
    ("kill -s USR1 there", 1),
    ("ps", 1),
    ("inspect there", 1),
    ("stats there", 1),
    ("logs there", 1),
    ("gc", 1),
    ("gc there", 1),
];

fn words(line: &str, ran: &Path) -> Vec<String> {
    line.split(' ').map(|word| word.replace("RAN", &ran.to_string_lossy())).collect()
}

fn unusable() -> Result<(), Failed> {
    let place = Place::new()?;
    let ran = place.shared()?.join("ran");
    place.file("file", "")?;
    fs::create_dir(place.path("open"))?;
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(place.path("own"))?;
    fs::set_permissions(place.path("own"), fs::Permissions::from_mode(0o700))?;
    symlink(place.path("own"), place.path("link"))?;
    let dirs = [
        ("surely/not", "No such file"),
        ("file", "not a directory"),
        ("file/below", "Not a directory"),
        ("open", "others have rights on it"),
        ("link", "not a directory"),
    ];
    let cases: Vec<_> = dirs.iter().flat_map(|dir| VERBS.iter().map(move |verb| (*dir, *verb))).collect();
    each(&cases, |((dir, why), (line, code))| {
        let dir = place.path(dir);
        let output = outcome(place.command(&words(line, &ran)).env("EXECUTOR_STATE_DIR", &dir))?;
        ended(&output, *code, &["executor: ", &dir.to_string_lossy(), why])?;
        same("standard output", text(&output.stdout).as_str(), "")
    })?;
    // Those who look at plugins need no records; the doctor says what is wrong with them.
    each(&dirs, |(dir, why)| {
        let with = |verb: &str| outcome(place.command(&[verb]).env("EXECUTOR_STATE_DIR", place.path(dir)));
        ended(&with("plugins")?, 0, &[])?;
        let doctor = with("doctor")?;
        ended(&doctor, 4, &[])?;
        let problem = text(&doctor.stdout).lines().any(|line| line.starts_with("problem ") && line.contains(why));
        same("the problem", problem, true)
    })?;
    same("something ran", ran.exists(), false)
}

fn nowhere() -> Result<(), Failed> {
    let place = Place::new()?;
    let stranger = Stranger::new(&place)?;
    // Root has a place of its own, which is not for tests.
    let with = |line: &str| {
        let mut command = stranger.command(&words(line, &place.path("shared/ran")));
        outcome(command.env_remove("EXECUTOR_STATE_DIR"))
    };
    each(&VERBS, |(line, code)| ended(&with(line)?, *code, &["XDG_RUNTIME_DIR is not set", "fix: set it, or "]))?;
    ended(&with("plugins")?, 0, &[])?;
    ended(&with("doctor")?, 4, &[])
}

fn other_user() -> Result<(), Failed> {
    let place = Place::new()?;
    let ran = place.shared()?.join("ran");
    place.start("there", "exec sleep 1000")?;
    let stranger = Stranger::new(&place)?;
    let with =
        |state: &Path, line: &str| outcome(stranger.command(&words(line, &ran)).env("EXECUTOR_STATE_DIR", state));
    each(&VERBS, |(line, code)| {
        let output = with(&place.state(), line)?;
        ended(&output, *code, &["executor: use ", "it belongs to user 0, not to 4242"])?;
        same("standard output", text(&output.stdout).as_str(), "")
    })?;
    // With records of their own there is no such task, by whatever word, and a link does not lead to it.
    let own = place.path("own");
    fs::create_dir(&own)?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700))?;
    chown(&own, Some(Stranger::UID), Some(Stranger::GID))?;
    let ids = ["there", "fallback.there", "../../state/tasks/fallback.there"];
    let verbs = ["wait", "stop", "kill", "kill -s KILL", "inspect", "stats", "logs", "gc"];
    let cases: Vec<String> = verbs.iter().flat_map(|verb| ids.map(|id| format!("{verb} {id}"))).collect();
    each(&cases, |line| ended(&with(&own, line)?, 3, &["there is no such task"]))?;
    ended(&with(&own, "run -q --name there -- id -u")?, 0, &[])?;
    symlink(place.state().join("tasks/fallback.there"), own.join("tasks/fallback.there"))?;
    each(&verbs, |verb| {
        let output = with(&own, &format!("{verb} there"))?;
        ended(&output, if *verb == "wait" { 125 } else { 1 }, &["executor: "])?;
        same("standard output", text(&output.stdout).as_str(), "")
    })?;
    same("it runs on", place.states()?, vec![("there".to_owned(), "running".to_owned())])?;
    // Nor does root take what a user could have made up.
    each(&VERBS, |(line, code)| {
        let output = outcome(place.command(&words(line, &ran)).env("EXECUTOR_STATE_DIR", &own))?;
        ended(&output, *code, &["it belongs to user 4242, not to 0"])
    })?;
    same("something ran", ran.exists(), false)
}

/// Runs `act` with records on a small disk of their own, where an ended task is and one that runs. The disk is mounted for
/// one thread and what it starts, and goes with them.
fn on_small_disk(act: fn(&Place) -> Result<(), Failed>) -> Result<(), Failed> {
    let place = Place::new()?;
    fs::create_dir(place.state())?;
    let own = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        let options = Some("size=256k,mode=700");
        mount(Some("tmpfs"), &place.state(), Some("tmpfs"), MsFlags::empty(), options)?;
        place.start("old", "echo printed; exit 7")?;
        silent(&place.line("wait old")?, 7)?;
        place.start("awake", "exec sleep 1000")?;
        let done = act(&place);
        place.end_tasks();
        done
    };
    thread::scope(|scope| scope.spawn(own).join().map_err(|_| "it panicked")?)
}

fn full_disk() -> Result<(), Failed> {
    on_small_disk(|place| {
        let mut filling = File::create(place.state().join("filling"))?;
        while filling.write_all(&[0; 4096]).or_else(|_| filling.write_all(&[0])).is_ok() {}
        let ran = place.shared()?.join("ran");
        for verb in ["run", "start", "start --name other"] {
            let output = place.executor(&words(&format!("{verb} -q -- touch RAN"), &ran))?;
            ended(&output, 125, &["executor: ", "No space left on device"])?;
            same("standard output", text(&output.stdout).as_str(), "")?;
        }
        same("something ran", ran.exists(), false)?;
        let states = ["awake", "old"].map(str::to_owned).into_iter().zip(["running", "ended"].map(str::to_owned));
        same("what is there", place.states()?, states.collect::<Vec<_>>())?;
        same("its log", text(&place.line("logs old")?.stdout).as_str(), "printed\n")?;
        ended(&place.line("plugins")?, 0, &[])?;
        ended(&place.line("doctor")?, 4, &[])?;
        // The end of a task needs no room, nor does clearing it away.
        ended(&place.line("stop awake")?, 0, &[])?;
        silent(&place.line("wait awake")?, 143)?;
        same("gc", text(&place.line("gc")?.stdout).as_str(), "fallback.awake\nfallback.old\n")?;
        fs::remove_file(place.state().join("filling"))?;
        same("drafts", fs::read_dir(place.state().join("tasks"))?.count(), 0)?;
        same("logs", fs::read_dir(place.state().join("logs"))?.count(), 0)?;
        ended(&place.line("run -q -- true")?, 0, &[])
    })
}

fn read_only() -> Result<(), Failed> {
    on_small_disk(|place| {
        let view = place.path("view");
        fs::create_dir(&view)?;
        let flags = MsFlags::MS_BIND;
        mount(Some(&place.state()), &view, None::<&str>, flags, None::<&str>)?;
        let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &view, None::<&str>, flags, None::<&str>)?;
        let ran = place.shared()?.join("ran");
        let with = |line: &str| outcome(place.command(&words(line, &ran)).env("EXECUTOR_STATE_DIR", &view));
        let refused = [
            ("run -q -- touch RAN", 125),
            ("start -q -- touch RAN", 125),
            // The end is known, and was asked for.
            ("wait --rm old", 7),
            ("gc", 1),
            ("gc old", 1),
        ];
        each(&refused, |(line, code)| ended(&with(line)?, *code, &["executor: ", "Read-only file system"]))?;
        same("something ran", ran.exists(), false)?;
        silent(&with("wait old")?, 7)?;
        same("its log", text(&with("logs old")?.stdout).as_str(), "printed\n")?;
        for line in ["ps", "inspect awake", "stats old", "plugins"] {
            ended(&with(line)?, 0, &[])?;
        }
        // Orders need no room: whoever has the records on a disk that went bad can still end what runs.
        ended(&with("stop awake")?, 0, &[])?;
        silent(&with("wait awake")?, 143)?;
        same("all is still there", place.states()?.len(), 2)
    })
}
