//! The spawner: leaves everything of its host behind, once, and then makes one supervisor for each request.
//!
//! It is started by whichever thread of the host comes first, and must not pass on what that thread happens to have. Its
//! socket goes one way; every answer goes to the reply socket that the request brought. At the end of the socket it
//! exits, and the supervisors that it has made live on: nothing ties them to it.

use crate::memory::wipe;
use crate::reply::{Reply, Stage};
use crate::supervisor;
use crate::sys::{self, Errno, Fd, Forked, Result};
use crate::table::Table;
use crate::wire::{Head, MOST_BESIDE, MOST_INLINE, READY, REPLY_SLOT};

/// Its socket, once it has settled.
pub(crate) const SOCKET: Fd = Fd(3);

/// Room for one request, aligned as its numbers are.
#[repr(C, align(8))]
struct Room([u8; MOST_INLINE]);

static mut ROOM: Room = Room([0; MOST_INLINE]);
static mut TABLE: Table = Table::empty();

/// Takes requests until its host is gone; standard input is the socket, standard output the null device.
pub(crate) fn run() -> ! {
    if let Err(errno) = settle() {
        let failed = Reply::Failed { step: Stage::Supervisor as u32, errno: errno.0 };
        // Where the socket is not in its place yet, standard input still is; the host sees the end of both.
        _ = sys::send(SOCKET, &failed.to_bytes(), None).or_else(|_| sys::send(Fd(0), &failed.to_bytes(), None));
        sys::exit(71);
    }
    let (room, table) = (&raw mut ROOM, &raw mut TABLE);
    // SAFETY: this process has one thread, and this is the only place that names the room; what is made of it here lives
    // until the process ends. A supervisor gets its own copy with the rest of the memory.
    let room = unsafe { &mut *room };
    // SAFETY: this is the only place that names the table, for the one thread of this process, until it ends.
    let table = unsafe { &mut *table };
    if sys::send(SOCKET, &[READY], None).is_err() {
        sys::exit(0);
    }
    loop {
        let Ok(received) = sys::receive(SOCKET, &mut room.0, &mut table.fds[..MOST_BESIDE], true) else {
            // A request that is too long, or a socket that is broken: the host makes another spawner.
            sys::exit(72)
        };
        if received.length == 0 {
            sys::exit(0);
        }
        table.count = received.beside;
        match sys::fork_into(sys::CLONE_NEWPID) {
            Ok(Forked::Child) => supervisor::run(&mut room.0[..received.length], table),
            Ok(Forked::Parent) => {}
            Err(errno) => refuse(table, errno),
        }
        for fd in &table.fds[..table.count] {
            sys::close(*fd);
        }
        // It holds the task's environment.
        wipe(&mut room.0[..received.length.max(Head::LEN)]);
    }
}

/// Tells whoever asked that there is no supervisor. One who is gone misses nothing.
fn refuse(table: &Table, errno: Errno) {
    if let Ok(reply) = table.fd(REPLY_SLOT) {
        let failed = Reply::Failed { step: Stage::Supervisor as u32, errno: errno.0 };
        _ = sys::send(reply, &failed.to_bytes(), None);
    }
}

/// Leaves signals, descriptors, session, keyring, privileges and mounts of the host behind.
fn settle() -> Result<()> {
    // Ignored signals and the mask would survive every execve from here to the task.
    for signal in 1..=64 {
        match sys::set_signal(signal, false) {
            // SIGKILL and SIGSTOP.
            Err(Errno::INVAL) => {}
            set => set?,
        }
    }
    sys::set_signal_mask(0)?;
    // Supervisors need no reaping.
    sys::set_signal(sys::SIGCHLD, true)?;
    sys::dup_onto(Fd(0), SOCKET, true)?;
    sys::dup_onto(Fd(1), Fd(0), false)?;
    sys::close_from(4)?;
    sys::lead_session()?;
    sys::set_umask(0);
    sys::set_name(c"exec-spawner")?;
    sys::schedule_normally()?;
    sys::be_plain_linux()?;
    match sys::join_own_keyring() {
        // A kernel without keys has none to leak.
        Err(Errno::NOSYS) => {}
        joined => joined?,
    }
    sys::hide_memory()?;
    // Once here instead of with every start: 41 calls. What it makes has no more.
    sys::empty_bounding_set()?;
    sys::forbid_new_privileges()?;
    one_mount()
}

/// Enters a mount namespace that holds one empty directory: copying it for a task costs nothing, and shows nothing.
fn one_mount() -> Result<()> {
    sys::unshare(sys::CLONE_NEWNS)?;
    // What is mounted from here on must not reach the host.
    sys::make_all_private()?;
    let flags = sys::READ_ONLY | sys::NO_SUID | sys::NO_DEVICES | sys::NO_EXEC;
    let root = sys::new_mount(c"tmpfs", &[(c"size", c"4k"), (c"mode", c"555")], flags)?;
    sys::replace_root(root)?;
    sys::close(root);
    sys::enter_path(c"/")
}
