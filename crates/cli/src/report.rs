//! The report for other programs: what was delivered of each input, as JSON.

mod file;

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use serde::Serialize;
use tailmerge::internal::is_escaped;
use tailmerge::{Gap, InputReport, Report};

pub(crate) use self::file::ReportFile;
use crate::status::{Failure, Status};

/// The report as JSON.
pub(crate) fn json(failure: Option<&Failure>, report: Option<&Report>) -> Vec<u8> {
    let text = serde_json::to_string_pretty(&Json::new(failure, report)).expect("it has no maps, and writes to memory");
    (in_plain_sight(&text) + "\n").into_bytes()
}

/// Escapes characters in JSON text that could change how a terminal shows it, such as those in file names. The values
/// stay the same.
fn in_plain_sight(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        match char.is_ascii_control() && char != '\u{7f}' || !is_escaped(char) {
            // Such a control character is no part of a string.
            true => text.push(char),
            false => text += &format!("\\u{:04x}", u32::from(char)),
        }
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    merge: Option<Merge<'a>>,
}

#[derive(Serialize)]
struct Merge<'a> {
    bytes: u64,
    lines: u64,
    unwritten_bytes: u64,
    drained: bool,
    readers_lost: bool,
    output_closed: bool,
    gap_count: u64,
    gap_bytes: u64,
    hole_bytes: u64,
    long_lines: u64,
    unterminated_lines: u64,
    folded_inputs: u64,
    failed_input_count: u64,
    possible_losses: u64,
    inputs: Vec<Input<'a>>,
    gaps: Vec<JsonGap<'a>>,
    failed_inputs: Vec<Failed<'a>>,
}

#[derive(Serialize)]
struct Input<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    bytes: u64,
    lines: u64,
    offset: u64,
    possible_losses: u64,
}

#[derive(Serialize)]
struct JsonGap<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    start: u64,
    end: u64,
    reason: String,
    time: String,
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    error: &'a str,
}

/// A file's name. A name that is not UTF-8 is given twice: in readable form, and as its exact bytes.
#[derive(Serialize)]
struct Name<'a> {
    input: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_base64: Option<String>,
}

impl<'a> Json<'a> {
    fn new(failure: Option<&'a Failure>, report: Option<&'a Report>) -> Self {
        Self {
            status: failure.map_or(Status::Delivered, |failure| failure.status) as u8,
            error: failure.map(|failure| &*failure.message),
            merge: report.map(Merge::from),
        }
    }
}

impl<'a> From<&'a Report> for Merge<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            bytes: report.bytes,
            lines: report.lines,
            unwritten_bytes: report.unwritten_bytes,
            drained: report.drained,
            readers_lost: report.readers_lost,
            output_closed: report.output_closed,
            gap_count: report.gap_count,
            gap_bytes: report.gap_bytes,
            hole_bytes: report.hole_bytes,
            long_lines: report.long_lines,
            unterminated_lines: report.unterminated_lines,
            folded_inputs: report.folded_inputs,
            failed_input_count: report.failed_input_count,
            possible_losses: report.possible_losses,
            inputs: report.inputs.iter().map(Input::from).collect(),
            gaps: report.gaps.iter().map(JsonGap::from).collect(),
            failed_inputs: report
                .failed_inputs
                .iter()
                .map(|(path, error)| Failed { name: Name::from(&**path), error })
                .collect(),
        }
    }
}

impl<'a> From<&'a InputReport> for Input<'a> {
    fn from(input: &'a InputReport) -> Self {
        Self {
            name: Name::from(&*input.name),
            bytes: input.bytes,
            lines: input.lines,
            offset: input.offset,
            possible_losses: input.possible_losses,
        }
    }
}

impl<'a> From<&'a Gap> for JsonGap<'a> {
    fn from(gap: &'a Gap) -> Self {
        Self {
            name: Name::from(&*gap.input),
            start: gap.start,
            end: gap.end,
            reason: gap.reason.to_string(),
            time: rfc3339(gap.time),
        }
    }
}

impl<'a> From<&'a Path> for Name<'a> {
    fn from(path: &'a Path) -> Self {
        let input_base64 = path.to_str().is_none().then(|| BASE64.encode(path.as_os_str().as_bytes()));
        Self { input: path.to_string_lossy(), input_base64 }
    }
}

/// Formats a moment as RFC 3339 does, in UTC and whole milliseconds.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Returns the date that is `days` days after 1970-01-01:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        let at = |millis| rfc3339(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199_001), "2024-02-29T23:59:59.001Z");
        assert_eq!(at(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(at(1_798_761_599_000), "2026-12-31T23:59:59.000Z");
    }

    #[test]
    fn a_name_that_is_not_utf8_is_told_exactly_too() {
        let json = |bytes| serde_json::to_string(&Name::from(Path::new(OsStr::from_bytes(bytes)))).unwrap();
        assert_eq!(json(b"a\n\"b\""), r#"{"input":"a\n\"b\""}"#);
        assert_eq!(json(b"a\xff"), "{\"input\":\"a\u{fffd}\",\"input_base64\":\"Yf8=\"}");
    }

    #[test]
    fn a_name_does_not_change_the_text_around_it() {
        let name = "a\u{9b}1m\u{202e}\u{7f}\n: ü";
        let text = in_plain_sight(&serde_json::to_string_pretty(&Name::from(Path::new(name))).unwrap());
        assert_eq!(text, "{\n  \"input\": \"a\\u009b1m\\u202e\\u007f\\n: ü\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["input"], name);
    }

    #[test]
    fn a_failure_before_the_start_is_reported_without_figures() {
        let json = serde_json::to_string(&Json::new(Some(&Failure::run_time("no")), None)).unwrap();
        assert_eq!(json, r#"{"status":1,"error":"no"}"#);
    }
}
