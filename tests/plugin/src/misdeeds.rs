//! What a library can do to the process that loads it, in its constructor and in its probe.
//!
//! | behaviour | effect |
//! |---|---|
//! | `constructor-crash` | a segmentation fault while the library is mapped |
//! | `constructor-hang` | the library never finishes to be mapped |
//! | `constructor-exit` | the process ends with status 0 |
//! | `constructor-forge` | an answer of the loader's form is written to every descriptor, then status 0 |
//! | `probe-hang`, `probe-kill` | the probe never answers; it kills its process |
//! | `probe-fork` | a child stays behind and holds every descriptor |
//! | `probe-garbage` | bytes that are no answer are written to every descriptor |

use std::thread;
use std::time::Duration;

use crate::behaviour::asked_for;

/// The dynamic linker calls what is in this section when it has mapped the library.
#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = in_constructor;

extern "C" fn in_constructor() {
    if asked_for("constructor-crash") {
        die_by(libc::SIGSEGV);
    }
    if asked_for("constructor-hang") {
        hang();
    }
    if asked_for("constructor-forge") {
        write_everywhere(b"t0123456789abcdef{\"Ok\":{\"usable\":true,\"score\":1000}}\n");
        write_everywhere(b"executor-probe 1 {\"usable\":true,\"score\":1000}\n");
    }
    if asked_for("constructor-forge") || asked_for("constructor-exit") {
        // SAFETY: ends the process; the handlers that it runs are the process's own.
        unsafe { libc::exit(0) };
    }
}

/// What is asked for in the probe and is no answer.
pub(crate) fn in_probe() {
    if asked_for("probe-hang") {
        hang();
    }
    if asked_for("probe-kill") {
        die_by(libc::SIGKILL);
    }
    if asked_for("probe-garbage") {
        write_everywhere(b"\x00\xff garbage {]\n");
    }
    // SAFETY: the child does nothing but sleep, which needs no lock that another thread may have held.
    if asked_for("probe-fork") && unsafe { libc::fork() } == 0 {
        hang();
    }
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn die_by(signal: i32) {
    // SAFETY: sets the default action, which no other thread depends on in a process that is about to end.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: sends a signal to this very thread.
    unsafe { libc::raise(signal) };
}

/// Writes to every descriptor that a process of the loader may have.
fn write_everywhere(bytes: &[u8]) {
    for fd in 0..32 {
        // SAFETY: the bytes are borrowed for the call; a number that is no descriptor is answered with EBADF.
        unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    }
}
