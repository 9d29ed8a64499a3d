//! What host and supervisor say to each other, over one stream socket that is the supervisor's standard input.
//!
//! Host to supervisor: one frame with a [`Request`], beside it the descriptors of the three standard streams
//! (`SCM_RIGHTS`, with the frame's first bytes); then [`Order`]s, which get no answer and are obeyed while the task is
//! being started as well. Supervisor to host: one frame with a [`Reply`]; after [`Reply::Started`] one frame with the
//! [`Ending`], and then nothing: so the socket is readable for good once the task has ended, and the ending can be peeked
//! at by any number of threads. End of file without an ending means that the supervisor was killed.
//!
//! A frame is its length (four bytes, big-endian) and that much JSON; an order has nine bytes and no length.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use executor_api::units::Signal;
use executor_api::{Applied, Error, Outcome, Resources, TaskId, TaskSpec};
use serde::{Deserialize, Serialize};

/// The supervisor's file name; it lies beside the plugin.
pub const SUPERVISOR: &str = "executor-fallback-supervisor";

/// Both ends are built from one version; nothing else would notice a stale file beside a fresh one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The longest frame: the kernel takes some 2 MiB of words, and JSON may double them.
const LONGEST: u32 = 16 << 20;

/// What the host wants to have run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The version of the plugin.
    pub version: String,
    /// The task.
    pub spec: TaskSpec,
    /// Its limits.
    pub resources: Resources,
    /// What it gets of what it demands.
    pub applied: Applied,
    /// Its id, and the directory that its record goes to.
    pub id: TaskId,
    /// The state directory.
    pub state: PathBuf,
    /// The host's process id: its supervisor is its child.
    pub host: u32,
}

/// The supervisor's answer to a request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The program has been executed.
    Started,
    /// Nothing runs, and the supervisor is about to leave.
    Refused(Error),
}

/// The supervisor's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How the task ended.
    pub outcome: Outcome,
    /// The errno that kept the end from being recorded: whoever finds the task by its record is told that it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<i32>,
}

/// What the host wants to be done with the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this signal to the main process.
    Signal(Signal),
    /// Ask the task to end, by its stop signal, and kill it after this grace (whole milliseconds, rounded up; zero kills at once).
    Stop(Duration),
    /// Kill the whole tree.
    Kill,
}

impl Order {
    /// Bytes of an order.
    pub const LEN: usize = 9;

    /// The order as it crosses the socket: what, and how much of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let (what, value) = match self {
            Self::Signal(signal) => (b's', u64::from(signal.number().unsigned_abs())),
            Self::Stop(grace) => (b't', u64::try_from(grace.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)),
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
            b's' => i32::try_from(value).ok().and_then(|number| Signal::new(number).ok()).map(Self::Signal),
            b't' => Some(Self::Stop(Duration::from_millis(value))),
            b'k' => Some(Self::Kill),
            _ => None,
        }
    }
}

/// `document` as a frame.
///
/// # Errors
///
/// `InvalidInput` when it is longer than a frame may be.
pub fn frame<T: Serialize>(document: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(document)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too long to be sent"))?;
    Ok([&length.to_be_bytes(), json.as_slice()].concat())
}

/// Reads the JSON of a frame whose first four bytes are `length`.
///
/// # Errors
///
/// What reading meets; `InvalidData` for a length that no frame has.
pub fn body(length: [u8; 4], from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long for a frame"));
    }
    let mut json = Vec::new();
    let read = from.take(u64::from(length)).read_to_end(&mut json)?;
    if u32::try_from(read).is_ok_and(|read| read == length) {
        Ok(json)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The JSON of the frame that `bytes` start with; none while it is not complete.
#[must_use]
pub fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_whole_and_never_in_part() {
        let reply = Reply::Refused(Error::invalid("run it", "no"));
        let bytes = frame(&reply).expect("short enough");
        let (length, mut rest) = bytes.split_first_chunk::<4>().expect("a length");
        assert_eq!(serde_json::from_slice::<Reply>(&body(*length, &mut rest).expect("all there")).ok(), Some(reply));
        assert_eq!(whole(&bytes), Some(&bytes[4..]));
        for end in 0..bytes.len() {
            assert_eq!(whole(&bytes[..end]), None);
        }
        assert!(body(*length, &mut &bytes[5..]).is_err(), "a byte is missing");
        assert!(body([0xff; 4], &mut &bytes[4..]).is_err(), "no frame is that long");
        assert!(frame(&vec![0u8; 1 << 24]).is_err());
    }

    #[test]
    fn orders_survive_the_socket() {
        let orders = [Order::Signal(Signal::TERM), Order::Stop(Duration::from_millis(1500)), Order::Kill];
        for order in orders {
            assert_eq!(Order::from_bytes(order.to_bytes()), Some(order));
        }
        let shortest = Order::Stop(Duration::from_nanos(1)).to_bytes();
        assert_eq!(Order::from_bytes(shortest), Some(Order::Stop(Duration::from_millis(1))), "some grace is not none");
        let longest = Order::Stop(Duration::MAX).to_bytes();
        assert_eq!(Order::from_bytes(longest), Some(Order::Stop(Duration::from_millis(u64::MAX))));
        for bytes in [[0; Order::LEN], [b's'; Order::LEN], [b's', 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Order::from_bytes(bytes), None);
        }
    }
}
