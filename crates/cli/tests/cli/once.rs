//! `--once`: what is there, then the end.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::tool::{Dir, Tool, lines_of, numbered};

#[test]
fn inputs_come_whole_and_in_order_to_standard_output() {
    let dir = Dir::new();
    for name in ["a", "b", "c"] {
        dir.write(format!("{name}.log"), numbered(name, 1000));
    }
    let finished = dir.run(["--once", "a.log", "b.log", "c.log"]).expect_quiet();
    let output = String::from_utf8(finished.stdout).unwrap();
    assert_eq!(output.lines().count(), 3000);
    for name in ["a", "b", "c"] {
        assert_eq!(lines_of(&output, name), numbered(name, 1000).lines().collect::<Vec<_>>());
    }
}

#[test]
fn both_backends_merge() {
    for backend in ["smol", "async-std"] {
        let dir = Dir::new();
        dir.write("a.log", numbered("a", 100));
        let finished = dir.run(["--once", "--backend", backend, "a.log"]).expect_quiet();
        assert_eq!(String::from_utf8(finished.stdout).unwrap(), numbered("a", 100), "{backend}");
    }
}

#[test]
fn an_output_is_begun_anew_unless_told_to_append() {
    let dir = Dir::new();
    dir.write("a.log", "one\ntwo\n");
    dir.write("all", "a longer text from before\n");
    dir.run(["--once", "-o", "all", "a.log"]).expect_quiet();
    assert_eq!(dir.text("all"), "one\ntwo\n");
    dir.run(["--once", "--append", "-o", "all", "a.log"]).expect_quiet();
    assert_eq!(dir.text("all"), "one\ntwo\none\ntwo\n");
}

#[test]
fn from_end_gives_nothing_of_what_is_there() {
    let dir = Dir::new();
    dir.write("a.log", "old\n");
    let finished = dir.run(["--once", "--from", "end", "a.log"]).expect_quiet();
    assert_eq!(finished.stdout, b"");
}

#[test]
fn excluded_files_are_left_out() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("b.log", "b\n");
    dir.write("c.log", "c\n");
    let finished = dir.run(["--once", "--exclude", "b.log", "--exclude", "c*", "*.log"]).expect_quiet();
    assert_eq!(finished.stdout, b"a\n");
}

#[test]
fn the_output_is_no_input_even_when_it_matches() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.run(["--once", "-o", "all.log", "*.log"]).expect_quiet();
    assert_eq!(dir.text("all.log"), "a\n");
    dir.run(["--once", "--append", "-o", "all.log", "*.log"]).expect_quiet();
    assert_eq!(dir.text("all.log"), "a\na\n");
    dir.run(["--once", "--exclude", "all.log", "-o", "all.log", "*.log"]).expect_quiet();
    assert_eq!(dir.text("all.log"), "a\n");
}

#[test]
fn a_missing_input_is_told_and_the_others_are_merged() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("c.log", "c\n");
    for quiet in [&[][..], &["-q"]] {
        let args = [&["--once", "a.log", "b.log", "c.log"], quiet].concat();
        let finished = dir.run(args).expect(1).says("b.log").says_not("a.log").says_not("c.log");
        assert!(finished.stderr.ends_with("could not be read (b.log: no such file); the others are merged\n"));
        let mut lines: Vec<_> = finished.stdout.split_inclusive(|&byte| byte == b'\n').collect();
        lines.sort();
        assert_eq!(lines, [b"a\n", b"c\n"]);
    }
}

#[test]
fn of_other_inputs_nothing_is_said_where_there_are_none() {
    let dir = Dir::new();
    for (inputs, failed) in [(&["a.log"][..], "1 input"), (&["a.log", "b.log"], "2 inputs")] {
        let finished = dir.run(["--once"].iter().chain(inputs)).expect(1).says("tailmerge: a.log: no such file\n");
        let last = finished.stderr.lines().next_back().unwrap();
        let told = last.starts_with(&format!("tailmerge: {failed} could not be read (")) && last.ends_with(')');
        assert!(told, "{}", finished.stderr);
    }
}

#[test]
fn a_pattern_without_a_match_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let finished = dir.run(["--once", "a.log", "*.txt"]).expect(1).says("*.txt");
    assert_eq!(finished.stdout, b"a\n");
}

#[test]
fn an_output_is_kept_where_nothing_can_be_read() {
    let dir = Dir::new();
    dir.write("all", "precious\n");
    fs::create_dir(dir.path("logs")).unwrap();
    dir.write("x.gz", "x\n");
    let args = ["--once", "-o", "all", "--exclude", "*.gz", "a.log", "b.log", "logs", "logs/*.log", "*.gz"];
    for quiet in [&[][..], &["-q"]] {
        let finished = dir.run([&args[..], quiet].concat()).expect(1).says("all is left as it is");
        for told in ["a.log: no such file", "b.log: no such file", "logs: a directory", "logs/*.log: no file matches"] {
            assert_eq!(finished.stderr.matches(told).count(), 1, "{told}: {}", finished.stderr);
        }
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert_eq!(dir.text("all"), "precious\n");
    }
    // With one that can be read the output is begun anew, though that one is empty.
    dir.write("b.log", "");
    dir.run(args).expect(1).says("a.log: no such file");
    assert_eq!(dir.text("all"), "");
}

#[test]
fn a_directory_as_input_is_told_and_the_others_are_merged() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    fs::create_dir(dir.path("logs")).unwrap();
    let finished = dir.run(["--once", "a.log", "logs"]).expect(1).says("logs").says("directory");
    assert_eq!(finished.stdout, b"a\n");
}

#[test]
fn an_unreadable_input_is_told_and_the_others_are_merged() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("secret.log", "b\n");
    fs::set_permissions(dir.path("secret.log"), Permissions::from_mode(0o000)).unwrap();
    let args = ["--once", "a.log", "secret.log"];
    let tool = if File::open(dir.path("secret.log")).is_ok() {
        // Root reads everything, so the program runs as somebody else.
        const NOBODY: u32 = 65_534;
        let program = dir.path("tailmerge");
        // Not by this process: while a file is open for writing here, a child of another test may hold it too,
        // and then it cannot be run.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_tailmerge")).arg(&program).status().unwrap().success());
        fs::set_permissions(dir.path(""), Permissions::from_mode(0o755)).unwrap();
        let mut tool = Tool::new(Path::new(&program), &dir.path("")).args(args);
        tool.command().uid(NOBODY).gid(NOBODY);
        tool
    } else {
        dir.tailmerge(args)
    };
    let finished = tool.start().finish().expect(1).says("secret.log").says("ermission denied");
    assert_eq!(finished.stdout, b"a\n");
}

#[test]
fn one_file_under_two_names_is_one_input() {
    let dir = Dir::new();
    dir.write("a.log", numbered("a", 100));
    std::os::unix::fs::symlink("a.log", dir.path("link.log")).unwrap();
    let finished = dir.run(["--once", "a.log", "./a.log", "link.log", "*.log"]).expect_quiet();
    assert_eq!(String::from_utf8(finished.stdout).unwrap(), numbered("a", 100));
}

#[test]
fn with_v_the_figures_are_told() {
    let dir = Dir::new();
    dir.write("a.log", "one\ntwo\n");
    dir.run(["--once", "-v", "a.log"]).expect(0).says("2 lines, 8 bytes written, of 1 input");
}
