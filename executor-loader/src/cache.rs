//! Remembers what plugins answered, so that a start-up need not ask again.
//!
//! An answer holds for one file (device, inode, size, times) and one situation: this boot, this user with these
//! capabilities, namespaces and resource groups, this version of the interface, these settings. That a plugin cannot be
//! used holds for ten seconds only, since its operator may be about to mend that. A cache that is missing, foreign or
//! damaged is the same as an empty one. A task is admitted by what is remembered; what the host can no longer do is then an
//! error of its start.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use executor_api::Capabilities;
use executor_api::abi::API_VERSION;
use executor_api::plugin::HostSettings;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::trust::FileIdentity;

/// The cache's file in its directory.
const FILE: &str = "plugins.json";
/// The largest file that is read.
const LARGEST: u64 = 4 << 20;

/// Answers of plugins, in memory; read once, written once.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    content: Content,
    changed: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    situation: String,
    answers: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    identity: FileIdentity,
    capabilities: Capabilities,
    /// When it was asked, in seconds since 1970.
    asked: u64,
}

/// How long it is believed that a plugin cannot be used, in seconds.
const UNUSABLE: u64 = 10;

impl Entry {
    fn holds(&self, now: u64) -> bool {
        // A clock that was set back makes no answer younger than it is.
        self.capabilities.usable || (self.asked..=self.asked + UNUSABLE).contains(&now)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Cache {
    /// The cache in `dir` for the present situation; `None` where the system does not tell the situation.
    pub(crate) fn open(dir: PathBuf, settings: &HostSettings) -> Option<Self> {
        let situation = situation(settings)?;
        let read = read(&dir).ok().and_then(|text| serde_json::from_str::<Content>(&text).ok());
        let content = read.filter(|content| content.situation == situation);
        let content = content.unwrap_or(Content { situation, answers: Vec::new() });
        Some(Self { dir, content, changed: false })
    }

    /// The cache in `dir` without what it holds, to be written anew.
    pub(crate) fn empty(dir: PathBuf, settings: &HostSettings) -> Option<Self> {
        let content = Content { situation: situation(settings)?, answers: Vec::new() };
        Some(Self { dir, content, changed: false })
    }

    /// What the plugin in the file `identity` answered before.
    pub(crate) fn answer(&self, identity: &FileIdentity) -> Option<&Capabilities> {
        let now = now();
        let found = self.content.answers.iter().find(|entry| entry.identity == *identity && entry.holds(now));
        found.map(|entry| &entry.capabilities)
    }

    /// Remembers an answer.
    pub(crate) fn remember(&mut self, identity: &FileIdentity, capabilities: &Capabilities) {
        self.content.answers.retain(|entry| entry.identity != *identity);
        let (identity, capabilities) = (identity.clone(), capabilities.clone());
        self.content.answers.push(Entry { identity, capabilities, asked: now() });
        self.changed = true;
    }

    /// Writes what is new, dropping the answers of files that are not in `seen`.
    ///
    /// # Errors
    ///
    /// What kept it from being written; the next start-up then asks again.
    pub(crate) fn save(mut self, seen: &[&FileIdentity]) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        self.content.answers.retain(|entry| seen.contains(&&entry.identity));
        // The state directory and this one in it; what lies above is the operator's to make.
        for dir in self.dir.parent().into_iter().chain([&*self.dir]) {
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => (),
            }
        }
        check_owner(&fs::symlink_metadata(&self.dir)?)?;
        let mut file = tempfile::Builder::new().prefix(".plugins-").tempfile_in(&self.dir)?;
        file.write_all(serde_json::to_string(&self.content)?.as_bytes())?;
        file.persist(self.dir.join(FILE)).map(drop).map_err(io::Error::from)
    }
}

fn read(dir: &Path) -> io::Result<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(dir.join(FILE))?;
    let stat = file.metadata()?;
    check_owner(&stat)?;
    if !stat.is_file() || stat.len() > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Refuses what somebody else could have written.
