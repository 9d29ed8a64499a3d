//! The supervisor until its task runs: makes namespaces and mounts as the script says, then the child.
//!
//! It is the first process of the task's pid namespace, so the kernel ends the task with it, and outside of the task's
//! groups. A step that is refused ends the start: its number and the errno go to the host, the groups are removed, and
//! nothing is left.

use core::ffi::CStr;
use core::ops::Range;

use crate::child;
use crate::memory::wipe;
use crate::outside::Outside;
use crate::reply::{Reply, Stage};
use crate::sys::{self, Errno, Fd, Result};
use crate::table::{Table, each};
use crate::watch::{self, Task};
use crate::wire::{Act, Head, REPLY_SLOT, Record};

/// Real, effective and saved id. No task has the outer ones, so none may limit or signal it; the inner one keeps its
/// capabilities.
const IDS: [u32; 3] = [65533, 0, 65533];

/// A start that failed: the number of a step, or a [`Stage`].
struct Failed {
    step: u32,
    errno: Errno,
}

fn at(stage: Stage) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { step: stage as u32, errno }
}

/// Obeys the request, and ends with its task.
pub(crate) fn run(request: &'static mut [u8], table: &mut Table) -> ! {
    let reply = table.optional(REPLY_SLOT).unwrap_or(Fd(-1));
    let Err(failed) = begin(request, table, reply) else { sys::exit(0) };
    let refusal = Reply::Failed { step: failed.step, errno: failed.errno.0 };
    // A host that is gone misses nothing.
    _ = sys::send(reply, &refusal.to_bytes(), None);
    sys::exit(1)
}

fn begin(request: &'static mut [u8], table: &mut Table, reply: Fd) -> core::result::Result<(), Failed> {
    let bell = settle(reply).map_err(at(Stage::Settle))?;
    let head = Head::from_bytes(request).ok_or(Errno::INVAL).map_err(at(Stage::Script))?;
    let script = script(&head, request, table).map_err(at(Stage::Script))?;
    let [supervisor, child, end] = cut(&head, script).map_err(at(Stage::Script))?;
    child::locate(&mut script[child.clone()], head.counts[1]).map_err(at(Stage::Script))?;
    let mut outside = Outside::new(&head, table, reply);
    let made = prepare(&script[supervisor], head.counts[0], table, &mut outside)
        .and_then(|()| make_child(&head, &script[child.clone()], table, &mut outside));
    // Whatever became of it: the child has its own copy by now, and nobody is to find the environment here.
    wipe(&mut script[child]);
    let end = (&script[end], head.counts[2]);
    let main = match made {
        Ok(main) => main,
        Err(failed) => {
            watch::clear_and_remove(end, table, bell);
            return Err(failed);
        }
    };
    let started_ms = sys::now_ms(sys::Clock::Wall);
    // A host that is gone misses nothing; the task lives on.
    _ = sys::send(reply, &Reply::Started.to_bytes(), None);
    watch::run(&Task { main, bell, reply, started_ms, head, end }, table, outside);
    Ok(())
}

/// Makes this process the one that knows its children, and tells the host how to reach it.
fn settle(reply: Fd) -> Result<Fd> {
    sys::set_signal(sys::SIGCHLD, false)?;
    let children = sys::signal_bit(sys::SIGCHLD);
    sys::set_signal_mask(children)?;
    let bell = sys::signal_bell(children)?;
    // The spawner's socket: the host is to see the end of a spawner, not of its tasks.
    sys::close(crate::spawner::SOCKET);
    sys::set_name(c"exec-task")?;
    sys::hide_memory()?;
    let own = sys::own_pidfd()?;
    sys::send(reply, &Reply::Supervised.to_bytes(), Some(own))?;
    sys::close(own);
    Ok(bell)
}

