//! The end of a task as the record has it, written without an allocator. Pure; a test of the host compares it byte for
//! byte with what `executor_api::record` writes.
//!
//! One line of JSON, a line with its sum, and spaces up to the room that was taken when the record was made. The room is
//! written at once, so that a reader sees all of it or nothing.

use super::reply::{Done, Why};

/// Bytes of the room.
pub(crate) const ROOM: usize = 2048;

/// The figures of a usage, in the order and by the names of the record.
pub(crate) const FIGURES: [&str; 10] = [
    "memory_bytes",
    "memory_peak_bytes",
    "cpu_user_ms",
    "cpu_system_ms",
    "cpu_throttled_ms",
    "pids",
    "pids_peak",
    "io_read_bytes",
    "io_written_bytes",
    "oom_kills",
];
/// Where the figures are that the supervisor knows by itself.
pub(crate) const CPU_USER: usize = 2;
pub(crate) const CPU_SYSTEM: usize = 3;
pub(crate) const OOM_KILLS: usize = 9;

/// What was measured; none is not measured.
pub(crate) type Usage = [Option<u64>; FIGURES.len()];

/// Text that grows within its room, and stops where that is full.
struct Text<'a> {
    room: &'a mut [u8; ROOM],
    length: usize,
}

impl Text<'_> {
    fn add(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(room) = self.room.get_mut(self.length) {
                *room = *byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.add(&digits[at..]);
    }

    fn optional(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.add(b"null"),
        }
    }
}

/// Whether a wait status says that the process returned, and with what; else the signal.
pub(crate) fn split(status: i32) -> Result<u8, u8> {
    let [low, code, ..] = status.to_le_bytes();
    let signal = low & 0x7f;
    if signal == 0 { Ok(code) } else { Err(signal) }
}

/// Fills `room` with the end of a task.
pub(crate) fn write(room: &mut [u8; ROOM], done: &Done, usage: &Usage) {
    room.fill(b' ');
    let mut text = Text { room, length: 0 };
    text.add(b"{\"version\":1,\"outcome\":{\"ended\":{");
    match split(done.status) {
        Ok(code) => {
            text.add(b"\"exited\":");
            text.number(code.into());
        }
        Err(signal) => {
            text.add(b"\"signalled\":");
            text.number(signal.into());
        }
    }
    text.add(b"},\"cause\":\"");
    text.add(match done.why {
        Why::Own => b"own",
        Why::Stopped => b"stopped",
        Why::TimedOut => b"timed_out",
        Why::Oom => b"oom",
    });
    text.add(b"\",\"core_dumped\":");
    text.add(if done.status & 0x80 == 0 { b"false" } else { b"true" });
    text.add(b",\"started_unix_ms\":");
    text.number(done.started_ms);
    text.add(b",\"finished_unix_ms\":");
    text.number(done.finished_ms);
    text.add(b"},\"usage\":");
    for (at, (name, figure)) in FIGURES.iter().zip(usage).enumerate() {
        text.add(if at == 0 { b"{\"" } else { b",\"" });
        text.add(name.as_bytes());
        text.add(b"\":");
        text.optional(*figure);
    }
    text.add(b"}}");
    let sum = sum(&text.room[..text.length]);
    text.add(b"\nsum ");
    for shift in (0..16).rev() {
        text.add(&[b"0123456789abcdef"[(sum >> (shift * 4) & 0xf) as usize]]);
    }
    text.add(b"\n");
}

/// FNV-1a over 64 bits, as the record has it.
fn sum(json: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    json.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The sum of the numbers that stand behind `key` at the beginning of a line, as the files of groups have them; the first
/// number for no key. None where there is none.
pub(crate) fn number_behind(text: &[u8], key: &[u8]) -> Option<u64> {
    let number = |line: &[u8]| {
        let digits = line.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.map(|digit| u64::from(digit - b'0'));
        let parsed = digits.fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(digit));
        line.first().is_some_and(u8::is_ascii_digit).then_some(parsed)
    };
    if key.is_empty() {
        return number(text);
    }
    let values =
        text.split(|byte| *byte == b'\n').filter_map(|line| number(line.strip_prefix(key)?.strip_prefix(b" ")?));
    values.fold(None, |sum, value| Some(sum.unwrap_or(0_u64).saturating_add(value)))
}
