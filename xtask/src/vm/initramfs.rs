//! The guest's files: what boots, what it runs, and what that needs, in one archive for all lanes.
//!
//! `/init` makes `/system` the root and goes on there. A first root cannot be left by pivot_root(2), which tasks may
//! want to do; a mount on top of it can. In `/system`, `vm` is the machine's own, all else is what suites may see.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use super::cpio::Tree;
use super::suites::{self, Load, SUITES};
use crate::error::{Doing, Error, Result};

/// The first process: the first root's only job is to be left.
const FIRST: &str = "#!/busybox sh\n\
    /busybox mount --bind /system /system\ncd /system\n/busybox mount --move . /\nexec /busybox chroot . /vm/init\n";
/// The first process from then on.
const INIT: &str = include_str!("init.sh");
/// Where the installation is in a guest.
const PREFIX: &str = "opt/executor";
const SYSTEM: &str = "system";
/// Directories that are links into /usr.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:1000::/home/tester:/bin/sh\n\
    nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntester:x:1000:\nnogroup:x:65534:\n";
const SUBORDINATE: &str = "tester:100000:65536\n";

/// Writes the archive to `to`; `words` are what each suite is called with.
pub(super) fn write(busybox: &Path, load: &Load, words: &[String], to: &Path) -> Result {
    let mut tree = Tree::default();
    tree.text("init", 0o755, FIRST);
    tree.copy("busybox", busybox);
    tree.device("dev/console", 5, 1);
    machine(&mut tree, load, words);
    programs(&mut tree, load)?;
    applets(&mut tree, busybox)?;
    let above = to.parent().unwrap_or(Path::new("."));
    let temporary = NamedTempFile::new_in(above).doing(format!("make a file in {}", above.display()))?;
    let mut file = BufWriter::new(temporary.as_file());
    tree.write(&mut file).and_then(|()| file.flush()).doing(format!("write {}", to.display()))?;
    drop(file);
    // A guest that is booting from another one keeps that.
    temporary.persist(to).map(drop).doing(format!("make {}", to.display()))
}

/// A path within the guest's root.
fn system(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    Path::new(SYSTEM).join(path.strip_prefix("/").unwrap_or(path))
}

/// Directories, accounts, the machine's own scripts.
fn machine(tree: &mut Tree, load: &Load, words: &[String]) {
    for dir in ["dev", "proc", "sys", "run", "mnt", "root"] {
        tree.directory(system(dir));
    }
    tree.directory_of(system("tmp"), 0o1777, 0);
    tree.directory_of(system("var/tmp"), 0o1777, 0);
    tree.directory_of(system("home/tester"), 0o755, 1000);
    for dir in MERGED {
        tree.link(system(dir), format!("usr/{dir}"));
        tree.directory(system("usr").join(dir));
    }
    for (name, content) in [("passwd", PASSWD), ("group", GROUP), ("subuid", SUBORDINATE), ("subgid", SUBORDINATE)] {
        tree.text(system("etc").join(name), 0o644, content);
    }
    tree.text(system("etc/nsswitch.conf"), 0o644, "passwd: files\ngroup: files\n");
    tree.directory(system(&load.scratch));
    for suite in SUITES {
        tree.directory(system(load.root.join(suite.package)));
    }
    for page in &load.pages {
        tree.copy(system(page), page);
    }
    tree.text(system("vm/init"), 0o755, INIT);
    let suites = SUITES.map(|suite| format!("{} {} {}\n", suite.name, suite.package, suite.seconds));
    tree.text(system("vm/suites"), 0o644, suites.concat());
    tree.text(system("vm/call"), 0o644, call(load, words));
}

/// The part of the script that depends on the call.
fn call(load: &Load, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let [root, scratch] = [&load.root, &load.scratch].map(|dir| quoted(&dir.to_string_lossy()));
    format!("prefix=/{PREFIX}\nroot={root}\nscratch={scratch}\nset -- {}\n", words.join(" "))
}

/// A word for the shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The suites, the installation, the programs that they call, and everybody's libraries.
fn programs(tree: &mut Tree, load: &Load) -> Result {
    let mut all = Vec::new();
    for (name, program) in &load.suites {
        tree.copy(system("vm/suites.d").join(name), program);
        all.push(program.clone());
    }
    for dir in ["bin", "lib/executor/1"] {
        let from = load.prefix.join(dir);
        let entries = fs::read_dir(&from).doing(format!("read {}", from.display()))?;
        for file in entries.flatten().map(|entry| entry.path()).filter(|file| file.is_file()) {
            tree.copy(system(PREFIX).join(dir).join(file.file_name().unwrap_or_default()), &file);
            all.push(file);
        }
    }
    for program in suites::programs() {
        tree.copy(system("usr/bin").join(program.file_name().unwrap_or_default()), &program);
        all.push(program);
    }
    for library in suites::libraries(&all)? {
        tree.copy(system(merged(&library)), &library);
    }
    Ok(())
}

/// The path below /usr of a file in a directory that is a link in the guest.
fn merged(path: &Path) -> PathBuf {
    let moved = MERGED.iter().any(|dir| path.starts_with(Path::new("/").join(dir)));
    let rest = path.strip_prefix("/").unwrap_or(path);
    if moved { Path::new("usr").join(rest) } else { rest.to_owned() }
}

/// What busybox can be called: all of it for the machine's script, and for the suites what they do not have already.
fn applets(tree: &mut Tree, busybox: &Path) -> Result {
    let mut list = Command::new(busybox);
    let output = list.arg("--list").stdin(Stdio::null()).output().doing("start busybox")?;
    if !output.status.success() {
        return Err(Error::new(format!("busybox --list: {}", output.status)));
    }
    tree.copy(system("vm/busybox"), busybox);
    // Where tasks see it that have a root of their own with /usr in it.
    tree.copy(system("usr/bin/busybox"), busybox);
    for name in String::from_utf8_lossy(&output.stdout).lines() {
        tree.link(system("vm/applets").join(name), "../busybox");
        if !tree.has(system("usr/bin").join(name)) {
            tree.link(system("usr/bin").join(name), "busybox");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_where_the_guests_links_lead() {
        assert_eq!(merged(Path::new("/lib64/ld-linux-x86-64.so.2")), Path::new("usr/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(merged(Path::new("/lib/x/libc.so.6")), Path::new("usr/lib/x/libc.so.6"));
        assert_eq!(merged(Path::new("/usr/lib/x/libc.so.6")), Path::new("usr/lib/x/libc.so.6"));
        assert_eq!(merged(Path::new("/opt/lib/a.so")), Path::new("opt/lib/a.so"));
    }

    #[test]
    fn words_reach_the_suites_as_they_are() {
        let words = ["--exact".to_owned(), "it's $HOME".to_owned()];
        let [root, scratch] = ["/a b", "/c"].map(PathBuf::from);
        let load = Load { suites: Vec::new(), prefix: PathBuf::new(), root, scratch, pages: Vec::new() };
        let script = format!("{}printf '%s|' \"$prefix\" \"$root\" \"$scratch\" \"$@\"", call(&load, &words));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "/opt/executor|/a b|/c|--exact|it's $HOME|");
    }

    #[test]
    fn the_machines_script_is_a_script() {
        let output = Command::new("sh").args(["-n", "-c", INIT]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
