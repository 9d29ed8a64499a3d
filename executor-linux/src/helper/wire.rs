//! What a host says to the helper: requests, the records of a script, orders. Pure; both sides compile it.
//!
//! A request is one message: a [`Head`], and behind it the script unless that is long, in which case the last descriptor
//! beside the message is a file that holds it. The first descriptor is the request's own reply socket, so no reply can
//! reach another start. A script is a row of records of one shape: what to do, three numbers, bytes. A descriptor is named
//! by its place beside the message, a *slot*. Both sides are of one build: the numbers are the machine's own.
//!
//! It follows nothing but itself; orders are those of the fallback plugin, byte for byte, since they come through records.

/// The first number of a request.
const MAGIC: u64 = u64::from_ne_bytes(*b"execlnx1");

/// No slot.
pub const NO_SLOT: u64 = u64::MAX;
/// The slot of the reply socket.
pub const REPLY_SLOT: u64 = 0;
/// The most bytes of a request that are sent in the message itself.
pub const MOST_INLINE: usize = 64 << 10;
/// The most descriptors beside one message.
pub const MOST_BESIDE: usize = 128;
/// The most descriptors of one task, late ones included.
pub const MOST_SLOTS: usize = 192;
/// What announces descriptors that come late, on the reply socket.
pub const LATE: u8 = b'g';
/// What a spawner says when it is ready.
pub const READY: u8 = b'r';
/// A number of milliseconds that never comes.
pub const NEVER: u64 = u64::MAX;

/// What a script says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the script.
    pub size: u64,
    /// Records for the supervisor, then for the child, then for the end.
    pub counts: [u64; 3],
    /// The signal that asks the task to end.
    pub stop_signal: u64,
    /// The wall-clock limit and the grace behind it; [`NEVER`] for none.
    pub wall_ms: u64,
    /// How long the task has after the limit.
    pub grace_ms: u64,
    /// Slots of the record: lock, alive, control, end.
    pub record: [u64; 4],
    /// The slot of the host's process, for a task that ends with it.
    pub host: u64,
    /// The slot of the cgroup2 directory that the child is born into.
    pub birth_group: u64,
    /// Whether the script is in the last descriptor.
    pub in_file: bool,
}

/// Bytes of a number.
const WORD: usize = 8;

impl Head {
    /// Bytes of a head.
    pub const LEN: usize = 15 * WORD;

    /// The head as it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [supervisor, child, end] = self.counts;
        let [lock, alive, control, room] = self.record;
        let words = [
            MAGIC,
            self.size,
            supervisor,
            child,
            end,
            self.stop_signal,
            self.wall_ms,
            self.grace_ms,
            lock,
            alive,
            control,
            room,
            self.host,
            self.birth_group,
            u64::from(self.in_file),
        ];
        let mut bytes = [0; Self::LEN];
        for (room, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            room.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The head that a request begins with, if it is one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| word(bytes, at * WORD);
        if word(0)? != MAGIC {
            return None;
        }
        Some(Self {
            size: word(1)?,
            counts: [word(2)?, word(3)?, word(4)?],
            stop_signal: word(5)?,
            wall_ms: word(6)?,
            grace_ms: word(7)?,
            record: [word(8)?, word(9)?, word(10)?, word(11)?],
            host: word(12)?,
            birth_group: word(13)?,
            in_file: word(14)? != 0,
        })
    }
}

