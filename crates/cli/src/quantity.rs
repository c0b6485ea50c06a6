//! Durations and sizes as they are written on the command line.
//!
//! A whole number and its unit, nothing else: `250ms`, `1h`, `64KiB`. A duration always has a unit
//! (only 0 needs none), so that nobody has to know whether a bare 5 means seconds.

use std::time::Duration;

use tailmerge::Builder;

/// Units of a duration, in nanoseconds.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 60 * 60 * SECOND),
    ("d", 24 * 60 * 60 * SECOND),
];

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Units of a size, in bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The longest duration that is accepted. A longer one is a mistake, and no clock can represent a moment that far away.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a duration such as `250ms`, `5s`, `1h` or `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const HINT: &str = "give a whole number and a unit, such as 250ms, 5s, 1m or 1h";
    let (number, unit) = split(text).ok_or(HINT)?;
    if unit.is_empty() {
        return if number == 0 { Ok(Duration::ZERO) } else { Err(format!("the unit is missing: {HINT}")) };
    }
    let Some((_, one)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("unknown unit '{unit}': {HINT}"));
    };
    number
        .checked_mul(*one)
        .map(Duration::from_nanos)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| "too long: 100 years is the most".to_owned())
}

/// Reads a duration above 0.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// Reads a number of bytes above 0, such as `64KiB`, `1MB` or `4096`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    const HINT: &str = "give a whole number of bytes, or one with a unit, such as 64KiB, 1MiB or 1MB";
    let (number, unit) = split(text).ok_or(HINT)?;
    let Some((_, one)) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(format!("unknown unit '{unit}': {HINT}"));
    };
    let bytes = number.checked_mul(*one).and_then(|bytes| usize::try_from(bytes).ok());
    match bytes {
        Some(0) => Err("must be at least 1 byte".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".to_owned()),
    }
}

/// Reads a limit for the size of a line, in bytes.
pub(crate) fn line_limit(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ ..=Builder::LINE_BYTES_MAX => Ok(bytes),
        _ => Err("too large: 1GiB is the most".to_owned()),
    }
}

/// Splits a text into the number that it starts with and the rest.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7us"), Ok(Duration::from_micros(7)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert!(duration("5").is_err_and(|error| error.contains("the unit is missing")));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-5s", "+5s", "1.5s", "5 s", " 5s", "5s ", "5S", "5sec", "99999999999999999999s", "١s"] {
            assert!(duration(text).is_err(), "{text:?} was taken for {:?}", duration(text));
        }
    }

    #[test]
    fn durations_end_at_a_hundred_years() {
        assert_eq!(duration("36500d"), Ok(DURATION_MAX));
        assert_eq!(duration("5000000000us"), Ok(Duration::from_secs(5000)));
        for text in ["36501d", "4294967295h", "4294967296s", "18446744073709551615d"] {
            assert!(duration(text).is_err_and(|error| error.contains("too long")), "{text}");
        }
    }

    #[test]
    fn an_interval_is_longer_than_nothing() {
        assert_eq!(interval("1us"), Ok(Duration::from_micros(1)));
        assert!(interval("0").is_err());
        assert!(interval("0ms").is_err());
    }

    #[test]
    fn sizes_are_bytes_unless_a_unit_follows() {
        assert_eq!(size("1"), Ok(1));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("10B"), Ok(10));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert_eq!(size("2kB"), Ok(2_000));
        assert_eq!(size("3GiB"), Ok(3 << 30));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "0", "0KiB", "KiB", "-1", "1.5MiB", "1 MiB", "1M", "1k", "1Mib/s", "17179869184GiB"] {
            assert!(size(text).is_err(), "{text:?} was taken for {:?}", size(text));
        }
        assert!(size("1M").is_err_and(|error| error.contains("1MiB or 1MB")));
    }
}
