//! The child between clone3 and execve: one loop over the steps of the script.
//!
//! It shares the supervisor's memory, on a stack of its own, while the supervisor waits; everything it needs lies ready in
//! the script. Each step is checked, and the first that is refused ends it: there is no task with half of its protection.
//! Its word is the number of the step and the errno, left in the shared memory.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};

use crate::sys::{self, Errno, Fd, Result, Stack};
use crate::table::{Table, each};
use crate::wire::{Act, Record};

static mut STACK: Stack = Stack([0; 16 << 10]);

/// A child that is yet to be made, and then the word that it left.
pub(crate) struct Child<'a> {
    script: &'a [u8],
    count: u64,
    table: &'a Table,
    step: AtomicU32,
    /// Why that step was refused; 0 if it was not.
    errno: AtomicI32,
    /// Whether it has come to executing the program.
    executes: AtomicBool,
}

/// Bytes of an address.
const WORD: usize = 8;

/// Turns the offsets of words in the script's last record into their addresses, as execve(2) takes them.
///
/// Errors: `EINVAL` where there is no such record, or an offset leads out of it.
pub(crate) fn locate(script: &mut [u8], count: u64) -> Result<()> {
    let mut last = None;
    let origin = script.as_ptr() as usize;
    _ = each(script, count, |_, record, _| {
        last = Some((record.act, record.a, record.b, record.c, record.text.as_ptr() as usize, record.text.len()));
        Ok(())
    });
    let Some((Act::Execute, candidates, args, env, at, length)) = last else { return Err(Errno::INVAL) };
    let [candidates, args, env] = [candidates, args, env].map(|count| count as usize);
    let text = script.get_mut(at - origin..at - origin + length).ok_or(Errno::INVAL)?;
    let (first, lists) = (candidates, args + 1 + env + 1);
    let slots = text.get_mut(first * WORD..(first + lists) * WORD).ok_or(Errno::INVAL)?;
    for (number, slot) in slots.chunks_exact_mut(WORD).enumerate() {
        let offset = u64::from_ne_bytes(slot.try_into().map_err(|_| Errno::INVAL)?);
        let ends = number == args || number == args + 1 + env;
        if ends != (offset == 0) || offset as usize >= length.max(1) {
            return Err(Errno::INVAL);
        }
        if !ends {
            slot.copy_from_slice(&(at as u64 + offset).to_ne_bytes());
        }
    }
    Ok(())
}

impl<'a> Child<'a> {
    pub(crate) fn new(script: &'a [u8], count: u64, table: &'a Table) -> Self {
        let (step, errno, executes) = (AtomicU32::new(0), AtomicI32::new(0), AtomicBool::new(false));
        Self { script, count, table, step, errno, executes }
    }

    /// Makes it, and waits until it has executed its program or given up.
    pub(crate) fn spawn(&self, birth_group: Option<Fd>) -> Result<i32> {
        let stack = &raw mut STACK;
        // SAFETY: a supervisor makes one child in its life, and this is the only place that names the stack.
        let stack = unsafe { &mut *stack };
        sys::spawn(stack, birth_group, run, core::ptr::from_ref(self) as usize)
    }

    /// The step that was refused and why, if the program does not run; no errno where the child just died.
    pub(crate) fn refusal(&self) -> Option<(u32, Errno)> {
        let errno = self.errno.load(SeqCst);
        (errno != 0 || !self.executes.load(SeqCst)).then(|| (self.step.load(SeqCst), Errno(errno)))
    }
}

