//! Runs a host in a process of its own and looks at what became of it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use executor_tests::{Need, prober, trial};
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::answers::Row;

/// The variable that makes this program a host, and says which one.
pub(crate) const ROLE: &str = "EXECUTOR_BAD_FILES_HOST";
/// The variable with the program that asks plugins.
pub(crate) const PROBER: &str = "EXECUTOR_BAD_FILES_PROBER";
/// The status that a host ends with: no library's `exit` is mistaken for it.
pub(crate) const OWN_STATUS: u8 = 42;
/// How long a host may take over one directory.
const LONGEST: Duration = Duration::from_secs(10);

/// A trial of one bad file: `make` puts it into an empty directory and says where; the host's one line for it must hold
/// `expected`.
pub(crate) fn bad_file<F>(what: &str, needs: &'static [Need], expected: &'static str, make: F) -> Trial
where
    F: FnOnce(&Path) -> PathBuf + Send + 'static,
{
    let (row, label) = (Row::next(), what.to_owned());
    trial(&format!("{}_is_answered_on_one_line", what.replace([' ', '-', '\''], "_")), needs, move || {
        let dir = dir();
        let file = make(dir.path());
        let answer = only_answer(&look(&[dir.path()])?, &file)?;
        row.fill(&label, &short(&answer, dir.path()));
        expect(&answer, expected)
    })
}

/// An empty directory that only its owner can write to.
pub(crate) fn dir() -> TempDir {
    let private = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("executor-test-").permissions(private).tempdir().expect("a directory")
}

/// Writes a file that only its owner can write to, whatever the umask is.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::write(path, contents).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// What is said of `file`, if that is the only thing said.
pub(crate) fn only_answer(lines: &[String], file: &Path) -> Result<String, Failed> {
    let path = format!("{}: ", file.display());
    match lines.iter().filter(|line| !line.starts_with("used ")).collect::<Vec<_>>()[..] {
        [line] => Ok(line.strip_prefix(&path).ok_or_else(|| format!("not of {path}{line}"))?.to_owned()),
        _ => Err(format!("not one line: {lines:#?}").into()),
    }
}

pub(crate) fn expect(answer: &str, expected: &str) -> Result<(), Failed> {
    if answer.contains(expected) { Ok(()) } else { Err(format!("{answer:?} does not say {expected:?}").into()) }
}

/// `answer` without the name of the temporary directory.
pub(crate) fn short(answer: &str, dir: &Path) -> String {
    let dir = dir.display().to_string();
    answer.replace(&format!("{dir}/"), "").replace(&dir, "DIR")
}

/// What a host reports that looks for plugins in `dirs`.
pub(crate) fn look(dirs: &[&Path]) -> Result<Vec<String>, Failed> {
    in_role("look", dirs)
}

/// The same; it then uses what it finds usable, and tells.
pub(crate) fn discover(dirs: &[&Path]) -> Result<Vec<String>, Failed> {
    in_role("discover", dirs)
}

fn in_role(role: &str, dirs: &[&Path]) -> Result<Vec<String>, Failed> {
    let dirs: Vec<&OsStr> = dirs.iter().map(|dir| dir.as_os_str()).collect();
    host(role, &dirs, LONGEST)
}

/// The lines that a host prints in `role`. It must end with its own status within `longest`, print nothing on standard
/// error, and leave no process behind that has a file of the directories in `args` mapped.
pub(crate) fn host(role: &str, args: &[&OsStr], longest: Duration) -> Result<Vec<String>, Failed> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| format!("find this program: {error}"))?);
    // Files and not pipes: a process that stays behind with an end of a pipe would keep this one waiting.
    let mut stdout = tempfile::tempfile().expect("a file");
    let mut stderr = tempfile::tempfile().expect("a file");
    let again = |file: &fs::File| Stdio::from(file.try_clone().expect("a descriptor"));
    command.args(args).env(ROLE, role).env(PROBER, prober()).stdin(Stdio::null());
    let child =
        command.stdout(again(&stdout)).stderr(again(&stderr)).spawn().map_err(|error| format!("start: {error}"))?;
    let start = Instant::now();
    let ended = wait(child, longest);
    let (printed, complaints) = (text(&mut stdout), text(&mut stderr));
    let status =
        ended.ok_or_else(|| format!("the host hangs after {:?}, having printed {printed}", start.elapsed()))?;
    if status.code() != Some(i32::from(OWN_STATUS)) || !complaints.is_empty() {
        return Err(format!("the host ended with {status}\nstdout: {printed}\nstderr: {complaints}").into());
    }
    for dir in args.iter().map(Path::new).filter(|dir| dir.is_dir()) {
        nobody_has_mapped(dir)?;
    }
    Ok(printed.lines().map(str::to_owned).collect())
}

/// How the host ended; none if it had to be killed.
fn wait(mut child: Child, longest: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + longest;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if Instant::now() > until {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn text(file: &mut fs::File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// No process is left that loaded a library out of `dir`; one that was killed may take a moment to go.
fn nobody_has_mapped(dir: &Path) -> Result<(), Failed> {
    let dir = format!("{}/", dir.display());
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let processes = fs::read_dir("/proc").map_err(|error| format!("read /proc: {error}"))?;
        let maps = processes.flatten().map(|process| process.path().join("maps"));
        let Some(left) = maps.into_iter().find(|maps| fs::read_to_string(maps).is_ok_and(|maps| maps.contains(&dir)))
        else {
            return Ok(());
        };
        if Instant::now() > until {
            return Err(format!("a process was left behind: {}", left.display()).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
}
