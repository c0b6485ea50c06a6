//! What is refused, before anything is read or written.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::tool::Dir;

fn refused(args: &[&str], because: &str) {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let finished = dir.run(args).expect(2).says(because);
    assert_eq!(finished.stderr.lines().count(), 1, "more than one line: {}", finished.stderr);
    assert_eq!(finished.stdout, b"");
    assert_eq!(fs::read_dir(dir.path("")).unwrap().count(), 1, "it left something behind");
}

#[test]
fn wrong_options_are_refused_in_one_line() {
    refused(&["--onec", "a.log"], "unexpected argument '--onec' found");
    refused(&["--watch", "often", "a.log"], "invalid value 'often' for '--watch");
    refused(&["--from", "middle", "a.log"], "invalid value 'middle' for '--from");
    refused(&["--prefix", "auto", "a.log"], "invalid value 'auto' for '--prefix");
    refused(&["-o"], "a value is required for '--output");
    refused(&[], "<INPUT>...");
    refused(&["-o", "x", "-o", "y", "a.log"], "cannot be used multiple times");
}

#[test]
fn wrong_values_are_refused_with_what_would_be_right() {
    refused(&["--stop-timeout", "5", "a.log"], "the unit is missing: give a whole number and a unit");
    refused(&["--poll-interval", "0", "a.log"], "must be longer than 0");
    refused(&["--max-line-bytes", "1M", "a.log"], "unknown unit 'M'");
    refused(&["--max-line-bytes", "0", "a.log"], "must be at least 1 byte");
    refused(&["--max-line-bytes", "100GiB", "a.log"], "'--max-line-bytes <SIZE>': too large: 1GiB is the most");
    refused(&["--max-line-bytes", "1073741825", "--verify", "-o", "x", "a.log"], "1GiB is the most");
    refused(&["--memory", "lots", "a.log"], "give a whole number of bytes");
}

#[test]
fn what_does_not_go_together_is_refused() {
    refused(&["-q", "-v", "a.log"], "cannot be used with");
    refused(&["--explain", "--verify", "-o", "x", "a.log"], "cannot be used with");
    refused(&["--verify", "--report", "r", "-o", "x", "a.log"], "cannot be used with");
    refused(&["--verify", "a.log"], "--verify needs --output FILE");
    refused(&["--verify", "-o", "-", "a.log"], "--verify needs --output FILE");
    refused(&["--verify", "--from", "end", "-o", "x", "a.log"], "--from end");
    refused(&["--verify", "--ignore-older", "1h", "-o", "x", "a.log"], "a merge with --ignore-older set aside");
    refused(&["--verify", "--append", "-o", "x", "a.log"], "before a merge with --append");
    refused(&["--append", "a.log"], "--append needs --output FILE");
    refused(&["--state", "s", "a.log"], "--state needs --output FILE");
    refused(&["--state", "s", "--from", "end", "-o", "x", "a.log"], "leave out --from end");
}

#[test]
fn names_that_cannot_be_meant_are_refused() {
    refused(&["--verify", "-o", "x", "-"], "--verify reads its inputs again");
    refused(&["--ignore-older", "3", "a.log"], "--ignore-older");
    refused(&[""], "an INPUT is empty");
    refused(&["-o", "", "a.log"], "a value is required for '--output");
    refused(&["--report", "-", "a.log"], "--report needs the path of a file");
    refused(&["--report", "a.log", "a.log"], "a.log: the report cannot be an input");
    refused(&["--report", "r.log", "a.log", "r.log"], "r.log: the report cannot be an input");
    refused(&["--report", "x", "-o", "x", "a.log"], "x: the report cannot be the output");
    refused(&["--exclude", "[", "a.log"], "[");
    refused(&["logs/["], "[");
    let nested = format!("{}a{}", "{".repeat(30_000), "}".repeat(30_000));
    refused(&[&nested], "not a valid pattern: it has 60001 bytes, 4096 are the most");
    refused(&["--exclude", &nested[29_700..30_301], "a.log"], "braces are nested more than 10 deep");
}

#[test]
fn the_output_among_the_inputs_is_refused_and_kept() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("b.log", "b\n");
    std::os::unix::fs::symlink("b.log", dir.path("link")).unwrap();
    fs::hard_link(dir.path("b.log"), dir.path("hard")).unwrap();
    for input in ["b.log", "./b.log", "link", "hard"] {
        let args = ["--once", "-o", "b.log", "a.log", input];
        dir.run(args).expect(2).says(input).says("output");
        assert_eq!(dir.text("b.log"), "b\n", "overwritten by way of {input}");
    }
}

