//! Files that grow, and files that are not there yet.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

use tailmerge_core::Backend;

use crate::kit::{Scene, lines, numbered, start, start_blocking, stop, stop_blocking};

cases! { follow:
    a_file_that_grows_is_followed
    a_file_that_grows_is_followed_blocking
    a_fragment_is_held_until_its_newline
    a_line_written_byte_by_byte_comes_out_whole
    a_missing_file_is_waited_for
    a_missing_directory_is_waited_for
    new_matches_join
    what_is_excluded_stays_out
    any_name_will_do
    what_is_no_file_harms_no_other
    five_producers_lose_nothing
    two_merges_run_at_once
    a_file_with_much_to_read_starves_no_other
}

/// Lines come out as they are appended, and the report counts them.
fn a_file_that_grows_is_followed<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "one\n");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("one\n");
    scene.append("a.log", "two\nthree\n");
    scene.expect("one\ntwo\nthree\n");
    scene.append("a.log", "four\n");
    let report = stop(&merge);
    scene.assert_output("one\ntwo\nthree\nfour\n");
    assert_eq!((report.lines, report.bytes), (4, 19));
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    let [input] = &report.inputs[..] else { panic!("one input: {report:?}") };
    assert_eq!((input.lines, input.bytes, input.offset), (4, 19, 19));
    assert_eq!(input.name, scene.path("a.log"));
}

/// The same by the calls that block.
fn a_file_that_grows_is_followed_blocking<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "one\n");
    let merge = start_blocking(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("one\n");
    scene.append("a.log", "two\n");
    let report = stop_blocking(&merge);
    scene.assert_output("one\ntwo\n");
    assert_eq!((report.lines, report.bytes), (2, 8));
}

/// A line without its newline stays where it is until that comes.
fn a_fragment_is_held_until_its_newline<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "whole\nfrag");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("whole\n");
    scene.looked(&merge, "a.log");
    scene.assert_output("whole\n");
    scene.append("a.log", "ment\nanother");
    scene.expect("whole\nfragment\n");
    let report = stop(&merge);
    scene.assert_output("whole\nfragment\n");
    assert_eq!(report.unterminated_lines, 0);
    assert_eq!(report.inputs[0].offset, 15);
}

/// A line that is written a byte at a time, each seen by the merge, comes out once and whole.
fn a_line_written_byte_by_byte_comes_out_whole<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "");
    let merge = start_blocking(scene.builder().path(scene.path("a.log")), backend);
    for byte in b"byte by byte" {
        scene.append("a.log", [*byte]);
        scene.looked(&merge, "a.log");
        scene.assert_output("");
    }
    scene.append("a.log", "\n");
    scene.expect("byte by byte\n");
    stop_blocking(&merge);
    scene.assert_output("byte by byte\n");
}

/// A named file may come later.
fn a_missing_file_is_waited_for<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.events.until("a.log: not there, waiting for it");
    scene.write("a.log", "here\n");
    scene.expect("here\n");
    let report = stop(&merge);
    assert!(report.failed_inputs.is_empty(), "{report:?}");
}

/// So may its directory, and that of a pattern. That is hinted at: the slow look comes after 5 s.
fn a_missing_directory_is_waited_for<B: Backend>(backend: B) {
    let scene = Scene::new();
    let builder = scene.builder().path(scene.path("d/e/a.log")).input(scene.pattern("f/g/*.log"));
    let merge = start(builder, backend);
    scene.events.until("d/e/a.log: not there, waiting for it");
    scene.events.until("f/g/*.log: no file matches, waiting for one");
    let made = Instant::now();
    scene.write("d/e/a.log", "named\n");
    scene.expect("named\n");
    scene.write("f/g/b.log", "matched\n");
    scene.expect("named\nmatched\n");
    assert!(made.elapsed() < Duration::from_secs(4), "seen after {:?} only", made.elapsed());
    stop(&merge);
}

/// Files that match a pattern join when they come, those in new directories too.
fn new_matches_join<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("logs/1.log", "1\n");
    let merge = start(scene.builder().input(scene.pattern("logs/**/*.log")), backend);
    scene.expect("1\n");
    scene.write("logs/2.log", "2\n");
    scene.expect("1\n2\n");
    scene.write("logs/d/e/3.log", "3\n");
    scene.expect("1\n2\n3\n");
    scene.append("logs/1.log", "4\n");
    scene.expect("1\n2\n3\n4\n");
    let report = stop(&merge);
    assert_eq!(report.inputs.len(), 3, "{report:?}");
}