/// The script of a request, wherever it is.
fn script(head: &Head, request: &'static mut [u8], table: &mut Table) -> Result<&'static mut [u8]> {
    let size = usize::try_from(head.size).map_err(|_| Errno::INVAL)?;
    if !head.in_file {
        return request.get_mut(Head::LEN..).filter(|script| script.len() == size).ok_or(Errno::INVAL);
    }
    let last = table.count.checked_sub(1).ok_or(Errno::BADF)?;
    let file = table.fds[last];
    table.count = last;
    let script = sys::map_copy(file, size)?;
    sys::close(file);
    Ok(script)
}

/// Where the three parts of a script are.
fn cut(head: &Head, script: &[u8]) -> Result<[Range<usize>; 3]> {
    let mut rest = script;
    let parts = head.counts.map(|count| {
        let begin = script.len() - rest.len();
        match each(rest, count, |_, _, _| Ok(())) {
            Ok(after) => {
                rest = after;
                Ok(begin..script.len() - rest.len())
            }
            Err((_, errno)) => Err(errno),
        }
    });
    let [supervisor, child, end] = parts;
    Ok([supervisor?, child?, end?])
}

/// Obeys the supervisor's own steps, and makes this process one that the task cannot reach.
fn prepare(script: &[u8], count: u64, table: &mut Table, outside: &mut Outside) -> core::result::Result<(), Failed> {
    let obeyed = each(script, count, |_, record, from| obey(record, record.c_text(from), table, outside));
    match obeyed {
        Ok(_) => sys::set_uids(IDS).map_err(at(Stage::Settle)),
        Err((_, Errno::CANCELED)) => Err(at(Stage::Stopped)(Errno::CANCELED)),
        Err((step, errno)) => Err(Failed { step: step as u32, errno }),
    }
}

fn obey(record: &Record<'_>, text: Option<&CStr>, table: &mut Table, outside: &mut Outside) -> Result<()> {
    let text = text.ok_or(Errno::INVAL)?;
    match record.act {
        Act::Unshare => sys::unshare(record.a),
        Act::Hostname => sys::set_hostname(record.text),
        Act::Root => sys::put_over_root(table.fd(record.a)?),
        Act::Bind => put_at(table.fd(record.a)?, table.fd(record.b)?, text),
        Act::Proc => {
            let flags = sys::NO_SUID | sys::NO_DEVICES | sys::NO_EXEC;
            let options: &[_] = if record.a == 0 { &[] } else { &[(c"subset", c"pid")] };
            put_new(sys::new_mount(c"proc", options, flags)?, table.fd(record.b)?, text)
        }
        Act::Devices => put_new(devices()?, table.fd(record.b)?, text),
        Act::Late => outside.late(table, record.a),
        _ => Err(Errno::INVAL),
    }
}

/// Puts a mount at a place below `root`; no link on the way is followed.
fn put_at(mount: Fd, root: Fd, place: &CStr) -> Result<()> {
    let target = sys::open_within(root, place, sys::O_PATH)?;
    let put = sys::put(mount, target);
    sys::close(target);
    put
}

/// Puts a mount that this process has made, and keeps no descriptor of it.
fn put_new(mount: Fd, root: Fd, place: &CStr) -> Result<()> {
    let put = put_at(mount, root, place);
    sys::close(mount);
    put
}

/// A read-only directory with the devices that give nothing away, and the links that programs expect beside them.
fn devices() -> Result<Fd> {
    let options = [(c"size", c"64k"), (c"mode", c"755")];
    let directory = sys::new_mount(c"tmpfs", &options, sys::NO_SUID | sys::NO_EXEC)?;
    for (name, minor) in [(c"null", 3), (c"zero", 5), (c"full", 7), (c"random", 8), (c"urandom", 9)] {
        sys::make_device(directory, name, minor)?;
    }
    let fds = c"/proc/self/fd";
    let streams = [c"/proc/self/fd/0", c"/proc/self/fd/1", c"/proc/self/fd/2"];
    for (name, target) in [(c"fd", fds), (c"stdin", streams[0]), (c"stdout", streams[1]), (c"stderr", streams[2])] {
        sys::make_link(target, directory, name)?;
    }
    sys::restrict_mount(directory, sys::READ_ONLY)?;
    Ok(directory)
}

/// Makes the child and waits until the program runs.
fn make_child(head: &Head, script: &[u8], table: &Table, outside: &mut Outside) -> core::result::Result<i32, Failed> {
    outside.hear(None);
    if outside.is_over() {
        return Err(at(Stage::Stopped)(Errno::CANCELED));
    }
    let child = child::Child::new(script, head.counts[1], table);
    let main = child.spawn(table.optional(head.birth_group)).map_err(at(Stage::Child))?;
    match child.refusal() {
        None => Ok(main),
        // Its steps are counted on from the supervisor's.
        Some((step, errno)) if errno != Errno(0) => Err(Failed { step: step + head.counts[0] as u32, errno }),
        Some(_) => Err(at(Stage::Died)(Errno::CANCELED)),
    }
}
