//! Reading, printing and bounds of the quantities.

use super::*;

#[test]
fn sizes_read_as_the_field_writes_them() {
    let cases: [(&str, u64); 12] = [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64K", 65_536),
        ("64k", 65_536),
        ("64Ki", 65_536),
        ("64KiB", 65_536),
        ("64KB", 64_000),
        ("1.5G", 1_610_612_736),
        ("2T", 2_199_023_255_552),
        ("500MB", 500_000_000),
        ("18446744073709551615", u64::MAX),
    ];
    for (text, bytes) in cases {
        assert_eq!(text.parse::<Bytes>(), Ok(Bytes::new(bytes)), "{text}");
    }
    for text in ["", "M", "-1", "1.5", "1..5M", "64X", "64MM", "64 M", "i", "64BB", "99999999999T", "1e3"] {
        assert!(text.parse::<Bytes>().is_err(), "{text} was read");
    }
}

#[test]
fn what_is_printed_reads_back() {
    for bytes in [0, 1, 1023, 1024, 65_536, 1 << 30, (1 << 40) + 1, u64::MAX] {
        let size = Bytes::new(bytes);
        assert_eq!(size.to_string().parse::<Bytes>(), Ok(size));
    }
    for millis in [10, 500, 999, 1000, 1125, 1_000_000] {
        let cpus = Cpus::new(millis).expect("in range");
        assert_eq!(cpus.to_string().parse::<Cpus>(), Ok(cpus));
    }
    assert_eq!("SIGTERM".parse::<Signal>().map(|signal| signal.to_string()), Ok("SIGTERM".into()));
}

#[test]
fn bounds_hold_in_json_too() {
    assert!(serde_json::from_str::<CpuMhz>("1").is_err());
    assert!(serde_json::from_str::<Nice>("20").is_err());
    assert!(serde_json::from_str::<Pids>("-1").is_err());
    assert!(serde_json::from_str::<Bytes>("-1").is_err());
    assert_eq!(serde_json::from_str::<Umask>("18").map(Umask::bits).ok(), Some(0o22));
    for text in ["0.009", "0", "1000.001", "1.2345", ".5", "1.", "x"] {
        assert!(text.parse::<Cpus>().is_err(), "{text} was read");
    }
}