/// What is left out stays out, by its name and by its path; what is named is not left out.
fn what_is_excluded_stays_out<B: Backend>(backend: B) {
    let scene = Scene::new();
    for name in ["a.log", "a.gz", "old/b.log", "named.gz"] {
        scene.write(format!("logs/{name}"), format!("{name}\n"));
    }
    let old = scene.pattern("logs/old/*").into_os_string().into_string().expect("temporary paths are UTF-8");
    let builder = scene.builder().input(scene.pattern("logs/**/*")).path(scene.path("logs/named.gz"));
    let merge = start(builder.exclude("*.gz").exclude(old), backend);
    scene.expect_lines(2);
    // The directory is looked at again for these.
    scene.write("logs/c.gz", "c.gz\n");
    scene.write("logs/d.log", "d.log\n");
    scene.expect_lines(3);
    stop(&merge);
    scene.check(["logs/a.log", "logs/named.gz", "logs/d.log"]);
}

/// Any name does that a file can have.
fn any_name_will_do<B: Backend>(backend: B) {
    let scene = Scene::new();
    let long = [b'n'; 251];
    let names: [&[u8]; 8] = [
        b"white space.log",
        b"new\nline.log",
        b"not \xff\xfe UTF-8.log",
        b"-o.log",
        b"[ab]*?{c}.log",
        "\u{442}\u{430}\u{439}\u{43b}.log".as_bytes(),
        b"back\\slash.log",
        &[&long[..], b".log"].concat(),
    ];
    let names = names.map(OsStr::from_bytes);
    for name in names {
        scene.write(name, [name.as_bytes().escape_ascii().to_string().as_bytes(), b" 1\n"].concat());
    }
    let matching = start(scene.builder().input(scene.pattern("*.log")), backend.clone());
    let named =
        names.iter().fold(scene.builder().output(scene.path("named")), |builder, name| builder.path(scene.path(name)));
    let named = start(named, backend);
    scene.expect_lines(names.len());
    for name in names {
        scene.append(name, "2\n");
    }
    for merge in [matching, named] {
        assert_eq!(stop(&merge).inputs.len(), names.len());
    }
    scene.check(names);
    scene.rename("named", "all");
    scene.check(names);
}

/// What cannot be followed is told, and the others go on.
fn what_is_no_file_harms_no_other<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.make_dir("logs/dir.log");
    scene.fifo("logs/fifo.log");
    scene.symlink("nothing", "logs/dangling.log");
    scene.write("logs/a.log", "a\n");
    let builder = scene.builder().input(scene.pattern("logs/*.log")).path(scene.path("logs"));
    let merge = start(builder, backend);
    scene.expect("a\n");
    scene.events.until("fifo.log: a named pipe");
    scene.events.until("logs: a directory");
    // It may become one that can be.
    scene.write("nothing", "linked\n");
    scene.expect("a\nlinked\n");
    stop(&merge);
    scene.assert_output("a\nlinked\n");
}

/// Five producers write at their own pace, in pieces that do not end where lines do.
fn five_producers_lose_nothing<B: Backend>(backend: B) {
    let scene = Scene::new();
    let names = ["1.log", "2.log", "3.log", "4.log", "5.log"];
    let merge = start(scene.builder().input(scene.pattern("*.log")), backend);
    thread::scope(|scope| {
        for (seed, name) in names.iter().enumerate() {
            let scene = &scene;
            scope.spawn(move || {
                let text = numbered(name, 0..2000);
                let (mut rest, mut random) = (text.as_bytes(), seed + 1);
                while !rest.is_empty() {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let (piece, more) = rest.split_at(rest.len().min(1 + (random >> 33) % 300));
                    scene.append(name, piece);
                    rest = more;
                }
            });
        }
    });
    let report = stop(&merge);
    assert_eq!(report.lines, 10_000);
    scene.check(names);
}

/// Two merges of one process know nothing of each other.
fn two_merges_run_at_once<B: Backend>(backend: B) {
    let scene = Scene::new();
    let builder = || scene.builder().input(scene.pattern("*.log"));
    let first = start(builder(), backend.clone());
    let second = start(builder().output(scene.path("other")), backend);
    scene.write("a.log", "1\n");
    scene.expect("1\n");
    scene.expect_in("other", "1\n");
    stop(&first);
    scene.append("a.log", "2\n");
    scene.expect_in("other", "1\n2\n");
    stop_blocking(&second);
    scene.assert_output("1\n");
}

/// A file with much to read leaves turns to the others that are read by the same job.
fn a_file_with_much_to_read_starves_no_other<B: Backend>(backend: B) {
    let scene = Scene::new();
    for name in ["1 much", "2 much"] {
        scene.write(name, numbered(name, 0..50_000));
    }
    for name in ["3 little", "4 little"] {
        scene.write(name, format!("{name}\n"));
    }
    let builder = scene.builder().input(scene.pattern("*{much,little}")).max_line_bytes(1024).memory(64 * 1024);
    stop(&start(builder, backend));
    let output = scene.output();
    let last = |name: &str| lines(&output).iter().rposition(|line| line.starts_with(name.as_bytes())).expect("a line");
    let (first, second) = (last("1 much"), last("2 much"));
    let (third, fourth) = (last("3 little"), last("4 little"));
    // Which files share a job is not said.
    let fair = third < first && fourth < second || third < second && fourth < first;
    assert!(fair, "{third} and {fourth} come after the last of {first} and {second}");
}
