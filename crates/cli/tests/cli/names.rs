//! File names are bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::tool::{Dir, os};

const NAMES: [&[u8]; 6] =
    [b"with space.log", b"new\nline.log", b"invalid\xff\xfe.log", b"-dash.log", b"--once", b"a\tb\x1b[1m.log"];

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

#[test]
fn any_name_can_be_an_input() {
    let dir = Dir::new();
    for (number, bytes) in NAMES.iter().enumerate() {
        dir.write(name(bytes), format!("{number}\n"));
    }
    let mut args: Vec<OsString> = ["--once", "-o", "out dir\n/all\n", "--report", "report.json", "--"].map(os).into();
    args.extend(NAMES.iter().map(|bytes| os(name(bytes))));
    std::fs::create_dir(dir.path("out dir\n")).unwrap();
    dir.run(args).expect_quiet();
    let output = dir.text("out dir\n/all\n");
    let mut lines: Vec<_> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "2", "3", "4", "5"]);

    let report: Value = serde_json::from_slice(&dir.read("report.json")).unwrap();
    let inputs = report["inputs"].as_array().unwrap();
    let told =
        |input: &str| inputs.iter().find(|told| told["input"] == input).unwrap_or_else(|| panic!("{input}: {report}"));
    assert_eq!(told("new\nline.log").get("input_base64"), None);
    assert_eq!(told("invalid\u{fffd}\u{fffd}.log")["input_base64"], "aW52YWxpZP/+LmxvZw==");
}

#[test]
fn a_pattern_matches_any_name() {
    let dir = Dir::new();
    for (number, bytes) in NAMES.iter().enumerate() {
        dir.write(dir.path("logs").join(name(bytes)), format!("{number}\n"));
    }
    let finished = dir.run(["--once", "logs/*"]).expect_quiet();
    assert_eq!(finished.stdout.len(), 2 * NAMES.len());
}

#[test]
fn a_message_about_any_name_is_one_line() {
    let dir = Dir::new();
    let finished = dir.run(["--once", "new\nline \u{1b}1m.log"]).expect(1).says("new\\nline \\u{1b}1m.log");
    assert!(!finished.stderr.contains('\u{1b}'));
}

#[test]
fn a_path_that_looks_like_a_pattern_is_taken_for_the_file_that_it_names() {
    let dir = Dir::new();
    dir.write("a[1].log", "bracket\n");
    dir.write("a1.log", "one\n");
    let finished = dir.run(["--once", "a[1].log"]).expect_quiet();
    assert_eq!(finished.stdout, b"bracket\n");
}
