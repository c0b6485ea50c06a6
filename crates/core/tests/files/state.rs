//! An output with a state file: merges of one output, one after the other, whatever becomes of it meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use tailmerge_core::{Builder, Format, GapReason, LongLines, Prefix, Report, StartAt, StartError};

use crate::kit::{DEADLINE, Scene, Threads, block_on, failed, numbered, start, stop, until};

fn builder(scene: &Scene, pattern: &str) -> Builder {
    scene.builder().input(scene.pattern(pattern)).state(scene.path("state"))
}

/// Runs a merge to the end of its files.
#[track_caller]
fn once(builder: Builder) -> Report {
    let merge = start(builder.once(true));
    block_on("the merge ends by itself", merge.finished());
    stop(&merge)
}

#[track_caller]
fn refused(builder: Builder) -> StartError {
    block_on("start", builder.start_on(Threads::new())).expect_err("the merge is refused")
}

/// Each line comes once, in whatever form, and a line that has no newline yet is left to the merge after which it has one.
#[test]
fn merges_of_one_output_go_on_where_the_last_one_ended() {
    for (prefix, format) in [(Prefix::None, Format::Raw), (Prefix::Name, Format::Raw), (Prefix::Path, Format::Json)] {
        let scene = Scene::new();
        let run = || once(builder(&scene, "*.log*").prefix(prefix).format(format));
        let mut want = BTreeSet::new();
        let mut count = 0;
        for round in 0..6 {
            scene.append("a.log", format!("{round} end\n{}{round} begin", numbered(&format!("a {round}"), 0..100)));
            scene.append("b.log", format!("b {round}\n"));
            let report = run();
            count += report.lines;
            assert_eq!(report.gap_bytes, 0, "{report:?}");
            want.extend([format!("{} begin{round} end", round - 1).replace("-1 begin", ""), format!("b {round}")]);
            want.extend(numbered(&format!("a {round}"), 0..100).lines().map(str::to_owned));
            if round % 2 == 1 {
                scene.rename("b.log", format!("b.log.{round}"));
                scene.append(format!("b.log.{round}"), format!("b late {round}\n"));
                want.insert(format!("b late {round}"));
            }
            assert_eq!(scene.output().len(), scene.stat("all").expect("the output").size as usize);
        }
        count += run().lines;
        assert_eq!(run().lines, 0, "nothing is new");
        assert_eq!(count as usize, want.len());
        let output = String::from_utf8(scene.output()).expect("text");
        let content = |line: &str| match (prefix, format) {
            (Prefix::None, _) => line.to_owned(),
            (_, Format::Json) => line.split("\"line\":\"").nth(1).unwrap_or(line).trim_end_matches("\"}").to_owned(),
            _ => line.split_once(": ").map_or(line, |(_, line)| line).to_owned(),
        };
        let lines: Vec<_> = output.lines().map(content).collect();
        assert_eq!(lines.len(), want.len(), "{output}");
        assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), want);
    }
}

/// Neither the state file nor what is beside it is an input.
#[test]
fn what_belongs_to_the_state_file_is_no_input() {
    let scene = Scene::new();
    scene.write("a.log", "a line\n");
    for round in 0..3 {
        let merge = start(builder(&scene, "*"));
        scene.append("a.log", format!("{round}\n"));
        scene.append(format!("{round}.log"), "another\n");
        scene.expect_lines(3 + 2 * round);
        assert_eq!(stop(&merge).inputs.len(), 2 + round);
    }
}

#[test]
fn bytes_that_were_left_out_are_a_gap_once() {
    let scene = Scene::new();
    let run = || once(builder(&scene, "*.log").max_line_bytes(10).long_lines(LongLines::Skip));
    scene.write("a.log", "one\n");
    assert_eq!(run().gap_bytes, 0);
    scene.append("a.log", "a line over the limit\n");
    let report = run();
    assert_eq!((report.gap_bytes, report.gaps[0].reason), (22, GapReason::LineLimit));
    assert_eq!(run().gap_bytes, 0);
    scene.append("a.log", "two\n");
    assert_eq!(run().gap_bytes, 0);
    scene.assert_output("one\ntwo\n");
}

