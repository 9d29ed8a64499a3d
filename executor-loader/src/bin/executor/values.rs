//! Times as people write them.

use std::time::Duration;

/// Reads a time: bare seconds, or units as in `1m30s` and `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let read = match bare {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        None => humantime::parse_duration(text).map_err(|error| error.to_string()),
    };
    read.map_err(|error| format!("{error}; write 5s, 1m30s, 500ms or bare seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let cases = [("5", 5000), ("5s", 5000), ("1m30s", 90_000), ("500ms", 500), ("0.5", 500), ("1h", 3_600_000)];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1", "s", "1x", "1e9", "inf", "nan", "99999999999999999999999"] {
            assert!(duration(text).is_err(), "{text} was read");
        }
    }
}
