//! The optional list of allowed plugin files, in the format of `sha256sum`: a file that is not on it is not loaded.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::refusal::{Refusal, Stage, shell};
use crate::trust::{TrustedFile, open_trusted};

/// The largest list; some thousands of lines.
const LARGEST: u64 = 1 << 20;
/// What is read of a file at a time.
const CHUNK: usize = 64 * 1024;

/// File names and the SHA-256 digest that each must have.
#[derive(Clone, Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    digests: BTreeMap<String, [u8; 32]>,
}

impl LockFile {
    /// Reads the list at `path`, which must be trusted as a plugin must. Directories in the names are ignored, so that
    /// the output of `sha256sum DIR/*.so` is a list.
    ///
    /// # Errors
    ///
    /// A refusal for a list that is not trusted, too large, or has a line that is not of the format.
    pub(crate) fn read(path: &Path) -> Result<Self, Refusal> {
        let text = text(&open_trusted(path)?)?;
        let mut digests = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |why: &str| refusal(format!("line {} of {} {why}", number + 1, path.display()));
            let (name, digest) = entry(line)
                .ok_or_else(|| wrong("is not `<sha256 in hex>  <file name>`").with_fix("write it with sha256sum"))?;
            if digests.insert(name.to_owned(), digest).is_some_and(|other| other != digest) {
                return Err(wrong("gives a second digest for a file"));
            }
        }
        Ok(Self { path: path.to_owned(), digests })
    }

    /// Checks that `file` is on the list, under its own name or that of a link to it, and has the digest given there.
    ///
    /// # Errors
    ///
    /// A refusal when it is not, and when the file cannot be read or changes meanwhile.
    pub(crate) fn check(&self, file: &TrustedFile) -> Result<(), Refusal> {
        let names = [file.asked.file_name(), file.path.file_name()];
        let listed = |name: &&OsStr| name.to_str().and_then(|name| self.digests.get(name));
        let add = format!("if it is meant to be there: sha256sum {} >> {}", shell(&file.path), shell(&self.path));
        let Some(expected) = names.iter().flatten().find_map(listed) else {
            return Err(refusal(format!("it is not on the list {}", self.path.display())).with_fix(add));
        };
        let mut hash = Sha256::new();
        each_chunk(file, |chunk| hash.update(chunk))?;
        if hash.finalize()[..] == expected[..] {
            return Ok(());
        }
        let why = format!("its digest is not the one on the list {}", self.path.display());
        Err(refusal(why).with_fix("install the file again, or bring the list up to date"))
    }
}

/// Reads a file of settings as text.
///
/// # Errors
///
/// A refusal for a file that is too large, cannot be read, or is not UTF-8.
pub(crate) fn text(file: &TrustedFile) -> Result<String, Refusal> {
    let mut text = Vec::new();
    if file.identity.size > LARGEST {
        return Err(refusal(format!("{} is larger than {LARGEST} bytes", file.path.display())));
    }
    each_chunk(file, |chunk| text.extend_from_slice(chunk))?;
    String::from_utf8(text).map_err(|_| refusal(format!("{} is not text", file.path.display())))
}

/// Reads the whole of `file` once, without moving its offset.
///
/// # Errors
///
/// A refusal for a file that cannot be read, or becomes shorter meanwhile.
pub(crate) fn each_chunk(file: &TrustedFile, mut take: impl FnMut(&[u8])) -> Result<(), Refusal> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < file.identity.size {
        let most = usize::try_from(file.identity.size - at).map_or(CHUNK, |left| left.min(CHUNK));
        let read = file.file.read_at(&mut chunk[..most], at);
        let read = read.map_err(|error| refusal(format!("{} cannot be read: {error}", file.path.display())))?;
        if read == 0 {
            return Err(refusal(format!("{} became shorter while it was being read", file.path.display())));
        }
        take(&chunk[..read]);
        at += read as u64;
    }
    Ok(())
}

/// Name and digest of one line: 64 hex digits, a space, a space or an asterisk, the file.
fn entry(line: &str) -> Option<(&str, [u8; 32])> {
    let (hex, rest) = line.split_at_checked(64)?;
    let path = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some((name, digest))
}

fn refusal(why: impl AsRef<str>) -> Refusal {
    Refusal::new(Stage::Lock, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::tests::{trusted_dir, write_trusted};

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn answer(list: &str, name: &str, contents: &str) -> Result<(), Refusal> {
        let dir = trusted_dir();
        let (lock, file) = (dir.path().join("lock"), dir.path().join(name));
        write_trusted(&lock, list);
        write_trusted(&file, contents);
        LockFile::read(&lock)?.check(&open_trusted(&file)?)
    }

    #[test]
    fn the_output_of_sha256sum_is_a_list() {
        for list in [format!("{ABC}  a.so\n"), format!("# ours\n\n{EMPTY}  b.so\n{ABC} */usr/lib/a.so")] {
            assert_eq!(answer(&list, "a.so", "abc"), Ok(()));
        }
    }

    #[test]
    fn what_is_not_on_the_list_or_differs_is_refused() {
        let absent = answer(&format!("{ABC}  a.so\n"), "b.so", "abc").expect_err("not listed");
        assert!(absent.why.starts_with("it is not on the list"), "{absent}");
        let differs = answer(&format!("{ABC}  a.so\n"), "a.so", "abd").expect_err("another digest");
        assert!(differs.why.starts_with("its digest is not"), "{differs}");
        assert!(answer("", "a.so", "").is_err());
    }

    #[test]
    fn a_link_is_listed_under_either_name() {
        let dir = trusted_dir();
        let (lock, link) = (dir.path().join("lock"), dir.path().join("link.so"));
        write_trusted(&dir.path().join("file.so.1"), "abc");
        std::os::unix::fs::symlink("file.so.1", &link).expect("a link");
        for name in ["link.so", "file.so.1"] {
            write_trusted(&lock, format!("{ABC}  {name}\n"));
            let list = LockFile::read(&lock).expect("a list");
            list.check(&open_trusted(&link).expect("trusted")).expect("it is on the list");
        }
    }

    #[test]
    fn a_list_that_is_not_one_is_refused_with_its_line() {
        let contradiction = format!("{ABC}  a\n{EMPTY}  a\n");
        let lists = ["x", "# ok\nx", &format!("{ABC} a.so"), &format!("{}  a", "é".repeat(32)), &contradiction];
        for list in lists {
            let refusal = answer(list, "a", "").expect_err("not a list");
            assert!(refusal.why.starts_with("line "), "{refusal}");
        }
    }
}
