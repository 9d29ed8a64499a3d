//! As whom the task runs: numbers for what the spec names, or the refusal.
//!
//! A root host gives the user `nobody` with nobody's own group and no other; another host gives itself and nothing else.
//! User 0 is never given, and group 0 only to those who name it: a database that lists a user in it is no reason.

use std::ffi::CString;
use std::fmt;
use std::io;

use executor_api::{Account, Error, ErrorKind, Identity, Result};
use nix::errno::Errno;
use nix::unistd::{Group, Uid, User, getegid, geteuid, getgid, getuid};

use crate::sys;

/// The user, group and groups that a task is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All that setgroups(2) is given, `gid` first.
    pub(crate) groups: Vec<u32>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} of group {}", self.uid, self.gid)
    }
}

/// The host's own ids: the real and the effective ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    uids: [u32; 2],
    gids: [u32; 2],
}

impl Caller {
    pub(crate) fn current() -> Self {
        Self { uids: [getuid(), geteuid()].map(Uid::as_raw), gids: [getgid(), getegid()].map(sys::number) }
    }
}

/// A user of the host's database.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    name: String,
    uid: u32,
    gid: u32,
}

/// The host's database of users and groups.
pub(crate) trait Accounts {
    fn user(&self, who: &Account) -> io::Result<Option<Person>>;
    fn group(&self, name: &str) -> io::Result<Option<u32>>;
    /// The groups that list the user `name`, with `own` among them.
    fn groups_of(&self, name: &str, own: u32) -> io::Result<Vec<u32>>;
}

/// The real one.
pub(crate) struct Database;

impl Accounts for Database {
    fn user(&self, who: &Account) -> io::Result<Option<Person>> {
        let found = match who {
            Account::Id(uid) => User::from_uid(Uid::from_raw(*uid)),
            Account::Name(name) => User::from_name(name),
        };
        let person = |user: User| Person { name: user.name, uid: user.uid.as_raw(), gid: sys::number(user.gid) };
        Ok(known(found)?.map(person))
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(known(Group::from_name(name))?.map(|group| sys::number(group.gid)))
    }

    fn groups_of(&self, name: &str, own: u32) -> io::Result<Vec<u32>> {
        sys::groups_of(&CString::new(name)?, own)
    }
}

/// What POSIX lets a database answer for a name that it does not have.
fn known<T>(found: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    match found {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        found => found,
    }
}

/// The owner of a task with this identity; none where it keeps what the host has.
pub(crate) fn owner(identity: &Identity, caller: &Caller, accounts: &impl Accounts) -> Result<Option<Owner>> {
    if caller.uids[1] == 0 {
        return wanted(identity, accounts).map(Some);
    }
    if caller.uids[0] != caller.uids[1] || caller.gids[0] != caller.gids[1] {
        let why = "its real and effective ids differ, and a task could choose between them";
        return Err(Error::new(ErrorKind::Denied, "run the task as the host's own user", why));
    }
    let own = (caller.uids[1], caller.gids[1]);
    let uid = identity.user.as_ref().map_or(Ok(own.0), |user| find(user, accounts).map(|(uid, _)| uid))?;
    let gid = identity.group.as_ref().map_or(Ok(own.1), |group| group_id(group, accounts))?;
    if identity.supplementary.is_some() || (uid, gid) != own {
        let what = format!("run the task as user {uid} of group {gid}");
        let why = format!("the host is user {} of group {}, and only root can change that", own.0, own.1);
        return Err(Error::new(ErrorKind::Denied, what, why).with_fix("run the host as root, or name no user"));
    }
    Ok(None)
}

/// What `identity` asks of a root host.
fn wanted(identity: &Identity, accounts: &impl Accounts) -> Result<Owner> {
    let nobody = Account::Name("nobody".into());
    let user = identity.user.as_ref().unwrap_or(&nobody);
    let what = || format!("run the task as user {user}");
    let (uid, person) = find(user, accounts)?;
    if uid == 0 {
        let error = Error::new(ErrorKind::Denied, what(), "the host's root never becomes the task's");
        return Err(error.with_fix("name another user"));
    }
    let gid = match (&identity.group, &person) {
        (Some(group), _) => group_id(group, accounts)?,
        (None, Some(person)) if person.gid != 0 => person.gid,
        (None, Some(_)) => return Err(group_zero(what(), "its own group is 0", "name a group")),
        (None, None) => {
            let why = "the database does not know it, so it has no group of its own";
            return Err(Error::invalid(what(), why).with_fix("name a group"));
        }
    };
    let mut groups = supplementary(identity, gid, person.as_ref(), accounts)?;
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| *group != gid);
    groups.insert(0, gid);
    Ok(Owner { uid, gid, groups })
}

/// The groups besides `gid`: those that are named, or those that the database gives a user who is named. The default
/// user has nothing but its own group, whatever the database says of it.
fn supplementary(identity: &Identity, gid: u32, person: Option<&Person>, accounts: &impl Accounts) -> Result<Vec<u32>> {
    if let Some(named) = &identity.supplementary {
        return named.iter().map(|group| group_id(group, accounts)).collect();
    }
    let Some(person) = person.filter(|_| identity.user.is_some()) else { return Ok(Vec::new()) };
    let what = || format!("run the task as user {}", person.name);
    let listed = accounts.groups_of(&person.name, gid).map_err(|source| Error::from_io(what(), &source))?;
    if gid != 0 && listed.contains(&0) {
        return Err(group_zero(what(), "the database lists it in group 0", "name the supplementary groups"));
    }
    Ok(listed)
}

/// The number of a user, and what the database says of it; a number need not be there.
fn find(user: &Account, accounts: &impl Accounts) -> Result<(u32, Option<Person>)> {
    let what = || format!("run the task as user {user}");
    let person = accounts.user(user).map_err(|source| Error::from_io(what(), &source))?;
    match (&person, user) {
        (Some(found), _) => Ok((found.uid, person)),
        (None, Account::Id(uid)) => Ok((*uid, None)),
        (None, Account::Name(_)) => Err(unknown(what(), "user")),
    }
}

fn group_id(group: &Account, accounts: &impl Accounts) -> Result<u32> {
    let what = || format!("run the task in group {group}");
    match group {
        Account::Id(gid) => Ok(*gid),
        Account::Name(name) => {
            let found = accounts.group(name).map_err(|source| Error::from_io(what(), &source))?;
            found.ok_or_else(|| unknown(what(), "group"))
        }
    }
}

fn unknown(what: String, kind: &str) -> Error {
    Error::invalid(what, format!("there is no such {kind}")).with_errno(Errno::ENOENT as i32)
}

fn group_zero(what: String, why: &str, fix: &str) -> Error {
    Error::new(ErrorKind::Denied, what, format!("{why}, which a task gets only by naming it")).with_fix(fix)
}

#[cfg(test)]
mod tests;
