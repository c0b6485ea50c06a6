//! Which file is which: names that mean one file, and the output, which is no input.

use std::iter;
use std::time::{Duration, Instant};

use crate::kit::{Scene, TestFs, block_on, numbered, start, start_blocking, stop, stop_blocking, until};

/// One file under many names is one input.
#[test]
fn one_file_is_one_input() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.hard_link("a.log", "hard.log");
    scene.symlink("a.log", "soft.log");
    let a = scene.path("a.log");
    let builder = scene.builder().path(&a).input(&a).path(scene.path("./a.log")).input(scene.pattern("*.log"));
    let merge = start(builder);
    scene.expect("1\n");
    until("the other names are told", || scene.events.count("another name of a file that is followed") >= 2);
    scene.append("soft.log", "2\n");
    scene.append("hard.log", "3\n");
    for name in ["a.log", "hard.log", "soft.log"] {
        scene.looked(&merge, name);
    }
    let report = stop(&merge);
    scene.assert_output("1\n2\n3\n");
    assert_eq!(report.inputs.len(), 1, "{report:?}");
}

/// Files that hold the same bytes are two inputs.
#[test]
fn two_files_alike_are_two_inputs() {
    let scene = Scene::new();
    let lines = numbered("the same", 0..100);
    scene.write("a.log", &lines);
    scene.write("b.log", &lines);
    let merge = start_blocking(scene.builder().input(scene.pattern("*.log")));
    scene.expect_lines(200);
    stop_blocking(&merge);
    scene.check(["a.log", "b.log"]);
}

/// Files that begin alike, for longer than any sum of their heads goes, are inputs each.
#[test]
fn many_files_that_begin_alike_are_inputs_each() {
    const FILES: usize = 50;
    let scene = Scene::new();
    let head = numbered("the same in all", 0..3500);
    assert!(head.len() > 64 * 1024);
    let names: Vec<String> = (0..FILES).map(|number| format!("{number}.log")).collect();
    for name in &names[..FILES / 2] {
        scene.write(name, [&head, name, "\n"].concat());
    }
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    for name in &names[FILES / 2..] {
        scene.write(name, [&head, name, "\n"].concat());
    }
    scene.expect_lines(FILES * 3501);
    for name in &names {
        scene.append(name, format!("more of {name}\n"));
    }
    let report = stop(&merge);
    assert_eq!((report.inputs.len(), report.gaps.len()), (FILES, 0));
    scene.check(&names);
}

/// There is no file too small to be told from others.
#[test]
fn small_files_come_at_once() {
    const AT_ONCE: Duration = Duration::from_secs(5);
    let scene = Scene::new();
    scene.write("empty.log", "");
    let merge = start_blocking(scene.builder().input(scene.pattern("*.log")));
    let start = Instant::now();
    let mut all = String::new();
    for (number, len) in [0, 1, 63, 1023, 1, 63].into_iter().enumerate() {
        let line = "x".repeat(len) + "\n";
        scene.write(format!("{number}.log"), &line);
        all += &line;
        scene.expect(&all);
    }
    assert!(start.elapsed() < AT_ONCE, "after {:?}", start.elapsed());
    scene.write("empty.log", "no more\n");
    scene.expect(all + "no more\n");
    stop_blocking(&merge);
}

/// A new file with the inode of one that is gone is read from its first byte, however long it is, also where the file
/// system keeps no times of birth.
#[test]
fn an_inode_given_out_again_is_another_file() {
    /// How often an inode is to come again.
    const AGAIN: usize = 5;
    /// File systems that do not give them out again soon have nothing to show here.
    const FILES: usize = 30;
    let scene = Scene::on(TestFs::new().without_births());
    let builder = scene.builder().input(scene.pattern("*.log")).rotated_grace(Duration::from_millis(1));
    let merge = start(builder);
    let (mut all, mut seen, mut again) = (String::new(), Vec::new(), 0);
    for number in iter::successors(Some(1), |number| Some(number + 1)).take(FILES) {
        // Its first lines are those of the one before.
        let lines = numbered("line", 0..10 * number);
        scene.write("a.log", &lines);
        let inode = scene.stat("a.log").expect("a file of the case").id.ino;
        again += usize::from(seen.contains(&inode));
        seen.push(inode);
        all += &lines;
        scene.expect(&all);
        scene.remove("a.log");
        // As long as it is open, its inode is its own.
        until("the file is let go", || {
            merge.wake();
            scene.open_files().iter().all(|file| file.ends_with("all"))
        });
        if again == AGAIN {
            break;
        }
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// The output matches the pattern, under its own name and under two others: it is not read.
#[test]
fn the_output_is_not_read() {
    let scene = Scene::new();
    scene.write("all", "");
    scene.symlink("all", "soft");
    scene.hard_link("all", "hard");
    scene.write("a", "1\n");
    let merge = start(scene.builder().input(scene.pattern("*")));
    scene.expect("1\n");
    for (line, all) in [("2\n", "1\n2\n"), ("3\n", "1\n2\n3\n")] {
        scene.append("a", line);
        scene.expect(all);
        for name in ["all", "soft", "hard"] {
            scene.looked(&merge, name);
        }
    }
    let asked = block_on("follow", merge.follow(scene.path("soft")));
    asked.expect("it is taken on, and refused when it is looked at");
    scene.looked(&merge, "soft");
    let report = stop(&merge);
    scene.assert_output("1\n2\n3\n");
    assert_eq!(report.inputs.len(), 1, "{report:?}");
}

/// An output that is no file yet is no input either once it is there.
#[test]
fn a_new_output_is_not_read() {
    let scene = Scene::new();
    let merge = start_blocking(scene.builder().input(scene.pattern("*")));
    scene.write("a", "1\n");
    scene.expect("1\n");
    scene.looked(&merge, "all");
    stop_blocking(&merge);
    scene.assert_output("1\n");
}

/// Nor is a file that the host says it writes itself, under whatever name it is found.
#[test]
fn what_the_host_writes_is_not_read() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.write("own.log", "own\n");
    scene.symlink("own.log", "soft.log");
    let builder = scene.builder().input(scene.pattern("*.log")).never(scene.path("own.log"));
    let merge = start(builder);
    scene.expect("1\n");
    scene.append("own.log", "own\n");
    for name in ["own.log", "soft.log"] {
        scene.looked(&merge, name);
    }
    stop(&merge);
    scene.assert_output("1\n");
}