/// An output that holds something is never emptied, nor taken for one's own.
#[test]
fn an_output_without_its_state_file_is_refused_or_appended_to() {
    let scene = Scene::new();
    scene.write("all", "of others\nfragment");
    scene.write("a.log", "line\n");
    let error = refused(builder(&scene, "*.log")).to_string();
    assert!(error.contains("all has 18 bytes that no state file") && error.contains("append to it"), "{error}");
    scene.assert_output("of others\nfragment");
    once(builder(&scene, "*.log").append(true));
    scene.assert_output("of others\nfragment\nline\n");
    scene.append("a.log", "more\n");
    once(builder(&scene, "*.log"));
    scene.assert_output("of others\nfragment\nline\nmore\n");
    scene.remove("state");
    refused(builder(&scene, "*.log"));
    scene.write("state", "");
    refused(builder(&scene, "*.log"));
    scene.write("state", "a file of the user's\n");
    let error = refused(builder(&scene, "*.log").append(true)).to_string();
    assert!(error.contains("is no state file"), "{error}");
    assert_eq!(scene.read("state"), b"a file of the user's\n");
}

#[test]
fn an_output_that_does_not_fit_its_state_file_is_refused() {
    let scene = Scene::new();
    scene.write("a.log", numbered("a", 0..100));
    once(builder(&scene, "*.log"));
    // Otherwise a kill may have cut it.
    once(builder(&scene, "*.log"));
    let (output, state) = (scene.output(), scene.read("state"));
    let refused = |scene: &Scene, what: &str| {
        for append in [false, true] {
            let error = refused(builder(scene, "*.log").append(append)).to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(scene.read("state"), state, "it is as it was");
        }
    };
    scene.append("all", "of others\n");
    refused(&scene, "10 bytes behind byte");
    assert!(scene.output().ends_with(b"of others\n"));
    scene.producer("all").set_len(output.len() as u64 - 5);
    refused(&scene, "somebody has cut it");
    scene.producer("all").set_len(output.len() as u64);
    refused(&scene, "was changed between bytes");
    scene.write("other", &output);
    scene.rename("all", "kept");
    scene.rename("other", "all");
    let error = self::refused(builder(&scene, "*.log")).to_string();
    assert!(error.contains("no state file"), "{error}");
    scene.remove("kept");
    refused(&scene, "is not the file that");
    scene.remove("all");
    refused(&scene, "is neither at");
    assert!(scene.stat("all").is_none(), "nothing is made");
}

#[test]
fn a_second_merge_with_a_state_file_is_refused() {
    let scene = Scene::new();
    scene.write("a.log", "line\n");
    let merge = start(builder(&scene, "*.log"));
    scene.expect_lines(1);
    for output in ["all", "another"] {
        let error = refused(builder(&scene, "*.log").output(scene.path(output))).to_string();
        assert!(error.contains("another process uses this state file"), "{error}");
        assert!(scene.stat("another").is_none());
    }
    scene.append("a.log", "more\n");
    scene.expect_lines(2);
    stop(&merge);
    scene.assert_output("line\nmore\n");
}

#[test]
fn settings_that_do_not_go_with_a_state_file_are_refused() {
    let scene = Scene::new();
    let builder = || builder(&scene, "*.log");
    scene.write("also", "");
    let all = [
        builder().stdout(),
        builder().from(StartAt::End),
        builder().state(scene.path("all")),
        builder().state(scene.path("also")).output(scene.path("also")),
    ];
    for builder in all {
        assert!(refused(builder).is_usage());
    }
    for (named, input) in [("state", "state"), ("x", "x.lock"), ("y", "y")] {
        scene.write(input, "");
        let error = refused(scene.builder().path(scene.path(input)).state(scene.path(named)));
        assert!(error.is_usage() && error.to_string().contains("an input"), "{error}");
    }
}

