//! `vm-test`: the project's suites on other kernels, as root, in emulated machines.
//!
//! The only way to try memory, cpu and pids in cgroup v2, kernels that lack what newer ones have, and cgroup v1 alone,
//! whatever this machine runs. `lane` is the table of what is booted; everything that is made or downloaded lies in
//! `vm` below the target directory. Nothing is installed, and nothing of this machine is changed.

mod cpio;
mod initramfs;
mod kernel;
mod lane;
mod marks;
mod packages;
mod qemu;
mod sources;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use self::lane::{LANES, Lane, named};
use self::lane::{Standing, User};
use self::marks::Reader;
use self::packages::{Suite, unpack};
use self::qemu::{Boot, Qemu};
use self::sources::Archive;
pub(crate) use self::suites::Extent;
use crate::cargo::Workspace;
use crate::error::{Doing, Error, Result};
use crate::tally::{Stage, Tally};

const BUSYBOX: &str = "busybox-static";
/// Where the program is in an unpacked package of it.
const BUSYBOX_FILES: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];

/// Runs as much as `extent` says of the suites, each called with `words`, in `lanes`; in every lane where there is none.
pub(crate) fn verb(lanes: &[Lane], extent: Extent, words: &[String]) -> Result {
    let workspace = Workspace::find()?;
    let mut tally = Tally::default();
    let lanes = if lanes.is_empty() { &LANES } else { lanes };
    let guest = Guest::prepare(&workspace, words);
    for lane in lanes {
        if let Err(error) = guest.test(lane, extent, &mut tally) {
            tally.stage(&format!("vm-test {}", lane.title()), Stage::Failed(error.to_string()));
        }
    }
    tally.close()
}

/// Prints the lanes.
pub(crate) fn list() {
    for lane in LANES {
        println!("{lane}");
    }
}

/// What all lanes share, or why it is not to be had.
#[derive(Debug)]
pub(crate) struct Guest(std::result::Result<Ready, Missing>);

/// Why there is no guest.
#[derive(Debug)]
enum Missing {
    /// A package cannot be had: an optional lane is skipped.
    Package(Error),
    /// The project's own part of it did not work.
    Own(Error),
}

/// An emulator and the guest's files.
#[derive(Debug)]
struct Ready {
    dir: PathBuf,
    archive: Archive,
    qemu: Qemu,
    initramfs: PathBuf,
}

impl Guest {
    /// Fetches the emulator, builds the suites and packs the guest's files.
    pub(crate) fn prepare(workspace: &Workspace, words: &[String]) -> Self {
        Self(Ready::new(workspace, words))
    }

    /// Boots `lane` and counts what the suites in it say. What this machine lacks for it is counted as well: it is
    /// skipped, or it has failed if it is required.
    pub(crate) fn test(&self, lane: &Lane, extent: Extent, tally: &mut Tally) -> Result {
        println!("-- {lane}");
        let booted = match &self.0 {
            Ok(ready) => ready.test(lane, extent, tally),
            Err(Missing::Package(error)) => Err(Missing::Package(Error::new(error.to_string()))),
            Err(Missing::Own(error)) => Err(Missing::Own(Error::new(error.to_string()))),
        };
        match booted {
            Err(Missing::Package(why)) if lane.standing == Standing::Optional => {
                tally.stage(&format!("vm-test {}", lane.title()), Stage::Skipped(why.to_string()));
                Ok(())
            }
            Err(Missing::Package(why) | Missing::Own(why)) => Err(why),
            Ok(()) => Ok(()),
        }
    }
}

impl Ready {
    fn new(workspace: &Workspace, words: &[String]) -> std::result::Result<Self, Missing> {
        let dir = workspace.target.join("vm");
        let began = Instant::now();
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            return Err(Missing::Package(Error::new("the lanes are Linux on x86-64, and so must this machine be")));
        }
        let (archive, qemu, busybox) = tools(&dir).map_err(Missing::Package)?;
        told("the emulator and busybox", began);
        let began = Instant::now();
        let load = suites::built(workspace, &dir.join("executor")).map_err(Missing::Own)?;
        told("the suites", began);
        let began = Instant::now();
        let initramfs = dir.join("initramfs");
        initramfs::write(&busybox, &load, words, &initramfs).map_err(Missing::Own)?;
        told("the guest's files", began);
        Ok(Self { dir, archive, qemu, initramfs })
    }

    fn test(&self, lane: &Lane, extent: Extent, tally: &mut Tally) -> std::result::Result<(), Missing> {
        let began = Instant::now();
        let suite = Suite::open(&self.archive, lane.release, &self.dir.join("apt")).map_err(Missing::Package)?;
        let (package, deb) = suite.try_twice(kernel::download).map_err(Missing::Package)?;
        let kernel = kernel::vmlinux(&package, &deb, &self.dir.join("kernels")).map_err(Missing::Own)?;
        told(&format!("the kernel {}", package.label()), began);
        let boot = Boot {
            kernel: &kernel,
            initramfs: &self.initramfs,
            words: kernel_words(lane, extent),
            console: self.dir.join(format!("{}.console", lane.name)),
            up: qemu::UP,
            suites: extent.suites().map(|suite| Duration::from_secs(suite.seconds.into())).sum(),
        };
        let began = Instant::now();
        boot.run(&self.qemu, Reader::new(lane.name, extent, tally)).map_err(Missing::Own)?;
        for left_out in left_out(extent) {
            let why = "it takes minutes in an emulator, and this run is a short one";
            tally.stage(&format!("vm-{}/{left_out}", lane.name), Stage::Skipped(why.to_owned()));
        }
        told(&format!("the lane {}", lane.name), began);
        Ok(())
    }
}

