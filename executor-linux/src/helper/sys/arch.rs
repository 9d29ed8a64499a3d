//! What differs by machine: how a system call is made, how the program begins, how a child begins on a stack of its own,
//! and the numbers of the calls. x86_64 and aarch64; for another one this file does not compile.
//!
//! It follows syscall(2) and the kernel's `arch/*/entry` tables.

use core::arch::{asm, global_asm};

// The kernel enters here with the stack pointer at the argument count; a function needs it aligned to 16 bytes.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {begin}", "ud2", begin = sym crate::begin);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "mov x0, sp", "bl {begin}", "brk #1", begin = sym crate::begin);

/// Makes the system call `number`.
///
/// # Safety
///
/// Every argument that the kernel takes for a pointer must be one that is valid for what the call does with it.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the instruction clobbers rcx and r11 and no memory but what the arguments name, for which the caller vouches.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Makes the system call `number`.
///
/// # Safety
///
/// Every argument that the kernel takes for a pointer must be one that is valid for what the call does with it.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the instruction changes x0 and no memory but what the arguments name, for which the caller vouches.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0].cast_signed() => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack, preserves_flags),
        );
    }
    result
}

/// `clone3(args)` for a child with a stack of its own, on which it calls `child(what)` and never returns.
///
/// # Safety
///
/// `args` points at `size` bytes of a `struct clone_args` whose stack is writable memory that ends at an address aligned
/// to 16 bytes, and that nobody uses as long as the child does; `child` does not return.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn clone3_onto(args: usize, size: usize, child: extern "C" fn(usize) -> !, what: usize) -> isize {
    let result: isize;
    // SAFETY: the parent goes on behind the label with its own stack; the child has r8 and r9 as they were, a stack that
    // the caller vouches for, and never comes back to this frame.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") number::CLONE3.cast_signed() => result,
            in("rdi") args, in("rsi") size, in("r8") child as usize, in("r9") what,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// `clone3(args)` for a child with a stack of its own, on which it calls `child(what)` and never returns.
///
/// # Safety
///
/// `args` points at `size` bytes of a `struct clone_args` whose stack is writable memory that ends at an address aligned
/// to 16 bytes, and that nobody uses as long as the child does; `child` does not return.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn clone3_onto(args: usize, size: usize, child: extern "C" fn(usize) -> !, what: usize) -> isize {
    let result: isize;
    // SAFETY: the parent goes on behind the label with its own stack; the child has x3 and x4 as they were, a stack that
    // the caller vouches for, and never comes back to this frame.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x30, #0",
            "mov x0, x4",
            "blr x3",
            "brk #1",
            "2:",
            in("x8") number::CLONE3,
            inlateout("x0") args.cast_signed() => result,
            in("x1") size, in("x3") child as usize, in("x4") what,
        );
    }
    result
}

macro_rules! numbers {
    ($($name:ident $x86_64:literal $aarch64:literal)+) => {
        /// The numbers of the system calls.
        pub(super) mod number {
            $(pub(in super::super) const $name: usize = if cfg!(target_arch = "x86_64") { $x86_64 } else { $aarch64 };)+
        }
    };
}

numbers! {
    READ 0 63
    WRITE 1 64
    CLOSE 3 57
    MMAP 9 222
    RT_SIGACTION 13 134
    RT_SIGPROCMASK 14 135
    PREAD64 17 67
    PWRITE64 18 68
    GETPID 39 172
    SENDMSG 46 211
    RECVMSG 47 212
    EXECVE 59 221
    WAIT4 61 260
    KILL 62 129
    CHDIR 80 49
    FCHDIR 81 50
    UMASK 95 166
    GETRUSAGE 98 165
    SETSID 112 157
    GETGROUPS 115 158
    SETGROUPS 116 159
    SETRESUID 117 147
    GETRESUID 118 148
    SETRESGID 119 149
    GETRESGID 120 150
    CAPSET 126 91
    SETPRIORITY 141 140
    SCHED_SETSCHEDULER 144 119
    PERSONALITY 135 92
    PIVOT_ROOT 155 41
    PRCTL 157 167
    CHROOT 161 51
    MOUNT 165 40
    UMOUNT2 166 39
    SETHOSTNAME 170 161
    GETDENTS64 217 61
    CLOCK_GETTIME 228 113
    EXIT_GROUP 231 94
    KEYCTL 250 219
    OPENAT 257 56
    MKNODAT 259 33
    UNLINKAT 263 35
    SYMLINKAT 266 36
    PPOLL 271 73
    UNSHARE 272 97
    SIGNALFD4 289 74
    DUP3 292 24
    PRLIMIT64 302 261
    MOVE_MOUNT 429 429
    FSOPEN 430 430
    FSCONFIG 431 431
    FSMOUNT 432 432
    PIDFD_OPEN 434 434
    CLONE3 435 435
    CLOSE_RANGE 436 436
    OPENAT2 437 437
    MOUNT_SETATTR 442 442
}
