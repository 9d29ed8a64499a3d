//! The running task: obeys orders, keeps its time, sees its end, records it and tells it.
//!
//! The end comes first: an order or a deadline that finds the main process ended changes nothing, so a task that ended on
//! its own is never said to have been stopped. A child that is not reaped keeps its number, so no signal of this module
//! can hit a stranger; and all numbers are of the task's own namespace.

use crate::end::{self, CPU_SYSTEM, CPU_USER, OOM_KILLS, ROOM, Usage};
use crate::outside::Outside;
use crate::reply::{Done, Reply, Why};
use crate::sys::{self, Clock, Errno, Fd, Source};
use crate::table::{Table, each};
use crate::wire::{Act, Head, MOST_SLOTS, NO_SLOT, REPLY_SLOT, Record};

/// A tree that dies at once is gone before the outcome is told; one that does not holds it up no longer than this.
const QUICK_MS: u64 = 100;
/// After this the kernel is left with those that cannot die, and whoever collects the task with its groups.
const SLOW_MS: u64 = 5000;
/// How long one round waits for the killed.
const ROUND_MS: u64 = 2;

/// The records for the end, and how many there are.
pub(crate) type EndScript<'a> = (&'a [u8], u64);

/// A program that has been executed.
pub(crate) struct Task<'a> {
    /// The main process, leader of its session.
    pub(crate) main: i32,
    /// Readable when a child has ended.
    pub(crate) bell: Fd,
    pub(crate) reply: Fd,
    pub(crate) started_ms: u64,
    pub(crate) head: Head,
    pub(crate) end: EndScript<'a>,
}

/// Watches the task to its end, and beyond until nothing of it is left.
pub(crate) fn run(task: &Task<'_>, table: &Table, mut outside: Outside) {
    close_others(task, table);
    let status = loop {
        let before = outside.times;
        outside.hear(None);
        if let Some(status) = reap_to(task.main) {
            // What has been heard and not obeyed changed nothing.
            outside.times = before;
            break status;
        }
        obey(task, &mut outside);
        outside.doze(Some(task.bell));
        drain(task.bell);
    };
    let finished_ms = sys::now_ms(Clock::Wall);
    clear(task.end, table, task.bell, QUICK_MS);
    let usage = usage(task.end, table);
    let killed = end::split(status) == Err(sys::SIGKILL as u8);
    let why = match outside.times.why() {
        Why::Own if killed && usage[OOM_KILLS].is_some_and(|kills| kills > 0) => Why::Oom,
        why => why,
    };
    let mut done = Done { status, why, unrecorded: 0, started_ms: task.started_ms, finished_ms };
    // Recorded first: whoever is told must find it. Where that fails the host is told so as well.
    done.unrecorded = record(task, table, &done, &usage).err().map_or(0, |errno| errno.0);
    _ = sys::send(task.reply, &Reply::Done(done).to_bytes(), None);
    clear(task.end, table, task.bell, SLOW_MS);
    // Whoever waits by the record is woken now. The lock goes last: whoever sees it free finds the rest done.
    let [lock, alive, control, room] = task.head.record;
    for slot in [room, control, alive, lock] {
        table.optional(slot).into_iter().for_each(sys::close);
    }
    remove(task.end, table);
}

/// Writes the end into the record.
fn record(task: &Task<'_>, table: &Table, done: &Done, usage: &Usage) -> sys::Result<()> {
    let [.., slot] = task.head.record;
    if slot == NO_SLOT {
        return Ok(());
    }
    let mut room = [0; ROOM];
    end::write(&mut room, done, usage);
    sys::write_beginning(table.fd(slot)?, &room)
}

/// Sends signals that have come, kills the task or asks it to end, where it is time to.
fn obey(task: &Task<'_>, outside: &mut Outside) {
    // ESRCH and EINVAL are the only answers: it has just ended, or is no signal of this kernel.
    let send = |pid: i32, signal: i32| _ = sys::kill(pid, signal);
    outside.signals().for_each(|signal| send(task.main, signal));
    if outside.times.kills(sys::now_ms(Clock::Steady)) {
        // The rest of the tree follows when its end is seen.
        send(task.main, sys::SIGKILL);
    } else if outside.times.asks() {
        send(-task.main, task.head.stop_signal as i32);
        // A task that is held by SIGSTOP would not hear it.
        send(-task.main, sys::SIGCONT);
    }
}

/// Closes what only the child and the start needed: the task's streams above all, whose end somebody may wait for.
fn close_others(task: &Task<'_>, table: &Table) {
    let mut kept = [false; MOST_SLOTS];
    let mut keep = |slot: u64| {
        if let Some(kept) = usize::try_from(slot).ok().and_then(|slot| kept.get_mut(slot)) {
            *kept = true;
        }
    };
    task.head.record.into_iter().chain([REPLY_SLOT, task.head.host]).for_each(&mut keep);
    _ = each(task.end.0, task.end.1, |_, record, _| {
        keep(record.a);
        Ok(())
    });
    for (fd, kept) in table.fds[..table.count].iter().zip(kept) {
        if !kept {
            sys::close(*fd);
        }
    }
}