/// The names of what a run of this extent does not run.
fn left_out(extent: Extent) -> impl Iterator<Item = String> {
    let suites = suites::SUITES.iter().filter(move |suite| extent.suites().all(|run| run.name != suite.name));
    let trials = extent.left_out().iter().map(|(suite, trial)| format!("{suite}/{trial}"));
    suites.map(|suite| suite.name.to_owned()).chain(trials)
}

/// What the guest's first process reads off the kernel's command line.
fn kernel_words(lane: &Lane, extent: Extent) -> String {
    let promised = suites::PROMISED.iter().filter(|need| lane.user == User::Root || **need != "root");
    let promised: Vec<&str> = promised.copied().collect();
    let skipped: Vec<&str> = extent.left_out().iter().map(|(_, trial)| *trial).collect();
    let suites: Vec<&str> = extent.suites().map(|suite| suite.name).collect();
    let (cgroups, uid) = (lane.cgroups, lane.user.uid());
    let [promised, skipped, suites] = [promised, skipped, suites].map(|words| words.join(","));
    format!("vm.cgroups={cgroups} vm.uid={uid} vm.require={promised} vm.suites={suites} vm.skip={skipped}")
}

/// The archive, an emulator, and busybox.
fn tools(dir: &Path) -> Result<(Archive, Qemu, PathBuf)> {
    let archive = Archive::of_machine()?;
    fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    let suite = Suite::open(&archive, &archive.suite, &dir.join("apt"))?;
    let qemu = match Qemu::of_machine() {
        Some(qemu) => qemu,
        None => suite.try_twice(|suite| Qemu::unpacked(suite, &dir.join("qemu")))?,
    };
    let busybox = suite.try_twice(|suite| busybox(suite, &dir.join("busybox")))?;
    Ok((archive, qemu, busybox))
}

/// The busybox of `suite`, unpacked into `dir` if it is not there.
fn busybox(suite: &Suite, dir: &Path) -> Result<PathBuf> {
    let package = suite.package(BUSYBOX)?;
    let root = dir.join(package.label());
    if !root.is_dir() {
        unpack(&[suite.download(&package)?], &root)?;
    }
    let found = BUSYBOX_FILES.iter().map(|file| root.join(file)).find(|file| file.is_file());
    found.doing(format!("{} has no busybox", root.display()))
}

fn told(what: &str, began: Instant) {
    println!("-- {what}: {:.1} s", began.elapsed().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_told_its_lane() {
        let words = |name: &str, extent| kernel_words(&named(name).unwrap(), extent);
        let whole = "vm.cgroups=v2 vm.uid=0 vm.require=root,built,strace vm.suites=conformance,cgroup,launch,recovery,command vm.skip=";
        assert_eq!(words("6.1", Extent::Whole), whole);
        assert!(words("user", Extent::Whole).contains("vm.uid=1000 vm.require=built,strace "));
        assert!(words("v1", Extent::Short).contains("vm.cgroups=v1 ") && !words("v1", Extent::Short).ends_with('='));
    }

    #[test]
    fn what_a_short_run_leaves_out_has_names() {
        assert_eq!(left_out(Extent::Whole).count(), 0);
        let names: Vec<String> = left_out(Extent::Short).collect();
        assert_eq!(names[0], "command");
        assert!(names[1..].iter().all(|name| name.starts_with("recovery/")), "{names:?}");
    }

    #[test]
    fn a_lane_whose_packages_cannot_be_had_is_skipped_unless_it_is_required() {
        let guest = || Guest(Err(Missing::Package(Error::new("no archive"))));
        let mut tally = Tally::default();
        guest().test(&named("5.10").unwrap(), Extent::Whole, &mut tally).unwrap();
        assert_eq!(tally.sums(), "0 passed, 0 failed, 1 skipped");
        let error = guest().test(&named("6.1").unwrap(), Extent::Whole, &mut tally).unwrap_err();
        assert_eq!(error.to_string(), "no archive");
        let guest = Guest(Err(Missing::Own(Error::new("cargo build"))));
        guest.test(&named("5.10").unwrap(), Extent::Whole, &mut tally).unwrap_err();
    }
}
