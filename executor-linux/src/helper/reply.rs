//! What the helper says to a host, on the reply socket of a request. Pure; both sides compile it.
//!
//! Replies have one length. The first says that there is a supervisor, the second that the program runs or why it does
//! not, the last how the task ended; after it comes nothing, and the end of the socket instead of it means that the
//! supervisor was killed. Both sides are of one build: the numbers are the machine's own.

use super::wire::word;

/// Why a start failed where no step of the plan did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// The script could not be read.
    Script = 0xffff_0000,
    /// The supervisor could not be made.
    Supervisor,
    /// The supervisor could not settle.
    Settle,
    /// The child could not be made.
    Child,
    /// The child died before the program was executed.
    Died,
    /// An order to stop, or the end of the host, came first.
    Stopped,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Script, Self::Supervisor, Self::Settle, Self::Child, Self::Died, Self::Stopped];
}

/// Why a task ended, as far as the supervisor had a hand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// On its own.
    Own,
    /// By an order.
    Stopped,
    /// By its time limit.
    TimedOut,
    /// By the kernel, at its memory limit.
    Oom,
}

impl Why {
    const ALL: [Self; 4] = [Self::Own, Self::Stopped, Self::TimedOut, Self::Oom];
}

/// What the helper says on the reply socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// There is a supervisor; beside this is its pidfd.
    Supervised,
    /// The program has been executed.
    Started,
    /// Nothing runs: this step was refused, or this stage failed.
    Failed {
        /// The number of a step, or a [`Stage`].
        step: u32,
        /// What the kernel said.
        errno: i32,
    },
    /// The task has ended.
    Done(Done),
}

/// The end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The status that wait4(2) told.
    pub status: i32,
    /// Why it ended.
    pub why: Why,
    /// The errno that kept the end from being recorded; 0 for none.
    pub unrecorded: i32,
    /// When the program was executed, in milliseconds since 1970.
    pub started_ms: u64,
    /// When the main process ended.
    pub finished_ms: u64,
}

impl Reply {
    /// Bytes of a reply.
    pub const LEN: usize = 32;

    /// The reply as it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        match self {
            Self::Supervised => bytes[0] = b'p',
            Self::Started => bytes[0] = b's',
            Self::Failed { step, errno } => {
                bytes[0] = b'f';
                bytes[4..8].copy_from_slice(&step.to_ne_bytes());
                bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
            }
            Self::Done(done) => {
                (bytes[0], bytes[1]) = (b'd', done.why as u8);
                bytes[4..8].copy_from_slice(&done.status.to_ne_bytes());
                bytes[8..12].copy_from_slice(&done.unrecorded.to_ne_bytes());
                bytes[16..24].copy_from_slice(&done.started_ms.to_ne_bytes());
                bytes[24..32].copy_from_slice(&done.finished_ms.to_ne_bytes());
            }
        }
        bytes
    }

    /// The reply that these bytes are, if they are one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let half = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match bytes[0] {
            b'p' => Some(Self::Supervised),
            b's' => Some(Self::Started),
            b'f' => Some(Self::Failed { step: u32::from_ne_bytes(half(4)), errno: i32::from_ne_bytes(half(8)) }),
            b'd' => Some(Self::Done(Done {
                status: i32::from_ne_bytes(half(4)),
                why: *Why::ALL.get(usize::from(bytes[1]))?,
                unrecorded: i32::from_ne_bytes(half(8)),
                started_ms: word(bytes, 16)?,
                finished_ms: word(bytes, 24)?,
            })),
            _ => None,
        }
    }
}