#[test]
fn an_output_that_holds_something_and_matches_is_refused_and_kept() {
    let dir = Dir::new();
    dir.write("logs/a.log", "a\n");
    dir.write("logs/b.log", "b\n");
    std::os::unix::fs::symlink("logs/b.log", dir.path("all.log")).unwrap();
    for (once, output) in [(&["--once"][..], "logs/b.log"), (&[], "logs/b.log"), (&[], "all.log")] {
        let args = [once, &["-o", output, "logs/a.log", "logs/*.txt", "logs/*.log"]].concat();
        dir.run(args).expect(2).says("logs/b.log is the output and matches logs/*.log: what it holds would be lost");
        assert_eq!(dir.text("logs/b.log"), "b\n");
    }
}

#[test]
fn a_report_that_is_an_input_is_refused_and_kept() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    std::os::unix::fs::symlink("a.log", dir.path("r.json")).unwrap();
    dir.run(["--once", "--report", "r.json", "a.log"]).expect(2).says("r.json: the report cannot be an input");
    assert_eq!(dir.text("a.log"), "a\n");
}

#[test]
fn a_pattern_does_not_find_the_report() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.run(["--once", "-o", "all", "--report", "r.log", "*.log"]).expect_quiet();
    assert_eq!(dir.text("all"), "a\n");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let dir = Dir::new();
    let help = dir.run(["--help"]).expect_quiet();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = [
        "--output",
        "--append",
        "--state",
        "--once",
        "--from",
        "--exclude",
        "--ignore-older",
        "--deleted-max-age",
        "--deleted-max-bytes",
        "--watch",
        "--poll-interval",
        "--rotated-grace",
        "--max-line-bytes",
        "--long-lines",
        "--prefix",
        "--format",
        "--backend",
        "--memory",
        "--stop-timeout",
        "--report",
        "--explain",
        "--verify",
        "--quiet",
        "--verbose",
        "--help",
        "--version",
    ];
    for option in options {
        assert!(help.contains(option), "{option} is missing in: {help}");
    }
    let footer = help.split_once("An INPUT is").map(|(_, footer)| footer).unwrap_or_else(|| panic!("{help}"));
    assert!(footer.contains("Files that match later join in. After"), "wrapped in the middle: {help}");
    let version = dir.run(["-V"]).expect_quiet();
    assert_eq!(version.stdout, concat!("tailmerge ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
}

#[test]
fn explain_tells_which_files_are_meant_and_touches_nothing() {
    let dir = Dir::new();
    dir.write("logs/a.log", "a\n");
    dir.write("logs/b.log", "b\n");
    dir.write("logs/c.txt", "c\n");
    dir.write("all.log", "precious\n");
    let args = ["--explain", "-o", "all.log", "--exclude", "b*", "logs/*.log"];
    let said = String::from_utf8(dir.run(args).expect_quiet().stdout).unwrap();
    let about = |name: &str| said.lines().find(|line| line.contains(name)).map(str::to_owned);
    assert!(about("logs/a.log").is_some(), "{said}");
    let excluded = about("logs/b.log").unwrap_or_else(|| panic!("{said}"));
    assert!(excluded.contains("exclude"), "{excluded}");
    let unmatched = about("logs/c.txt").unwrap_or_else(|| panic!("{said}"));
    assert!(unmatched.contains("does not match"), "{unmatched}");
    assert_eq!(dir.text("all.log"), "precious\n");
}

#[test]
fn explain_tells_which_files_are_set_aside() {
    let dir = Dir::new();
    dir.write("old.log", "old\n");
    dir.write("new.log", "new\n");
    let aged = SystemTime::now() - Duration::from_secs(2 * 3600);
    fs::File::options().append(true).open(dir.path("old.log")).unwrap().set_modified(aged).unwrap();
    for (age, told) in [("1h", "1h"), ("90m", "90m"), ("5s", "5s")] {
        let said = dir.run(["--explain", "--ignore-older", age, "*.log"]).expect_quiet().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("new.log: followed from byte 0"), "{said}");
        let set_aside = format!("old.log: not changed for longer than {told}: set aside until it does\n");
        assert!(said.contains(&set_aside), "{said}");
    }
    let said = dir.run(["--explain", "--ignore-older", "3h", "*.log"]).expect_quiet().stdout;
    assert!(String::from_utf8(said).unwrap().contains("old.log: followed from byte 0"));
}
