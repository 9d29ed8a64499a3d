//! The mounts of group hierarchies that this process can reach, from the text of `/proc/self/mountinfo`. Pure.
//!
//! Follows proc_pid_mountinfo(5). A mount that another one lies over is left out: its path leads elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::controller::Version;

/// One mount of a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) version: Version,
    /// The part of the hierarchy that is seen here, by its path below the hierarchy's root.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    pub(super) writable: bool,
    /// The options of the hierarchy itself: on version 1 its controllers.
    pub(super) options: Vec<String>,
}

/// Any mount, as far as it matters here.
struct Line {
    id: u32,
    parent: u32,
    point: PathBuf,
    group: Option<Mount>,
}

/// Every mount of a hierarchy that its path leads to, in the order of the text.
///
/// # Errors
///
/// `InvalidData` for a line that is no mount: left out, it could be one that lies over a hierarchy.
pub(super) fn mounts(mountinfo: &[u8]) -> io::Result<Vec<Mount>> {
    let unread = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        io::Error::new(io::ErrorKind::InvalidData, format!("the line {text:?} is no mount"))
    };
    let texts = mountinfo.split(|byte| *byte == b'\n').filter(|text| !text.is_empty());
    let lines = texts.map(|text| line(text).ok_or_else(|| unread(text))).collect::<io::Result<Vec<Line>>>()?;
    let reachable = lines.iter().filter(|line| line.group.is_some() && leads_to(&line.point, &lines) == Some(line.id));
    Ok(reachable.filter_map(|line| line.group.clone()).collect())
}

/// The mount that the kernel comes to on its way along `path`, from the root that is on top.
fn leads_to(path: &Path, lines: &[Line]) -> Option<u32> {
    let is_first = |line: &Line| line.parent == line.id || !lines.iter().any(|parent| parent.id == line.parent);
    let mut at: Option<&Line> = None;
    let mut prefixes: Vec<&Path> = path.ancestors().collect();
    prefixes.reverse();
    for prefix in prefixes {
        // One mount can lie on another in the same place; a text that goes in circles ends all the same.
        for _ in 0..lines.len() {
            let is_next = |line: &Line| match at {
                Some(at) => line.parent == at.id && line.id != at.id,
                None => is_first(line),
            };
            let Some(next) = lines.iter().find(|line| line.point == prefix && is_next(line)) else { break };
            at = Some(next);
        }
    }
    at.map(|line| line.id)
}

/// `36 35 98:0 /root /point rw,noatime shared:1 - type source options`.
fn line(text: &[u8]) -> Option<Line> {
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let number = |at: usize| std::str::from_utf8(words.get(at)?).ok()?.parse().ok();
    let path = |at: usize| Some(PathBuf::from(unescaped(words.get(at)?)));
    let behind = 7 + words.get(6..)?.iter().position(|word| *word == b"-")?;
    let options = |at: usize| words.get(at).map(|list| String::from_utf8_lossy(list).into_owned());
    let version = match *words.get(behind)? {
        b"cgroup" => Some(Version::V1),
        b"cgroup2" => Some(Version::V2),
        _ => None,
    };
    let listed = |list: String| list.split(',').map(str::to_owned).collect::<Vec<_>>();
    let group = version.and_then(|version| {
        let writable = !listed(options(5)?).iter().any(|option| option == "ro");
        let options = listed(options(behind + 2)?);
        Some(Mount { version, root: path(3)?, point: path(4)?, writable, options })
    });
    Some(Line { id: number(0)?, parent: number(1)?, point: path(4)?, group })
}

/// Space, tab, newline and backslash stand as three octal digits behind a backslash.
fn unescaped(word: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

/// The path of a line of `/proc/self/cgroup`; none for a group that was removed.
pub(super) fn group_path(bytes: &[u8]) -> Option<PathBuf> {
    (!bytes.ends_with(b" (deleted)")).then(|| PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(mountinfo: &str) -> Vec<String> {
        mounts(mountinfo.as_bytes()).expect("mounts").iter().map(|mount| mount.point.display().to_string()).collect()
    }

    #[test]
    fn a_mount_under_another_is_not_reachable() {
        let plain = "27 1 254:0 / / rw - ext4 d rw\n31 27 0:28 / /sys/fs/cgroup rw - tmpfs t rw\n\
                     32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup c rw,cpu\n";
        assert_eq!(points(plain), ["/sys/fs/cgroup/cpu"]);
        let over = format!("{plain}46 31 0:39 / /sys/fs/cgroup rw - tmpfs t rw\n");
        assert!(points(&over).is_empty(), "its path is another file system's now");
        let on_top = format!("{over}47 46 0:29 / /sys/fs/cgroup/cpu rw - cgroup c rw,cpu\n");
        assert_eq!(points(&on_top), ["/sys/fs/cgroup/cpu"]);
        let stacked = format!("{plain}48 32 0:40 / /sys/fs/cgroup/cpu ro - tmpfs t ro\n");
        assert!(points(&stacked).is_empty());
    }

    #[test]
    fn a_mount_that_was_moved_below_a_later_root_is_reachable() {
        let moved = "24 90 0:22 / /sys rw - sysfs s rw\n25 24 0:29 / /sys/fs/cgroup rw - cgroup2 c rw\n\
                     90 1 254:0 / / rw - ext4 d rw\n1 1 0:2 / / rw - rootfs r rw\n";
        assert_eq!(points(moved), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn odd_paths_and_lines_are_read_as_they_are() {
        let odd = "32 31 0:29 /a\\040b /c\\134\\011d ro,relatime shared:1 master:2 - cgroup2 c rw,nsdelegate\n\
                   \n34 35 0:1 / /y rw - cgroup c rw,pids\n35 34 0:1 / /y rw - tmpfs t rw\n";
        let found = mounts(odd.as_bytes()).expect("mounts");
        assert_eq!((found[0].root.as_os_str(), found[0].point.as_os_str()), ("/a b".as_ref(), "/c\\\td".as_ref()));
        assert_eq!((found.len(), found[0].writable, found[0].options[1].as_str()), (1, false, "nsdelegate"));
        assert_eq!(group_path(b"/a (deleted)"), None);
    }

    #[test]
    fn a_line_that_is_no_mount_is_an_error_and_never_left_out() {
        let group = "31 27 0:28 / /sys/fs/cgroup rw - cgroup2 c rw\n";
        for odd in [
            "garbage",
            "33 31 0:30 / /x rw",
            "x 31 0:39 / /sys/fs/cgroup rw - tmpfs t rw",
            "46 - 0:39 / /x rw - t t rw",
        ] {
            let error = mounts(format!("{group}{odd}\n").as_bytes()).expect_err(odd);
            assert!(error.to_string().contains(odd), "{error}");
        }
    }
}