fn check_owner(stat: &fs::Metadata) -> io::Result<()> {
    match stat.uid() == geteuid().as_raw() && stat.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Everything that an answer depends on beside the file; `None` where the system does not tell.
fn situation(settings: &HostSettings) -> Option<String> {
    let proc = |file: &str| fs::read_to_string(Path::new("/proc").join(file)).ok();
    let boot = proc("sys/kernel/random/boot_id")?;
    let status = proc("self/status")?;
    let lines = status
        .lines()
        .filter(|line| ["Uid:", "Gid:", "Cap", "NoNewPrivs:", "Seccomp:"].iter().any(|key| line.starts_with(key)));
    let rights: Vec<&str> = lines.collect();
    let namespaces: BTreeMap<_, _> = fs::read_dir("/proc/self/ns")
        .ok()?
        .filter_map(|entry| entry.ok())
        .filter_map(|entry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?)))
        .collect();
    let groups = proc("self/cgroup")?;
    let settings = serde_json::to_string(settings).ok()?;
    Some(format!("{API_VERSION}\n{boot}{}\n{namespaces:?}\n{groups}{settings}", rights.join("\n")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::trust::tests::trusted_dir;

    fn identity() -> FileIdentity {
        let file = tempfile::NamedTempFile::new().expect("a file");
        crate::trust::FileIdentity::of(&file.as_file().metadata().expect("stat"))
    }

    fn saved(dir: &Path, identity: &FileIdentity) {
        let mut cache = Cache::open(dir.to_owned(), &HostSettings::default()).expect("a situation");
        cache.remember(identity, &Capabilities::usable(3));
        cache.save(&[identity]).expect("it is written");
    }

    fn found(dir: &Path, identity: &FileIdentity) -> Option<i32> {
        let cache = Cache::open(dir.to_owned(), &HostSettings::default()).expect("a situation");
        cache.answer(identity).map(|capabilities| capabilities.score)
    }

    #[test]
    fn an_answer_holds_for_the_same_file_and_situation_only() {
        let dir = trusted_dir();
        let (one, other) = (identity(), identity());
        saved(dir.path(), &one);
        assert_eq!(found(dir.path(), &one), Some(3));
        assert_eq!(found(dir.path(), &other), None);
        let mut settings = HostSettings::default();
        settings.state_dir = Some("/elsewhere".into());
        assert!(Cache::open(dir.path().to_owned(), &settings).expect("a situation").answer(&one).is_none());
    }

    #[test]
    fn no_directory_is_made_above_the_state_directory() {
        let dir = trusted_dir();
        let one = identity();
        saved(&dir.path().join("state/cache"), &one);
        assert_eq!(found(&dir.path().join("state/cache"), &one), Some(3));
        let mut cache = Cache::open(dir.path().join("not/state/cache"), &HostSettings::default()).expect("a situation");
        cache.remember(&one, &Capabilities::usable(3));
        assert!(cache.save(&[&one]).is_err() && !dir.path().join("not").exists());
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let dir = trusted_dir();
        let one = identity();
        let file = dir.path().join(FILE);
        saved(dir.path(), &one);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("chmod");
        assert_eq!(found(dir.path(), &one), None, "world-writable");
        let aside = dir.path().join("aside");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::rename(&file, &aside).expect("rename");
        symlink(&aside, &file).expect("a link");
        assert_eq!(found(dir.path(), &one), None, "a link");
        fs::remove_file(&file).expect("remove");
        fs::write(&file, [0xff; 100]).expect("write");
        assert_eq!(found(dir.path(), &one), None, "damaged");
    }

    #[test]
    fn that_a_plugin_cannot_be_used_is_believed_for_a_while_only() {
        let entry = |capabilities, asked| Entry { identity: identity(), capabilities, asked };
        let unusable = || Capabilities::unusable("no supervisor", "install it");
        assert!(entry(unusable(), 100).holds(100) && entry(unusable(), 100).holds(110));
        assert!(!entry(unusable(), 100).holds(111) && !entry(unusable(), 100).holds(99), "later, or a clock set back");
        assert!(entry(Capabilities::usable(1), 100).holds(1_000_000));
    }
}
