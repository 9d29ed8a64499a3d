//! The emulator: this machine's, or one that is unpacked with all of its libraries; and one run of it.
//!
//! It only emulates, so it works where KVM does not, with one processor: two slow each other down. The kernel is its ELF
//! file, which QEMU enters by way of PVH. The first serial line is the console and goes to a file, the second one brings
//! what the suites say.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::marks::{Progress, Reader};
use super::packages::{Suite, unpack};
use crate::error::{Doing, Result};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
const LOADER: &str = "ld-linux-x86-64.so.2";
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];
const MEMORY: &str = "2048";
/// A PC with all of its clocks. microvm boots no faster and leaves the kernel with a clock of 4 ms now and then.
const MACHINE: &str = "q35";
/// An emulated processor with fewer features is faster: a program starts in three quarters of the time.
const PROCESSOR: &str = "qemu64,+rdrand";
/// For the kernel: end at a panic, and leave out what takes time in an emulator.
const KERNEL_WORDS: &str = "console=ttyS0 quiet panic=-1 oops=panic reboot=t rdinit=/init mitigations=off nokaslr \
    no_timer_check tsc=reliable random.trust_cpu=on cryptomgr.notests psi=1";
/// How long a guest may take until its first process has done its part.
pub(super) const UP: Duration = Duration::from_secs(180);
/// How much of the console is shown where something went wrong.
const TAIL: usize = 80;

/// How to start the emulator.
#[derive(Clone, Debug)]
pub(super) struct Qemu(Vec<OsString>);

impl Qemu {
    /// This machine's, if it has one.
    pub(super) fn of_machine() -> Option<Self> {
        let mut asked = Command::new(PROGRAM);
        asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success()).then(|| Self(vec![PROGRAM.into()]))
    }

    /// The one of `suite`, unpacked into `dir` if it is not there.
    pub(super) fn unpacked(suite: &Suite, dir: &Path) -> Result<Self> {
        let package = suite.package(PACKAGE)?;
        let root = dir.join(package.label());
        if !root.is_dir() {
            unpack(&suite.download_all(&package)?, &root)?;
        }
        // Its own C library has to be loaded by its own loader: this machine's may be another version.
        let loader = LIBRARIES.iter().map(|dir| root.join(dir).join(LOADER)).find(|file| file.is_file());
        let loader = loader.doing(format!("{} has no {LOADER}", root.display()))?;
        let libraries: Vec<_> = LIBRARIES.iter().map(|dir| root.join(dir)).collect();
        let libraries = std::env::join_paths(libraries).doing("name the directories of libraries")?;
        let program = root.join("usr/bin").join(PROGRAM);
        let modules = LIBRARIES.iter().map(|dir| root.join(dir).join("qemu")).find(|dir| dir.is_dir());
        let modules = modules.doing(format!("{} has no modules of the emulator", root.display()))?;
        let mut place = OsString::from("QEMU_MODULE_DIR=");
        place.push(modules);
        let mut words = vec!["env".into(), place, loader.into(), "--library-path".into(), libraries, program.into()];
        for dir in FIRMWARE.iter().map(|dir| root.join(dir)).filter(|dir| dir.is_dir()) {
            words.extend(["-L".into(), dir.into()]);
        }
        Ok(Self(words))
    }
}

/// What is booted.
#[derive(Debug)]
pub(super) struct Boot<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    /// Words of the command line, beside those that every guest gets.
    pub(super) words: String,
    /// Gets what the kernel and the suites' standard error say.
    pub(super) console: PathBuf,
    /// How long it may take until it is up.
    pub(super) up: Duration,
    /// How long the suites may take in all.
    pub(super) suites: Duration,
}