/// Reaps what has ended; the status of the main process, once that has.
fn reap_to(main: i32) -> Option<i32> {
    loop {
        match sys::reap() {
            Ok(Some(ended)) if ended.pid == main => return Some(ended.status),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Forgets that children have ended: before they are looked for, or one that ends in between would be missed.
fn drain(bell: Fd) {
    let mut room = [0; 128];
    while sys::read(bell, &mut room).is_ok_and(|length| length > 0) {}
}

/// Kills and reaps all that is left, for at most `most_ms`. Orphans are this process's children: without a child nothing
/// is left.
fn clear(end: EndScript<'_>, table: &Table, bell: Fd, most_ms: u64) {
    let until = sys::now_ms(Clock::Steady) + most_ms;
    let mut by_group = true;
    while !reap_all() && sys::now_ms(Clock::Steady) <= until {
        // A group that is gone, or a kernel without this file: one by one.
        by_group = by_group && kill_groups(end, table);
        if !by_group {
            kill_each();
        }
        // Only the first round trusts the groups: nothing binds every process to them.
        by_group = false;
        drain(bell);
        if reap_all() {
            break;
        }
        _ = sys::poll(&mut [Source::new(bell)], Some(ROUND_MS));
    }
}

/// Reaps every child that has ended; true when none is left.
fn reap_all() -> bool {
    loop {
        match sys::reap() {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(errno) => return errno == Errno::CHILD,
        }
    }
}

/// Kills by `cgroup.kill`, where the host has passed it.
fn kill_groups(end: EndScript<'_>, table: &Table) -> bool {
    let mut killed = false;
    _ = each(end.0, end.1, |_, record, _| {
        if record.act == Act::KillGroup {
            killed = sys::write(table.fd(record.a)?, b"1").is_ok();
        }
        Ok(())
    });
    killed
}

/// Kills every other process of this namespace, by the numbers that a procfs of its own shows. Not `kill(-1)`, which
/// walks all processes of the machine.
fn kill_each() {
    let Ok(proc) = sys::new_mount(c"proc", &[], sys::NO_SUID | sys::NO_DEVICES | sys::NO_EXEC) else { return };
    if let Ok(listing) = sys::openat(proc, c".", sys::O_RDONLY | sys::O_DIRECTORY) {
        let mut room = [0; 2048];
        while let Ok(length @ 1..) = sys::entries(listing, &mut room) {
            let mut rest = &room[..length];
            // `struct linux_dirent64`: two numbers of eight bytes, the length of the entry, its type, its name.
            while let Some([low, high]) = rest.get(16..18) {
                let size = usize::from(u16::from_ne_bytes([*low, *high]));
                let name = rest.get(19..size).unwrap_or_default();
                // 1 is this process.
                pid(name).filter(|pid| *pid > 1).into_iter().for_each(|pid| _ = sys::kill(pid, sys::SIGKILL));
                rest = rest.get(size.max(1)..).unwrap_or_default();
            }
        }
        sys::close(listing);
    }
    sys::close(proc);
}

/// The number that a name is.
fn pid(name: &[u8]) -> Option<i32> {
    let digits = name.split(|byte| *byte == 0).next().filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_i32, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// What the task used: what its groups say, and the times of its processes where they say nothing.
fn usage(end: EndScript<'_>, table: &Table) -> Usage {
    let mut usage = Usage::default();
    _ = each(end.0, end.1, |_, record, _| {
        let figure = usize::try_from(record.b).ok().and_then(|at| usage.get_mut(at));
        if let (Act::Reading, Some(figure), Some(found)) = (record.act, figure, reading(record, table)) {
            *figure = Some(figure.unwrap_or(0).saturating_add(found));
        }
        Ok(())
    });
    if let Ok([user, kernel]) = sys::used_ms() {
        usage[CPU_USER].get_or_insert(user);
        usage[CPU_SYSTEM].get_or_insert(kernel);
    }
    usage
}

/// The number that a file of a group has for a key; none where it cannot be read, which is not zero.
fn reading(record: &Record<'_>, table: &Table) -> Option<u64> {
    let mut room = [0; 2048];
    let length = sys::read_beginning(table.fd(record.a).ok()?, &mut room).ok()?;
    let found = crate::end::number_behind(&room[..length], record.text)?;
    found.checked_div(record.c)
}

/// Removes the task's groups, for as long as that takes those that were killed to leave them.
fn remove(end: EndScript<'_>, table: &Table) {
    let until = sys::now_ms(Clock::Steady) + SLOW_MS;
    _ = each(end.0, end.1, |_, record, from| {
        let (Act::RemoveGroup, Some(name)) = (record.act, record.c_text(from)) else { return Ok(()) };
        let parent = table.fd(record.a)?;
        // One that stays is removed by whoever collects the task: its record names it.
        while sys::remove_directory(parent, name) == Err(Errno::BUSY) && sys::now_ms(Clock::Steady) < until {
            _ = sys::poll(&mut [], Some(1));
        }
        Ok(())
    });
}

/// Leaves nothing of a start that failed.
pub(crate) fn clear_and_remove(end: EndScript<'_>, table: &Table, bell: Fd) {
    clear(end, table, bell, SLOW_MS);
    remove(end, table);
}
