//! A tree of files, and the archive of it that a kernel unpacks as its first root.
//!
//! The tree is not on disk, so it needs no rights: its files are root's and its devices are devices. The format is
//! newc, uncompressed, as in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTER: u32 = 0o020_600;
const NAME_OF_THE_END: &str = "TRAILER!!!";

/// What a name of the tree stands for.
#[derive(Debug)]
enum Node {
    Directory {
        mode: u32,
        uid: u32,
    },
    Text {
        content: Vec<u8>,
        mode: u32,
    },
    /// A file of this machine, read when the archive is written.
    Copy {
        from: PathBuf,
    },
    Link {
        to: PathBuf,
    },
    Device {
        major: u32,
        minor: u32,
    },
}

/// Files by their path, without `/` before it.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<PathBuf, Node>);

impl Tree {
    /// A directory that only root changes, and those above it.
    pub(super) fn directory(&mut self, path: impl AsRef<Path>) {
        self.above(&inside(path.as_ref()).join("x"));
    }

    /// A directory with this mode and owner.
    pub(super) fn directory_of(&mut self, path: impl AsRef<Path>, mode: u32, uid: u32) {
        self.put(path.as_ref(), Node::Directory { mode: (DIRECTORY & !0o7777) | mode, uid });
    }

    /// A file with this content.
    pub(super) fn text(&mut self, path: impl AsRef<Path>, mode: u32, content: impl Into<Vec<u8>>) {
        self.put(path.as_ref(), Node::Text { content: content.into(), mode: FILE | mode });
    }

    /// A copy of `from`, a file of this machine, for everybody to read and to execute.
    pub(super) fn copy(&mut self, path: impl AsRef<Path>, from: &Path) {
        self.put(path.as_ref(), Node::Copy { from: from.to_owned() });
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: impl AsRef<Path>, to: impl Into<PathBuf>) {
        self.put(path.as_ref(), Node::Link { to: to.into() });
    }

    /// A character device.
    pub(super) fn device(&mut self, path: impl AsRef<Path>, major: u32, minor: u32) {
        self.put(path.as_ref(), Node::Device { major, minor });
    }

    /// Whether there is something by this name.
    pub(super) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.0.contains_key(&inside(path.as_ref()))
    }

    fn put(&mut self, path: &Path, node: Node) {
        let path = inside(path);
        self.above(&path);
        self.0.insert(path, node);
    }

    fn above(&mut self, path: &Path) {
        let dirs = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        for dir in dirs {
            self.0.entry(dir.to_owned()).or_insert(Node::Directory { mode: DIRECTORY, uid: 0 });
        }
    }

    /// Writes the archive. Directories come before what is in them: that is the order of their names.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for (number, (path, node)) in (1..).zip(&self.0) {
            let name = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            let entry = Entry { number, name, ..Entry::default() };
            match node {
                Node::Directory { mode, uid } => Entry { mode: *mode, uid: *uid, ..entry }.write(to, &[])?,
                Node::Text { content, mode } => Entry { mode: *mode, ..entry }.write(to, content)?,
                Node::Copy { from } => {
                    let content = fs::read(from)
                        .map_err(|error| io::Error::new(error.kind(), format!("read {}: {error}", from.display())))?;
                    Entry { mode: FILE | 0o755, ..entry }.write(to, &content)?;
                }
                Node::Link { to: target } => {
                    Entry { mode: LINK, ..entry }.write(to, target.as_os_str().as_encoded_bytes())?;
                }
                Node::Device { major, minor } => {
                    Entry { mode: CHARACTER, device: (*major, *minor), ..entry }.write(to, &[])?;
                }
            }
        }
        Entry { name: NAME_OF_THE_END, ..Entry::default() }.write(to, &[])
    }
}

/// The path within the tree: no root, no dots.
fn inside(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// The head of a file in the archive.
#[derive(Clone, Copy, Debug, Default)]
struct Entry<'a> {
    number: u32,
    mode: u32,
    uid: u32,
    device: (u32, u32),
    name: &'a str,
}