impl Boot<'_> {
    fn command(&self, qemu: &Qemu) -> Command {
        // The emulator is killed should this program be: nothing is left running.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(&qemu.0);
        command.args(["-M", MACHINE, "-accel", "tcg,thread=multi,tb-size=256", "-cpu", PROCESSOR, "-smp", "1"]);
        command.args(["-m", MEMORY, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        let console = format!("file,id=console,path={}", self.console.display().to_string().replace(',', ",,"));
        command.args(["-chardev", &console, "-serial", "chardev:console"]);
        command.args(["-chardev", "stdio,id=lines,signal=off", "-device", "isa-serial,chardev=lines,index=1"]);
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.initramfs);
        command.args(["-append", &format!("{KERNEL_WORDS} {}", self.words)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Boots, hands every line to `reader`, and sees to it that the emulator is gone. What was to run and did not is
    /// counted as failed; then the end of the console is shown.
    pub(super) fn run(&self, qemu: &Qemu, mut reader: Reader<'_>) -> Result {
        let errors = self.console.with_extension("qemu");
        let stderr = File::create(&errors).doing(format!("make {}", errors.display()))?;
        let mut child = self.command(qemu).stderr(stderr).spawn().doing("start the emulator by setpriv")?;
        let began = Instant::now();
        let lines = lines(&mut child)?;
        let why = loop {
            let deadline = if *reader.progress() == Progress::NotUp { self.up } else { self.up + self.suites };
            match lines.recv_timeout(deadline.saturating_sub(began.elapsed())) {
                Ok(line) => reader.line(&line),
                Err(RecvTimeoutError::Timeout) => {
                    break format!("killed {} after {} s", reader.progress(), deadline.as_secs());
                }
                Err(RecvTimeoutError::Disconnected) => break format!("the guest ended {}", reader.progress()),
            }
            if *reader.progress() == Progress::Done {
                break "the guest is done".to_owned();
            }
        };
        // It may have ended by itself.
        child.kill().doing("end the emulator")?;
        let status = child.wait().doing("wait for the emulator")?;
        if reader.close(&why) > 0 {
            println!("-- {why}; the emulator: {status}");
            for file in [&self.console, &errors] {
                println!("-- the end of {}:\n{}", file.display(), tail(&fs::read(file).unwrap_or_default()));
            }
        }
        Ok(())
    }
}

/// The lines that `child` prints, as they come.
fn lines(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().doing("take the output of the emulator")?;
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(|line| line.ok()) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    Ok(lines)
}

/// The last lines of a console.
fn tail(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::suites::Extent;
    use super::*;
    use crate::tally::Tally;

    const LONG: Duration = Duration::from_secs(100);

    /// Runs a script in the emulator's place: whether all was well, and how long it took.
    fn run(script: &str, up: Duration, suites: Duration) -> (bool, Duration) {
        let dir = tempfile::tempdir().unwrap();
        let boot = Boot {
            kernel: Path::new("kernel"),
            initramfs: Path::new("initramfs"),
            words: String::new(),
            console: dir.path().join("console"),
            up,
            suites,
        };
        let began = Instant::now();
        let mut tally = Tally::default();
        let qemu = Qemu(["sh", "-c", script].map(OsString::from).to_vec());
        boot.run(&qemu, Reader::new("6.1", Extent::Whole, &mut tally)).unwrap();
        (tally.close().is_ok(), began.elapsed())
    }

    #[test]
    fn a_guest_that_ends_too_early_has_failed() {
        let (passed, took) = run("echo '@vm boot a b c cpu memory pids'; echo '@vm begin recovery'", LONG, LONG);
        assert!(!passed && took < LONG, "{passed} {took:?}");
    }

    #[test]
    fn a_guest_that_hangs_is_killed_before_it_is_up_and_in_a_suite() {
        let short = Duration::from_millis(300);
        for (script, up, suites) in [
            ("exec sleep 1000", short, LONG),
            ("echo '@vm boot a b c cpu memory pids'; echo '@vm begin recovery'; exec sleep 1000", short, short),
        ] {
            let (passed, took) = run(script, up, suites);
            assert!(!passed && took < LONG, "{passed} {took:?}");
        }
    }

    #[test]
    fn a_guest_that_is_done_is_ended_and_not_waited_for() {
        let suites = Extent::Whole.suites().map(|suite| {
            let name = suite.name;
            format!("echo '@vm begin {name}'; echo 'test result: ok. 1 passed; 0 failed'; echo '@vm end {name} 0 1'; ")
        });
        let begin = "echo '@vm boot a b c cpu memory pids'; ";
        let (passed, took) =
            run(&format!("{begin}{}echo '@vm done 2'; exec sleep 1000", suites.collect::<String>()), LONG, LONG);
        assert!(passed && took < LONG, "{passed} {took:?}");
    }

    #[test]
    fn the_end_of_a_console_is_its_last_lines() {
        let console = (0..100).map(|line| format!("line {line}\r\n\r\n")).collect::<String>();
        let end = tail(console.as_bytes());
        assert!(end.starts_with("line 20\nline 21") && end.ends_with("line 99"), "{end}");
    }
}
