//! Which files and directories are trusted, and what is said of the others.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use tempfile::TempDir;

use super::*;

/// A directory that is trusted whatever the umask is.
pub(crate) fn trusted_dir() -> TempDir {
    let builder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir();
    builder.expect("a directory")
}

/// Writes a file that is trusted whatever the umask is.
pub(crate) fn write_trusted(path: &Path, contents: impl AsRef<[u8]>) {
    fs::write(path, contents).expect("a file");
    set_mode(path, 0o644);
}

/// A directory with one good file in it.
fn good() -> (TempDir, PathBuf) {
    let dir = trusted_dir();
    let file = dir.path().join("file");
    write_trusted(&file, "good");
    (dir, file)
}

/// A directory at `path` that is trusted whatever the umask is.
fn make_dir(path: &Path) {
    fs::create_dir(path).expect("a directory");
    set_mode(path, 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Checks the reason and the fix of a refusal, in which `@` stands for `dir`.
fn check(answer: Result<TrustedFile, Refusal>, dir: &Path, why: &str, fix: &str) {
    let refusal = answer.expect_err(why);
    let put = |text: &str| text.replace('@', &dir.display().to_string());
    assert_eq!((refusal.why, refusal.fix), (put(why), put(fix)));
    assert_eq!(refusal.stage, Stage::Trust);
}

#[test]
fn a_file_of_our_own_in_a_directory_of_our_own_is_trusted() {
    let (dir, file) = good();
    let trusted = open_trusted(&file).expect("it is trusted");
    assert_eq!((trusted.path.as_path(), trusted.identity.size), (file.as_path(), 4));
    trusted.is_unchanged().expect("it is unchanged");
    assert_eq!(real_dir(dir.path()), Ok(Some(dir.path().to_owned())));
}

#[test]
fn what_is_no_regular_file_has_words_of_its_own() {
    let (dir, _) = good();
    let dir = dir.path();
    let at = |name: &str| dir.join(name);
    let fix = "put the plugin's file there, or remove it";
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    check(open_trusted(&at("pipe")), dir, "@/pipe is a named pipe, not a regular file", fix);
    check(open_trusted(Path::new("/dev/zero")), dir, "/dev/zero is a character device, not a regular file", fix);
    make_dir(&at("dir"));
    check(open_trusted(&at("dir")), dir, "@/dir is a directory, not a regular file", fix);
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    check(open_trusted(&at("socket")), dir, "@/socket is a socket, not a regular file", fix);
    symlink("/dev/zero", at("zero")).expect("a link");
    let why = "/dev/zero, where @/zero leads, is a character device, not a regular file";
    check(open_trusted(&at("zero")), dir, why, fix);
    symlink("gone", at("dangling")).expect("a link");
    let why = "@/dangling is a link to @/gone, which does not exist";
    check(open_trusted(&at("dangling")), dir, why, "rm @/dangling");
    check(open_trusted(&at("absent")), dir, "@/absent does not exist", "");
    check(open_trusted(&at("file/below")), dir, "@/file is a regular file, not a directory", "");
}

#[test]
fn what_others_can_write_is_refused_with_the_command_that_mends_it() {
    let (dir, file) = good();
    let dir = dir.path();
    for (mode, who) in [(0o666, "everybody"), (0o664, "its group")] {
        set_mode(&file, mode);
        let why = format!("@/file is writable by {who} (mode {mode:04o})");
        check(open_trusted(&file), dir, &why, "chmod go-w @/file");
    }
    set_mode(&file, 0o4755);
    check(open_trusted(&file), dir, "@/file is set-uid or set-gid (mode 4755)", "chmod ug-s @/file");
    set_mode(&file, 0o644);
    set_mode(dir, 0o777);
    let why = "the directory @ is writable by everybody (mode 0777)";
    check(open_trusted(&file), dir, why, "chmod go-w @");
    assert_eq!(real_dir(dir).expect_err("a refusal").why, why.replace('@', &dir.display().to_string()));
    make_dir(&dir.join("below"));
    assert!(real_dir(&dir.join("below")).is_err());
}

#[test]
fn a_sticky_directory_is_trusted_only_if_it_is_roots() {
    let (dir, file) = good();
    set_mode(dir.path(), 0o1777);
    assert_eq!(open_trusted(&file).is_ok(), nix::unistd::geteuid().is_root());
}

#[test]
fn links_are_followed_and_the_real_path_is_checked() {
    let (dir, file) = good();
    let dir = dir.path();
    make_dir(&dir.join("sub"));
    symlink("../file", dir.join("sub/link")).expect("a link");
    symlink("sub", dir.join("way")).expect("a link");
    let trusted = open_trusted(&dir.join("way/link")).expect("it is trusted");
    assert_eq!((trusted.path, trusted.asked), (file, dir.join("way/link")));
    set_mode(&dir.join("sub"), 0o777);
    let why = "the directory @/sub is writable by everybody (mode 0777)";
    check(open_trusted(&dir.join("way/link")), dir, why, "chmod go-w @/sub");
    assert_eq!(real_dir(&dir.join("absent/below")), Ok(None));
}

#[test]
fn a_ring_of_links_ends() {
    let (dir, file) = good();
    let dir = dir.path();
    symlink("b", dir.join("a")).expect("a link");
    symlink("a", dir.join("b")).expect("a link");
    check(open_trusted(&dir.join("a")), dir, "@/a leads over more than 8 links", "");
    symlink(file, dir.join("1")).expect("a link");
    for number in 1..9 {
        symlink(number.to_string(), dir.join((number + 1).to_string())).expect("a link");
    }
    assert!(open_trusted(&dir.join("8")).is_ok());
    assert!(open_trusted(&dir.join("9")).is_err());
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (dir, file) = good();
    let dir = dir.path();
    chown(&file, Some(12345), None).expect("an owner");
    check(open_trusted(&file), dir, "@/file belongs to uid 12345, not to root", "chown -h 0 @/file");
    symlink("/bin/sh", dir.join("link")).expect("a link");
    std::os::unix::fs::lchown(dir.join("link"), Some(12345), None).expect("an owner");
    let why = "the link @/link belongs to uid 12345, not to root";
    check(open_trusted(&dir.join("link")), dir, why, "chown -h 0 @/link");
    chown(dir, Some(12345), None).expect("an owner");
    check(open_trusted(&file), dir, "the directory @ belongs to uid 12345, not to root", "chown -h 0 @");
}

#[test]
fn a_change_under_way_is_seen() {
    let changes: [fn(&Path); 4] = [
        |file| fs::write(file, "more than before").expect("a write"),
        |file| fs::remove_file(file).expect("a removal"),
        |file| set_mode(file, 0o600),
        |file| {
            fs::write(file.with_extension("new"), "good").expect("a file");
            fs::rename(file.with_extension("new"), file).expect("a rename");
        },
    ];
    for change in changes {
        let (_dir, file) = good();
        let trusted = open_trusted(&file).expect("it is trusted");
        change(&file);
        assert!(trusted.is_unchanged().is_err());
    }
}
