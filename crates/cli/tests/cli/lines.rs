//! What a line looks like in the output.

use serde_json::Value;

use crate::tool::Dir;

#[test]
fn bytes_pass_through_as_they_are() {
    let dir = Dir::new();
    let mut content: Vec<u8> = (0..=255).collect();
    content.extend_from_slice(b"\r\n\n\0\n\xff\xfe\r\n\n");
    dir.write("a.log", &content);
    let finished = dir.run(["--once", "a.log"]).expect_quiet();
    assert_eq!(finished.stdout, content);
}

#[test]
fn an_unterminated_last_line_is_delivered_once_with_a_newline() {
    let dir = Dir::new();
    dir.write("a.log", "one\ntwo");
    let finished = dir.run(["--once", "--report", "r.json", "a.log"]).expect_quiet();
    assert_eq!(finished.stdout, b"one\ntwo\n");
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    assert_eq!(report["unterminated_lines"], 1);
}

#[test]
fn lines_get_their_file_as_a_prefix() {
    let dir = Dir::new();
    dir.write("logs/a.log", "one\n\n");
    let run = |prefix: &str| dir.run(["--once", "--prefix", prefix, "logs/*.log"]).expect_quiet().stdout;
    assert_eq!(run("name"), b"a.log: one\na.log: \n");
    assert_eq!(run("path"), b"logs/a.log: one\nlogs/a.log: \n");
    assert_eq!(run("none"), b"one\n\n");
}

#[test]
fn lines_become_json() {
    let dir = Dir::new();
    dir.write("logs/a.log", b"say \"hi\"\t\r\n\xff\n");
    let run = |prefix: &str| {
        let finished = dir.run(["--once", "--format", "json", "--prefix", prefix, "logs/*.log"]).expect_quiet();
        String::from_utf8(finished.stdout)
            .unwrap()
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()
            .unwrap()
    };
    assert_eq!(
        run("path"),
        [
            serde_json::json!({"file": "logs/a.log", "line": "say \"hi\"\t\r"}),
            serde_json::json!({"file": "logs/a.log", "line_base64": "/w=="})
        ]
    );
    assert_eq!(run("none")[0], serde_json::json!({"line": "say \"hi\"\t\r"}));
}

const LONG: &[u8] = b"short\n0123456789abcdefXYZ\n01234567\n0123456789abcdef\n012345678\nlast\n";

#[test]
fn long_lines_are_split_and_nothing_is_lost() {
    let dir = Dir::new();
    dir.write("a.log", LONG);
    let finished = dir
        .run(["--once", "--max-line-bytes", "8", "a.log"])
        .expect(0)
        .says("a.log: the line at byte 6 is longer than 8 bytes: such lines are split");
    assert_eq!(finished.stdout, b"short\n01234567\n89abcdef\nXYZ\n01234567\n01234567\n89abcdef\n01234567\n8\nlast\n");
}

#[test]
fn long_lines_are_truncated_and_the_rest_is_a_gap() {
    let dir = Dir::new();
    dir.write("a.log", LONG);
    let args = ["--once", "--max-line-bytes", "8", "--long-lines", "truncate", "--report", "r.json", "a.log"];
    let finished = dir.run(args).expect(3).says("gaps").says("longer than 8 bytes: such lines are truncated");
    assert_eq!(finished.stdout, b"short\n01234567\n01234567\n01234567\n01234567\nlast\n");
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    assert_eq!(report["status"], 3);
    assert_eq!(report["long_lines"], 3);
    let gaps = report["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 3);
    assert_eq!((&gaps[0]["input"], &gaps[0]["start"]), (&"a.log".into(), &14.into()));
    assert!(gaps[0]["reason"].as_str().is_some_and(|reason| reason.contains("longer than the limit")), "{report}");
    assert!(gaps[0]["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{report}");
}

#[test]
fn long_lines_are_skipped_and_are_gaps() {
    let dir = Dir::new();
    dir.write("a.log", LONG);
    let args = ["--once", "--max-line-bytes", "8", "--long-lines", "skip", "a.log"];
    let finished = dir.run(args).expect(3).says("gaps").says("longer than 8 bytes: such lines are skipped");
    assert_eq!(finished.stdout, b"short\n01234567\nlast\n");
}

#[test]
fn a_line_longer_than_the_pipeline_is_served_by_each_policy() {
    const LINE: usize = 5 << 20;
    let dir = Dir::new();
    let mut content = vec![b'x'; LINE];
    content.extend_from_slice(b"\nnext\n");
    dir.write("a.log", &content);
    let run = |policy: &str, status: i32| {
        let args = ["--once", "-q", "--memory", "1MiB", "--max-line-bytes", "64KiB", "--long-lines", policy, "a.log"];
        dir.run(args).expect(status).stdout
    };
    let piece = [&[b'x'; 64 << 10][..], b"\n"].concat();
    assert!(run("split", 0) == [piece.repeat(LINE >> 16), b"next\n".to_vec()].concat());
    assert!(run("truncate", 3) == [&piece, &b"next\n"[..]].concat());
    assert!(run("skip", 3) == b"next\n");
}

#[test]
fn the_report_tells_what_became_of_each_input() {
    let dir = Dir::new();
    dir.write("a.log", "one\ntwo\n");
    dir.write("b.log", "three\n");
    dir.write("r.json", "x".repeat(10_000));
    dir.run(["--once", "-o", "all", "--report", "r.json", "a.log", "b.log", "missing.log"]).expect(1);
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    let inputs = report["inputs"].as_array().unwrap();
    for (input, bytes, lines) in [("a.log", 8, 2), ("b.log", 6, 1)] {
        let want = serde_json::json!({
            "input": input, "bytes": bytes, "lines": lines, "offset": bytes, "possible_losses": 0
        });
        assert!(inputs.contains(&want), "{report}");
    }
    assert_eq!(inputs.len(), 2);
    for (key, value) in [
        ("status", 1.into()),
        ("bytes", 14.into()),
        ("lines", 3.into()),
        ("unwritten_bytes", 0.into()),
        ("drained", true.into()),
        ("output_closed", false.into()),
        ("gaps", Value::Array(Vec::new())),
    ] {
        assert_eq!(report[key], value, "{key}: {report}");
    }
    assert_eq!(report["failed_inputs"][0]["input"], "missing.log");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("missing.log")), "{report}");
}

#[test]
fn so_many_gaps_are_not_told_one_by_one() {
    let dir = Dir::new();
    dir.write("a.log", "too long\n".repeat(1000));
    let args = ["--once", "--max-line-bytes", "4", "--long-lines", "truncate", "a.log"];
    let finished =
        dir.run(args).expect(3).says("995 more like this one within a minute: a.log").says("at least 4000 bytes");
    assert_eq!(finished.stdout, b"too \n".repeat(1000));
    // The first line that is too long, the gaps, their count, and what it ends with.
    assert_eq!(finished.stderr.lines().count(), 1 + 5 + 1 + 1, "{}", finished.stderr);
}

#[test]
fn gaps_beyond_those_that_are_listed_are_counted() {
    let dir = Dir::new();
    dir.write("a.log", "too long\n".repeat(12_000));
    let args = ["--once", "--max-line-bytes", "4", "--long-lines", "truncate", "--report", "r.json", "a.log"];
    dir.run(args).expect(3).says("finished with 12000 gaps: at least 48000 bytes");
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    let totals = ["gap_count", "gap_bytes", "hole_bytes"].map(|key| report[key].as_u64());
    assert_eq!(totals, [Some(12_000), Some(48_000), Some(0)]);
    assert_eq!(report["gaps"].as_array().map(Vec::len), Some(10_000));
}