impl Entry<'_> {
    fn write(&self, to: &mut impl Write, content: &[u8]) -> io::Result<()> {
        let size = |length: usize| u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge);
        let (length, name) = (size(content.len())?, size(self.name.len() + 1)?);
        let (links, time, group, check) = (1, 0, 0, 0);
        let fields = [self.number, self.mode, self.uid, group, links, time, length, 0, 0];
        let mut head = String::from("070701");
        for field in fields.into_iter().chain([self.device.0, self.device.1, name, check]) {
            head += &format!("{field:08x}");
        }
        head += self.name;
        head.push('\0');
        to.write_all(head.as_bytes())?;
        to.write_all(padding(head.len()))?;
        to.write_all(content)?;
        to.write_all(padding(content.len()))
    }
}

/// What fills up to the next multiple of four.
fn padding(length: usize) -> &'static [u8] {
    &[0; 3][..(4 - length % 4) % 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tree: &Tree) -> Vec<u8> {
        let mut archive = Vec::new();
        tree.write(&mut archive).unwrap();
        archive
    }

    /// Name, mode, size and content of each file, read back by the format's own rules.
    fn read(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut files = Vec::new();
        loop {
            let field = |at: usize| {
                let digits = std::str::from_utf8(&archive[6 + at * 8..14 + at * 8]).unwrap();
                u32::from_str_radix(digits, 16).unwrap()
            };
            assert_eq!(&archive[..6], b"070701");
            let (size, length) = (field(6) as usize, field(11) as usize);
            let name = String::from_utf8(archive[110..110 + length - 1].to_vec()).unwrap();
            let begin = (110 + length).next_multiple_of(4);
            if name == NAME_OF_THE_END {
                return files;
            }
            files.push((name, field(1), archive[begin..begin + size].to_vec()));
            archive = &archive[(begin + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn what_is_put_in_comes_out_with_its_directories_before_it() {
        let mut tree = Tree::default();
        tree.text("/a/b/script", 0o755, "#!/bin/sh\n");
        tree.link("/a/link", "b/script");
        tree.device("dev/console", 5, 1);
        tree.directory("/proc");
        tree.directory_of("/tmp", 0o1777, 0);
        let files = read(&written(&tree));
        let listed: Vec<_> = files.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        let expected = [
            ("a", 0o040_755),
            ("a/b", 0o040_755),
            ("a/b/script", 0o100_755),
            ("a/link", 0o120_777),
            ("dev", 0o040_755),
            ("dev/console", 0o020_600),
            ("proc", 0o040_755),
            ("tmp", 0o041_777),
        ];
        assert_eq!(listed, expected);
        assert_eq!(files[2].2, b"#!/bin/sh\n");
        assert_eq!(files[3].2, b"b/script");
    }

    #[test]
    fn a_file_of_the_machine_is_copied_and_a_missing_one_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        fs::write(dir.path().join("five"), "12345").unwrap();
        tree.copy("five", &dir.path().join("five"));
        assert_eq!(read(&written(&tree)), [("five".to_owned(), 0o100_755, b"12345".to_vec())]);
        tree.copy("six", &dir.path().join("six"));
        let error = tree.write(&mut io::sink()).expect_err("it is not there");
        assert!(error.to_string().contains("six"), "{error}");
    }

    #[test]
    fn dots_do_not_lead_out_of_the_tree() {
        let mut tree = Tree::default();
        tree.text("/../../a", 0o644, "");
        assert!(tree.has("a") && tree.has("/a"));
    }

    #[test]
    fn every_part_is_filled_up_to_four() {
        let lengths = [0, 1, 2, 3, 4, 5].map(|length| padding(length).len());
        assert_eq!(lengths, [0, 3, 2, 1, 0, 3]);
    }
}
