//! A plan as the helper reads it: records, one behind the other, and descriptors in a known order.
//!
//! Everything that the child needs is laid out here, so that between clone3 and execve nothing is left to be made.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use executor_api::{Error, Result};
use nix::libc;

use super::wire::{Act, Head, NEVER, NO_SLOT, REPLY_SLOT, Record};
use crate::plan::{Namespace, Plan, Program, Step};

/// The slots of a request: the reply socket, the record, the streams, and what the plan has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    host: u64,
    root: u64,
    trees: u64,
    tasks: u64,
    birth: u64,
    kill: u64,
    files: u64,
    parents: u64,
}

/// Where the record begins: lock, alive, control, end.
const RECORD: u64 = REPLY_SLOT + 1;
const STREAMS: u64 = RECORD + 4;

impl Slots {
    /// In the order in which `handshake` sends them.
    fn of(plan: &Plan) -> Self {
        let groups = &plan.groups;
        let host = STREAMS + 3;
        let root = host + u64::from(plan.die_with_host);
        let trees = root + 1;
        let tasks = trees + plan.binds as u64;
        let birth = tasks + groups.tasks as u64;
        let kill = birth + u64::from(groups.birth);
        let files = kill + u64::from(groups.kill);
        let parents = files + groups.files() as u64;
        Self { host, root, trees, tasks, birth, kill, files, parents }
    }
}

/// A plan as bytes.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) head: Head,
    pub(super) bytes: Vec<u8>,
}

impl Script {
    /// # Errors
    ///
    /// `InvalidSpec` for a word with a NUL byte in it.
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let slots = Slots::of(plan);
        let mut bytes = Vec::new();
        let parts = [&plan.supervisor, &plan.child, &plan.end];
        for step in parts.into_iter().flatten() {
            add(&mut bytes, step, &slots)?;
        }
        let millis =
            |time: Option<Duration>, none| time.map_or(none, |time| u64::try_from(time.as_millis()).unwrap_or(NEVER));
        let head = Head {
            size: bytes.len() as u64,
            counts: parts.map(|steps| steps.len() as u64),
            stop_signal: u64::from(plan.stop_signal.number().unsigned_abs()),
            wall_ms: millis(plan.wall_time, NEVER),
            grace_ms: millis(plan.grace, 0),
            record: [RECORD, RECORD + 1, RECORD + 2, RECORD + 3],
            host: if plan.die_with_host { slots.host } else { NO_SLOT },
            birth_group: if plan.groups.birth { slots.birth } else { NO_SLOT },
            in_file: false,
        };
        Ok(Self { head, bytes })
    }
}

/// Adds one step as a record.
fn add(bytes: &mut Vec<u8>, step: &Step, slots: &Slots) -> Result<()> {
    let mut put = |act, [a, b, c]: [u64; 3], text: &[u8]| {
        let (frame, zeroes) = Record { act, a, b, c, text }.frame();
        bytes.extend_from_slice(&frame);
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len() + zeroes, 0);
        Ok(())
    };
    let at = |slot: u64, number: usize| slot + number as u64;
    match step {
        Step::Unshare(spaces) => put(Act::Unshare, [spaces.iter().map(|space| flag(*space)).sum(), 0, 0], &[]),
        Step::Hostname(name) => put(Act::Hostname, [0; 3], word(OsStr::new(name))?),
        Step::Root => put(Act::Root, [slots.root, 0, 0], &[]),
        Step::Bind { tree, target } => put(Act::Bind, [at(slots.trees, *tree), slots.root, 0], path(target)?),
        Step::Proc => put(Act::Proc, [0, slots.root, 0], b"/proc"),
        Step::Devices => put(Act::Devices, [0, slots.root, 0], b"/dev"),
        Step::AwaitGroups(count) => put(Act::Late, [*count as u64, 0, 0], &[]),
        Step::JoinGroup(group) => put(Act::Group, [at(slots.tasks, *group), 0, 0], &[]),
        Step::Session => put(Act::Session, [0; 3], &[]),
        Step::EnterRoot => put(Act::EnterRoot, [slots.root, 0, 0], &[]),
        Step::Stream(stream) => put(Act::Stream, [at(STREAMS, (*stream).into()), (*stream).into(), 0], &[]),
        Step::Nice(nice) => put(Act::Nice, [i64::from(nice.value).cast_unsigned(), nice.asked.into(), 0], &[]),
        Step::OomScore(score) => put(Act::OomScore, [0, score.asked.into(), 0], score.value.to_string().as_bytes()),
        Step::Rlimit(limit) => put(Act::Rlimit, [limit.resource.into(), limit.soft, limit.hard], &[]),
        Step::Keyring => put(Act::Keyring, [0; 3], &[]),
        Step::Groups(groups) => {
            let list: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            put(Act::Groups, [groups.len() as u64, 0, 0], &list)
        }
        Step::Group(gid) => put(Act::Gid, [(*gid).into(), 0, 0], &[]),
        Step::User(uid) => put(Act::Uid, [(*uid).into(), 0, 0], &[]),
        Step::NoWayBack => put(Act::NoWayBack, [0; 3], &[]),
        Step::Umask(umask) => put(Act::Umask, [(*umask).into(), 0, 0], &[]),
        Step::NoNewPrivileges => put(Act::NoNewPrivileges, [0; 3], &[]),
        Step::NoCapabilities => put(Act::NoCapabilities, [0; 3], &[]),
        Step::Directory(directory) => put(Act::Directory, [0; 3], path(directory)?),
        Step::Execute(program) => {
            let counts = [&program.candidates, &program.args, &program.env].map(|words| words.len() as u64);
            put(Act::Execute, counts, &words(program)?)
        }
        Step::Reading(reading) => {
            let numbers = [at(slots.files, reading.file), reading.figure as u64, reading.divisor];
            put(Act::Reading, numbers, reading.key.as_bytes())
        }
        Step::KillGroup => put(Act::KillGroup, [slots.kill, 0, 0], &[]),
        Step::RemoveGroup { parent, name } => put(Act::RemoveGroup, [at(slots.parents, *parent), 0, 0], word(name)?),
    }
}

/// The words of a program as `execve` wants them: offsets, each of the last two lists ended by a zero, then the words.
fn words(program: &Program) -> Result<Vec<u8>> {
    let Program { candidates, args, env } = program;
    let slots = candidates.len() + args.len() + 1 + env.len() + 1;
    let mut offset = slots * size_of::<u64>();
    let (mut offsets, mut text) = (Vec::with_capacity(offset), Vec::new());
    for (words, is_ended) in [(candidates, false), (args, true), (env, true)] {
        for one in words {
            offsets.extend_from_slice(&(offset as u64).to_ne_bytes());
            text.extend_from_slice(word(one)?);
            text.push(0);
            offset += one.len() + 1;
        }
        if is_ended {
            offsets.extend_from_slice(&0_u64.to_ne_bytes());
        }
    }
    offsets.extend_from_slice(&text);
    Ok(offsets)
}

fn flag(space: Namespace) -> u64 {
    let flag = match space {
        Namespace::Mounts => libc::CLONE_NEWNS,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Hostname => libc::CLONE_NEWUTS,
    };
    u64::from(flag.cast_unsigned())
}

fn path(path: &Path) -> Result<&[u8]> {
    word(path.as_os_str())
}

fn word(word: &OsStr) -> Result<&[u8]> {
    let bytes = word.as_bytes();
    if bytes.contains(&0) { Err(Error::invalid("run a command", "a word of it holds a NUL byte")) } else { Ok(bytes) }
}
