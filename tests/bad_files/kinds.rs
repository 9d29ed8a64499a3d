//! Whole files of the wrong kind, and files that others could change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use executor_tests::{Need, misbehaving, prober};
use libtest_mimic::Trial;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::run::{bad_file, write};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        bad_file("empty file", &[], "refused: metadata: an empty file", |dir| text(dir, "")),
        bad_file("text", &[], "refused: metadata: not an ELF file", |dir| text(dir, "#!/bin/sh\necho hello\n")),
        bad_file("executable", &[], "refused: metadata: an executable, not a library", |dir| {
            let file = path(dir);
            fs::copy(prober(), &file).expect("a copy");
            mode(&file, 0o755)
        }),
    ];
    trials.extend(no_files());
    trials.extend(not_trusted());
    trials
}

/// What is no regular file.
fn no_files() -> Vec<Trial> {
    vec![
        bad_file("named pipe", &[], "is a named pipe, not a regular file", |dir| {
            nix::unistd::mkfifo(&path(dir), Mode::S_IRUSR).expect("a pipe");
            path(dir)
        }),
        bad_file("socket", &[], "is a socket, not a regular file", |dir| {
            drop(std::os::unix::net::UnixListener::bind(path(dir)).expect("a socket"));
            path(dir)
        }),
        bad_file("device", &[Need::Root], "is a character device, not a regular file", |dir| {
            // The device of /dev/zero.
            mknod(&path(dir), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 5)).expect("a device");
            path(dir)
        }),
        bad_file("directory", &[], "is a directory, not a regular file", |dir| {
            fs::create_dir(path(dir)).expect("a directory");
            path(dir)
        }),
        bad_file("dangling link", &[], "which does not exist", |dir| link(dir, "gone")),
        bad_file("link to itself", &[], "leads over more than 8 links", |dir| link(dir, "libexecutor_misbehave.so")),
        bad_file("link to a device", &[], "is a character device, not a regular file", |dir| link(dir, "/dev/zero")),
    ]
}

/// Good plugins that somebody else could change.
fn not_trusted() -> Vec<Trial> {
    vec![
        bad_file("world-writable file", &[], "is writable by everybody (mode 0666)", |dir| mode(&good(dir), 0o666)),
        bad_file("group-writable file", &[], "is writable by its group (mode 0775)", |dir| mode(&good(dir), 0o775)),
        bad_file("set-uid file", &[], "is set-uid or set-gid (mode 4755)", |dir| mode(&good(dir), 0o4755)),
        bad_file("foreign owner", &[Need::Root], "belongs to uid 12345, not to root", |dir| {
            let file = good(dir);
            chown(&file, Some(12345), None).expect("an owner");
            file
        }),
        bad_file("link of a foreign owner", &[Need::Root], "belongs to uid 12345, not to root", |dir| {
            fs::rename(good(dir), dir.join("good")).expect("a rename");
            let file = link(dir, "good");
            std::os::unix::fs::lchown(&file, Some(12345), None).expect("an owner");
            file
        }),
        bad_file("world-writable directory", &[], "is writable by everybody (mode 0777)", |dir| {
            drop(good(dir));
            mode(dir, 0o777)
        }),
        bad_file("link into a world-writable directory", &[], "is writable by everybody (mode 0777)", |dir| {
            fs::create_dir(dir.join("open")).expect("a directory");
            drop(good(&mode(&dir.join("open"), 0o777)));
            link(dir, "open/libexecutor_misbehave.so")
        }),
    ]
}

fn path(dir: &Path) -> PathBuf {
    dir.join("libexecutor_misbehave.so")
}

fn good(dir: &Path) -> PathBuf {
    misbehaving("good", "misbehave", dir)
}

fn text(dir: &Path, contents: &str) -> PathBuf {
    write(&path(dir), contents);
    path(dir)
}

fn link(dir: &Path, target: &str) -> PathBuf {
    symlink(target, path(dir)).expect("a link");
    path(dir)
}

fn mode(file: &Path, mode: u32) -> PathBuf {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("a mode");
    file.to_owned()
}
