//! File names are bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::tool::{Dir, os, wait_until};

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
fn an_input_with_wildcards_is_the_file_of_that_name_and_a_pattern() {
    let dir = Dir::new();
    for name in ["a[1].log", "a1.log", "*.txt", "b.txt", "[.log"] {
        dir.write(name, format!("{name}\n"));
    }
    for (input, names) in [
        ("a[1].log", &["a1.log", "a[1].log"][..]),
        ("*.txt", &["*.txt", "b.txt"]),
        ("./*.txt", &["*.txt", "b.txt"]),
        // No pattern at all.
        ("[.log", &["[.log"]),
    ] {
        let finished = dir.run(["--once", input]).expect_quiet();
        let output = String::from_utf8(finished.stdout).unwrap();
        let mut lines: Vec<_> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, names, "{input}");
    }
    // Nor is either of them missed.
    assert_eq!(dir.run(["--once", "a[1]*"]).expect_quiet().stdout, b"a1.log\n");
    dir.write("c[1].log", "bracket\n");
    assert_eq!(dir.run(["--once", "c[1].log"]).expect_quiet().stdout, b"bracket\n");
    // An exclude is for both.
    assert_eq!(dir.run(["--once", "--exclude", "[*]*", "*.txt"]).expect_quiet().stdout, b"b.txt\n");
    dir.run(["--once", "d[1].log"]).expect(1).says("d[1].log: no file matches");
}

#[test]
fn a_file_that_has_wildcards_in_its_name_may_come_later() {
    let dir = Dir::new();
    dir.write("logs/a.log", "a\n");
    let inputs = ["app[1].log", "{guid-1}/a.log", "logs/*.log"];
    let running = dir.tailmerge(["-o", "all"].iter().chain(&inputs)).start();
    wait_until("the first line is merged", || dir.text("all") == "a\n");
    let mut all = dir.text("all");
    for name in ["app[1].log", "{guid-1}/a.log", "logs/*.log", "app1.log", "logs/b.log"] {
        dir.write(name, format!("{name}\n"));
        all += &format!("{name}\n");
        wait_until(name, || dir.text("all") == all);
    }
    running.stop().expect(0).says_not("not there");
}

#[test]
fn it_is_explained_what_an_input_with_wildcards_comes_to() {
    let dir = Dir::new();
    dir.write("a[1].log", "bracket\n");
    for (inputs, verdicts) in [
        (["a[1].log", "b[1].log"], ["a[1].log: followed", "b[1].log: no file matches now"]),
        (["*.log", "a[1].log"], ["a[1].log: followed", "a[1].log: not followed: the same file as a[1].log"]),
    ] {
        let explained = dir.run(["--explain"].iter().chain(&inputs)).expect(0);
        let explained = String::from_utf8(explained.stdout).unwrap();
        let lines: Vec<_> = explained.lines().filter(|line| !line.contains("does not match")).collect();
        assert_eq!(lines.len(), verdicts.len(), "{explained}");
        assert!(lines.iter().zip(verdicts).all(|(line, verdict)| line.starts_with(verdict)), "{explained}");
    }
}

/// A name that, read carelessly, ends its label with a line of another program's; and one that turns the text around.
#[test]
fn no_name_can_pass_for_something_else() {
    let dir = Dir::new();
    let (spoof, turned) = ("auth.log: root logged in.log", "\u{9b}1m\u{202e}gol.b\u{2028}.log");
    dir.write(spoof, "x\n");
    dir.write(turned, "y\n");
    let args = |more: &[&str]| ["--once", "--report", "r.json"].iter().chain(more).map(os).collect::<Vec<OsString>>();
    let shown = ["auth.log\\u{3a} root logged in.log: ", "\\u{9b}1m\\u{202e}gol.b\\u{2028}.log: "];

    let finished = dir.run(args(&["--prefix", "name", "*.log"])).expect_quiet();
    let mut lines: Vec<_> = std::str::from_utf8(&finished.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [shown[1].to_owned() + "y", shown[0].to_owned() + "x"]);
    dir.write("all", &finished.stdout);
    dir.run(["--verify", "--prefix", "name", "-o", "all", spoof, turned]).expect(0);

    let report = dir.text("r.json");
    assert!(report.contains("\\u009b1m\\u202egol.b\\u2028.log"), "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(report["inputs"].as_array().unwrap().iter().any(|input| input["input"] == turned), "{report}");

    let finished = dir.run(args(&["--prefix", "name", "--format", "json", turned])).expect_quiet();
    let line: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!((&line["file"], &line["line"]), (&turned.into(), &"y".into()));
    assert!(finished.stdout.is_ascii());

    let explained = dir.run(["--explain", "*.log"]).expect(0).stdout;
    let explained = std::str::from_utf8(&explained).unwrap();
    assert!(shown.iter().all(|name| explained.lines().any(|line| line.starts_with(name))), "{explained}");
    assert!(!explained.contains(['\u{9b}', '\u{202e}', '\u{2028}']), "{explained}");

    let missing = dir.run(["--once", "a: b\u{9b}\u{202e}.log"]).expect(1);
    assert!(missing.stderr.contains("a\\u{3a} b\\u{9b}\\u{202e}.log: no such file"), "{}", missing.stderr);
}

#[test]
fn what_the_program_says_is_no_input() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let stderr = std::fs::File::create(dir.path("err.log")).unwrap();
    let args = ["-v", "--poll-interval", "5ms", "-o", "all", "*.log"];
    let running = dir.tailmerge(args).stderr(stderr).start();
    wait_until("the program has said something", || dir.text("err.log").contains("a.log: followed"));
    wait_until("the first line is merged", || dir.text("all").contains("a\n"));
    dir.append("a.log", "b\n");
    wait_until("the second line is merged", || dir.text("all").contains("b\n"));
    running.stop().expect(0);
    assert_eq!(dir.text("all"), "a\nb\n");
}