/// Where the child begins; `what` is the address of its [`Child`].
extern "C" fn run(what: usize) -> ! {
    // SAFETY: `spawn` has passed the address of a value that its caller borrows, and waits for this process; what both
    // write are atomics.
    let child = unsafe { &*(what as *const Child<'_>) };
    let refused = each(child.script, child.count, |step, record, from| {
        child.step.store(step as u32, SeqCst);
        match record.act {
            Act::Execute => Err(execute(child, record)),
            _ => obey(record, record.c_text(from), child.table),
        }
    });
    let errno = refused.err().map_or(Errno::INVAL, |(_, errno)| errno);
    child.errno.store(errno.0, SeqCst);
    sys::exit(127)
}

fn obey(record: &Record<'_>, text: Option<&CStr>, table: &Table) -> Result<()> {
    match record.act {
        Act::Unshare => sys::unshare(record.a),
        // 0 is this process, in every version of the file.
        Act::Group => sys::write(table.fd(record.a)?, b"0"),
        Act::Session => sys::lead_session(),
        Act::EnterRoot => sys::enter(table.fd(record.a)?).and_then(|()| sys::root_here()),
        Act::Stream => sys::dup_onto(table.fd(record.a)?, Fd(record.b as i32), false),
        Act::Nice => unless_default(sys::set_nice(record.a.cast_signed()), record.b),
        Act::OomScore => unless_default(set_oom_score(record.text), record.b),
        Act::Rlimit => sys::limit(record.a, [record.b, record.c]),
        Act::Keyring => match sys::join_own_keyring() {
            // A kernel without keys has none to leak.
            Err(Errno::NOSYS) => Ok(()),
            joined => joined,
        },
        Act::Groups => sys::set_groups(record.text),
        Act::Gid => sys::set_gid(record.a),
        Act::Uid => u32::try_from(record.a).map_err(|_| Errno::INVAL).and_then(|uid| sys::set_uids([uid; 3])),
        Act::NoWayBack if sys::can_become_root() => Err(Errno::PERM),
        Act::NoWayBack => Ok(()),
        Act::Umask => {
            sys::set_umask(record.a);
            Ok(())
        }
        Act::NoNewPrivileges => sys::forbid_new_privileges(),
        Act::NoCapabilities => sys::give_up_capabilities(),
        Act::Directory => sys::enter_path(text.ok_or(Errno::INVAL)?),
        _ => Err(Errno::INVAL),
    }
}

/// The result of setting what was asked for; a default that cannot be set here is no failure.
fn unless_default(set: Result<()>, asked: u64) -> Result<()> {
    match set {
        Err(Errno::ACCES | Errno::PERM | Errno::ROFS | Errno::NOENT) if asked == 0 => Ok(()),
        set => set,
    }
}

fn set_oom_score(score: &[u8]) -> Result<()> {
    let file = sys::openat(Fd::HERE, c"/proc/self/oom_score_adj", sys::O_WRONLY)?;
    sys::write(file, score)
}

/// Executes the first candidate that can be, as execvp(3) does: a directory of PATH where the program is missing or may
/// not be executed does not end the search. Unlike there, a file of unknown format is not handed to a shell.
fn execute(child: &Child<'_>, record: &Record<'_>) -> Errno {
    // Every other descriptor would close with execve by itself; this is for one that would not.
    if let Err(errno) = sys::close_from(3).and_then(|()| sys::set_signal_mask(0)) {
        return errno;
    }
    child.executes.store(true, SeqCst);
    let count = record.a as usize;
    let args = record.text.as_ptr() as usize + count * WORD;
    let env = args + (record.b as usize + 1) * WORD;
    let mut reason = Errno::NOENT;
    for slot in record.text.chunks_exact(WORD).take(count) {
        let offset = slot.try_into().map_or(usize::MAX, |slot| u64::from_ne_bytes(slot) as usize);
        let path = record.text.get(offset..).and_then(|path| CStr::from_bytes_until_nul(path).ok());
        let Some(path) = path else { return Errno::INVAL };
        // SAFETY: `locate` has filled both lists with addresses of words within this record, each ended by a zero, and has
        // checked that a zero ends each list. The memory is the supervisor's, which waits.
        match unsafe { sys::execute(path, args, env) } {
            errno if count == 1 => return errno,
            Errno::ACCES => reason = Errno::ACCES,
            Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::STALE | Errno::TIMEDOUT => {}
            errno => return errno,
        }
    }
    reason
}