/// The number at a place.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What a record asks for; `a`, `b`, `c` are its numbers, `text` its bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Act {
            $($(#[$doc])* $name,)+
        }

        impl Act {
            /// All of them, each at its own number.
            const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

acts! {
    /// Leave namespaces: `a` is the flags of unshare(2).
    Unshare,
    /// Take the name `text`.
    Hostname,
    /// Put the tree in slot `a` over the root.
    Root,
    /// Put the tree in slot `a` at `text` below the root in slot `b`.
    Bind,
    /// Mount a procfs at `text` below the root in slot `b`.
    Proc,
    /// Mount a directory with the harmless devices at `text` below the root in slot `b`.
    Devices,
    /// Wait for `a` more descriptors.
    Late,
    /// Write `0` to slot `a`, the `tasks` of a group.
    Group,
    /// Lead a session.
    Session,
    /// Make slot `a` the root.
    EnterRoot,
    /// Make slot `a` the descriptor `b`.
    Stream,
    /// Take the niceness `a`; `b` is 1 where it was asked for.
    Nice,
    /// Take the score `text`; `b` is 1 where it was asked for.
    OomScore,
    /// Limit `a` to `b` (soft) and `c` (hard).
    Rlimit,
    /// Join a keyring of its own.
    Keyring,
    /// Have these supplementary groups: `a` of them, four bytes each.
    Groups,
    /// Have the group `a`.
    Gid,
    /// Have the user `a`.
    Uid,
    /// Prove that root is out of reach.
    NoWayBack,
    /// Take the umask `a`.
    Umask,
    /// Gain no privileges by executing.
    NoNewPrivileges,
    /// Give up every capability.
    NoCapabilities,
    /// Enter the directory `text`.
    Directory,
    /// Close what is left, clear the signal mask, and execute the first of `a` candidates that can be, with `b`
    /// arguments and `c` variables: `text` is their offsets in it, each list of the last two ended by a zero.
    Execute,
    /// Read the number behind the key `text` in slot `a` (the first number for no key), divide it by `c`, and add it to
    /// the figure `b` of the usage.
    Reading,
    /// Kill what is left by writing `1` to slot `a`.
    KillGroup,
    /// Remove the directory `text` in slot `a`.
    RemoveGroup,
}

/// One record of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What to do.
    pub act: Act,
    /// Its first number.
    pub a: u64,
    /// Its second number.
    pub b: u64,
    /// Its third number.
    pub c: u64,
    /// Its bytes, without the zeroes that follow them.
    pub text: &'a [u8],
}

/// The numbers in front of the bytes: act, length of the bytes, a, b, c.
const FIXED: usize = 5 * WORD;

/// Bytes that a text of this length takes: at least one zero ends it, so that it is a C string.
const fn padded(length: usize) -> usize {
    (length / WORD + 1) * WORD
}

impl<'a> Record<'a> {
    /// The numbers that stand in front of `text`, and how many zeroes follow it.
    #[must_use]
    pub fn frame(&self) -> ([u8; FIXED], usize) {
        let words = [self.act as u64, self.text.len() as u64, self.a, self.b, self.c];
        let mut bytes = [0; FIXED];
        for (room, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            room.copy_from_slice(&word.to_ne_bytes());
        }
        (bytes, padded(self.text.len()) - self.text.len())
    }

    /// The first record of `script` and what follows it; none where it is cut short or unknown.
    #[must_use]
    pub fn first(script: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let act = *Act::ALL.get(usize::try_from(word(script, 0)?).ok()?)?;
        let length = usize::try_from(word(script, WORD)?).ok()?;
        let number = |at: usize| word(script, at * WORD);
        let body = script.get(FIXED..)?;
        let text = body.get(..length)?;
        let rest = body.get(padded(length)..)?;
        Some((Self { act, a: number(2)?, b: number(3)?, c: number(4)?, text }, rest))
    }

    /// The text with the zero behind it.
    #[must_use]
    pub fn c_text(&self, script: &'a [u8]) -> Option<&'a core::ffi::CStr> {
        let at = (self.text.as_ptr() as usize).checked_sub(script.as_ptr() as usize)?;
        core::ffi::CStr::from_bytes_with_nul(script.get(at..at + self.text.len() + 1)?).ok()
    }
}

/// What a host, or anybody through the record, wants to be done with the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this signal to the main process.
    Signal(i32),
    /// Ask the task to end, and kill it after so many milliseconds; zero kills at once.
    Stop(u64),
    /// Kill the whole tree.
    Kill,
}

impl Order {
    /// Bytes of an order.
    pub const LEN: usize = 9;

    /// The order as it is sent: what, and how much of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let (what, value) = match self {
            Self::Signal(signal) => (b's', u64::from(signal.unsigned_abs())),
            Self::Stop(grace_ms) => (b't', grace_ms),
            Self::Kill => (b'k', 0),
        };
        let mut bytes = [what; Self::LEN];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        bytes
    }

    /// The order that these bytes are, if they are one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        let [what, value @ ..] = bytes;
        let value = u64::from_be_bytes(value);
        match what {
            b's' => i32::try_from(value).ok().filter(|signal| (1..=64).contains(signal)).map(Self::Signal),
            b't' => Some(Self::Stop(value)),
            b'k' => Some(Self::Kill),
            _ => None,
        }
    }
}