/// The lines of outputs that are renamed, while it runs or not, are all of them, each once.
#[test]
fn an_output_that_is_renamed_is_finished_and_another_one_begun() {
    let scene = Scene::new();
    let mut names = Vec::new();
    for round in 0..6 {
        scene.append("a.log", numbered(&format!("{round}"), 0..100));
        let merge = start(builder(&scene, "*.log"));
        if round % 3 > 0 {
            until("all is written", || scene.output().ends_with(format!("{round} 99\n").as_bytes()));
            names.push(format!("all.{round}"));
            scene.rename("all", format!("all.{round}"));
            block_on("reopen", merge.reopen_output()).expect("the merge runs");
            assert_eq!(scene.output(), b"");
            scene.append("a.log", format!("{round} after\n"));
        }
        stop(&merge);
        if round % 2 == 0 {
            names.push(format!("all.{round}.down"));
            scene.rename("all", format!("all.{round}.down"));
        }
    }
    names.push("all".into());
    let outputs: Vec<u8> =
        names.iter().filter(|name| scene.stat(name).is_some()).flat_map(|name| scene.read(name)).collect();
    assert_eq!(String::from_utf8(outputs), String::from_utf8(scene.read("a.log")));
}

/// What another process does to the output while it runs ends the merge, and nothing of it is overwritten.
#[test]
fn an_output_that_another_process_changes_ends_the_merge() {
    for change in ["append", "cut", "remove"] {
        let scene = Scene::new();
        scene.write("a.log", "one\n");
        let merge = start(builder(&scene, "*.log"));
        scene.expect_lines(1);
        match change {
            "append" => scene.append("all", "other\n"),
            "cut" => scene.producer("all").set_len(2),
            _ => scene.remove("all"),
        }
        if change == "remove" {
            block_on("reopen", merge.reopen_output()).ok(); // The next write fails.
        }
        scene.append("a.log", "two\n");
        let why = if change == "remove" { "is neither at" } else { "another process has changed it" };
        scene.events.until(why);
        let error = failed(&merge).to_string();
        assert!(error.contains(why), "{change}: {error}");
        let left = scene.stat("all").map(|_| scene.output());
        let want = match change {
            "append" => Some(&b"one\nother\n"[..]),
            "cut" => Some(&b"on"[..]),
            _ => None,
        };
        assert_eq!(left.as_deref(), want);
    }
}

/// A disk that is full is waited for; what was written down of a batch holds for its rest.
#[test]
fn a_full_disk_is_waited_for() {
    let scene = Scene::new();
    scene.write("a.log", numbered("a", 0..1000));
    for room in [1000, 1500, 2500, 4000] {
        let waited = scene.events.count("waiting");
        scene.fs.fill_disk_at(room);
        let merge = start(builder(&scene, "*.log"));
        until("it waits", || scene.events.count("waiting") > waited);
        scene.fs.free_disk();
        until("all is written", || scene.output().len() >= scene.read("a.log").len());
        stop(&merge);
        scene.append("a.log", numbered(&format!("{room}"), 0..1000));
    }
    once(builder(&scene, "*.log"));
    scene.check(["a.log"]);
}

/// What is gone is told of once. It is known for long, in case it turns up elsewhere.
#[test]
fn a_file_that_is_gone_is_told_of_once_and_known_wherever_it_turns_up() {
    let scene = Scene::new();
    let run = || once(builder(&scene, "**/*.log"));
    scene.write("a.log", numbered("a", 0..100));
    scene.write("b.log", "b\n");
    assert_eq!(run().lines, 101);
    scene.remove("b.log");
    assert_eq!(run().possible_losses, 1);
    assert_eq!(run().possible_losses, 0);
    assert_eq!(run().possible_losses, 0);
    scene.append("a.log", "late\n");
    scene.make_dir("old");
    scene.rename("a.log", "hidden");
    scene.rename("hidden", "old/a.gz");
    let report = run();
    assert_eq!((report.lines, report.possible_losses), (0, 1), "{report:?}");
    run();
    scene.rename("old/a.gz", "old/a.log");
    assert_eq!(run().lines, 1);
    scene.assert_output([&numbered("a", 0..100), "b\n", "late\n"].concat());
}

/// Nobody writes the end of a line to a file that was rotated long ago.
#[test]
fn the_last_line_of_a_rotated_file_is_delivered_once_it_is_quiet() {
    let scene = Scene::new();
    let run = |grace| once(builder(&scene, "a.log").rotated_grace(grace));
    scene.write("a.log", "one\nbegun");
    run(Duration::ZERO);
    scene.rename("a.log", "a.log.1");
    scene.write("a.log", "two\n");
    run(DEADLINE);
    scene.assert_output("one\ntwo\n");
    until("it is old enough", || run(Duration::ZERO).unterminated_lines > 0);
    run(Duration::ZERO);
    scene.assert_output("one\ntwo\nbegun\n");
}
