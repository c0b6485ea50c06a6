//! Ends that are not final: files that are longer than what is written in them yet, and ends that are written over.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tailmerge_core::Report;

use crate::kit::{Scene, block_on, lines, numbered, start, stop, until};

const MIB: u64 = 1 << 20;
/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);
/// A time after which a file is let go.
const SHORT: Duration = Duration::from_millis(30);

/// The way in which a file is made longer than what is written.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    Truncate(u64),
    Fallocate(u64),
    Zeros(u64),
}

const AHEAD: [Ahead; 6] = [
    Ahead::Truncate(MIB),
    Ahead::Fallocate(MIB),
    Ahead::Zeros(MIB),
    Ahead::Truncate(3 * MIB),
    Ahead::Fallocate(3 * MIB),
    Ahead::Zeros(3 * MIB),
];

/// A program that writes each line behind the last one, wherever the file ends.
#[derive(Debug)]
struct Log {
    file: File,
    end: u64,
}

impl Log {
    /// Makes the file; none, which is told, where the file system cannot make it so.
    fn create(scene: &Scene, name: &str, content: &str, ahead: Ahead) -> Option<Self> {
        let file = File::create_new(scene.path(name)).expect("a file of the case");
        let mut log = Self { file, end: 0 };
        log.put(content);
        let made = match ahead {
            Ahead::Truncate(to) => log.file.set_len(to),
            Ahead::Fallocate(to) => fallocate(&log.file, FallocateFlags::empty(), 0, to).map_err(Into::into),
            Ahead::Zeros(to) => log.file.write_all_at(&vec![0; (to - log.end) as usize], log.end),
        };
        if let Err(error) = made {
            println!("SKIPPED: {ahead:?}: {error}");
            return None;
        }
        Some(log)
    }

    fn put(&mut self, text: &str) {
        self.file.write_all_at(text.as_bytes(), self.end).expect("a file of the case");
        self.end += text.len() as u64;
    }

    /// Cuts off what nothing was written to.
    fn cut(&self) {
        self.file.set_len(self.end).expect("a file of the case");
    }
}

/// Nothing was lost, and nothing was taken for a loss.
#[track_caller]
fn assert_nothing_lost(scene: &Scene, report: &Report) {
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    assert_eq!((report.possible_losses, report.hole_bytes), (0, 0), "{report:?}");
    for told in ["truncated", "skipped a hole", "are not in the output"] {
        assert_eq!(scene.events.count(told), 0, "{told}");
    }
}

/// A file is made as long as it is to become, and written from its front: each line comes as it is written, whether or
/// not there were lines before, and what is cut off in the end was nothing.
#[test]
fn a_preallocated_file_is_read_from_its_front() {
    for (ahead, content) in AHEAD.into_iter().flat_map(|ahead| [(ahead, ""), (ahead, "first\n")]) {
        let scene = Scene::of_machine();
        let Some(mut log) = Log::create(&scene, "a.log", content, ahead) else { continue };
        let merge = start(scene.builder().path(scene.path("a.log")));
        let mut all = content.to_owned();
        scene.expect(&all);
        let long = format!("{}\n", "long".repeat(20_000));
        for piece in ["1\n", "2\n3\n", "a fragment", " and its end\n", &long, &numbered("line", 0..1000), "last\n"] {
            log.put(piece);
            all += piece;
            let whole = all.rfind('\n').map_or(0, |at| at + 1);
            scene.expect(&all[..whole]);
            scene.looked(&merge, "a.log");
        }
        log.cut();
        scene.looked(&merge, "a.log");
        scene.append("a.log", "appended\n");
        all += "appended\n";
        scene.expect(&all);
        let report = stop(&merge);
        scene.assert_output(&all);
        assert_nothing_lost(&scene, &report);
        assert_eq!(report.inputs[0].offset, all.len() as u64, "{ahead:?}");
    }
}

/// So is one that comes while the merge runs, and that is made longer again and again.
#[test]
fn a_file_that_is_preallocated_piece_by_piece_is_read_as_it_is_written() {
    let scene = Scene::of_machine();
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    let Some(mut log) = Log::create(&scene, "a.log", "", Ahead::Fallocate(64 * 1024)) else { return };
    let mut all = String::new();
    for piece in 0..20 {
        let text = numbered(&format!("piece {piece}"), 0..500);
        if piece % 3 == 2 {
            log.cut();
            scene.looked(&merge, "a.log");
        }
        let to = (log.end + text.len() as u64).next_multiple_of(64 * 1024);
        fallocate(&log.file, FallocateFlags::empty(), 0, to).expect("it could be done before");
        for line in text.split_inclusive('\n').collect::<Vec<_>>().chunks(100) {
            log.put(&line.concat());
            all += &line.concat();
            scene.expect(&all);
        }
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert_nothing_lost(&scene, &report);
}

/// At a stop what nothing was written to is left, and so is a fragment in front of it.
#[test]
fn a_stop_leaves_nuls_at_the_end() {
    for (ahead, content) in AHEAD.into_iter().flat_map(|ahead| [(ahead, ""), (ahead, "1\n2\n"), (ahead, "1\n2\nfrag")])
    {
        let scene = Scene::of_machine();
        if Log::create(&scene, "a.log", content, ahead).is_none() {
            continue;
        }
        let whole = content.rfind('\n').map_or(0, |at| at + 1);
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect(&content[..whole]);
        scene.looked(&merge, "a.log");
        let report = stop(&merge);
        scene.assert_output(&content[..whole]);
        assert_nothing_lost(&scene, &report);
        assert_eq!((report.inputs[0].offset, report.unterminated_lines), (whole as u64, 0), "{ahead:?} {content:?}");
    }
}

/// Under `once` the last line comes without them, and 4 GiB of nothing take no time.
#[test]
fn once_ends_before_nuls_at_the_end() {
    for (ahead, content) in AHEAD
        .into_iter()
        .chain([Ahead::Truncate(4096 * MIB)])
        .flat_map(|ahead| ["", "x", "1\n2\n", "1\n2\nfrag"].map(|content| (ahead, content)))
    {
        let scene = Scene::of_machine();
        if Log::create(&scene, "a.log", content, ahead).is_none() {
            continue;
        }
        // No NULs by the gigabyte where this fails.
        scene.fs.fill_disk_at(MIB);
        let merge = start(scene.builder().once(true).path(scene.path("a.log")));
        block_on("the merge ends by itself", merge.finished());
        let report = stop(&merge);
        let is_cut = !content.is_empty() && !content.ends_with('\n');
        scene.assert_output(if is_cut { format!("{content}\n") } else { content.to_owned() });
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
        assert_eq!(report.unterminated_lines, u64::from(is_cut), "{ahead:?} {content:?}");
    }
}

/// The check of an output allows for NULs at the end of an input that are not in the output.
#[test]
fn nuls_at_the_end_are_no_difference() {
    for content in ["1\n2\n", "1\n2\nfrag"] {
        let scene = Scene::of_machine();
        Log::create(&scene, "a.log", content, Ahead::Zeros(10_000)).expect("any file system takes zeros");
        let merge = start(scene.builder().once(true).path(scene.path("a.log")));
        block_on("the merge ends by itself", merge.finished());
        stop(&merge);
        scene.check(["a.log"]);
    }
}

/// A file that loses its name gives its last line without them, and keeps nobody waiting for what they stand for.
#[test]
fn nuls_at_the_end_of_a_rotated_file_are_left_out() {
    for (ahead, content) in AHEAD.into_iter().flat_map(|ahead| [(ahead, "1\n2\n"), (ahead, "1\n2\nfrag")]) {
        for to in [Some("a.log.1"), None] {
            let scene = Scene::of_machine();
            if Log::create(&scene, "a.log", content, ahead).is_none() {
                continue;
            }
            let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
            scene.expect("1\n2\n");
            match to {
                Some(to) => scene.rename("a.log", to),
                None => scene.remove("a.log"),
            }
            let is_cut = !content.ends_with('\n');
            let mut want = if is_cut { format!("{content}\n") } else { content.to_owned() };
            scene.expect(&want);
            scene.append("a.log", "new\n");
            want += "new\n";
            scene.expect(&want);
            let report = stop(&merge);
            scene.assert_output(&want);
            assert!(report.gaps.is_empty(), "{ahead:?}: {report:?}");
            assert_eq!(report.unterminated_lines, u64::from(is_cut), "{ahead:?} {content:?}");
        }
    }
}

/// The new file does not wait for the old one to be written to its length, and late lines of the old one come.
#[test]
fn nuls_at_the_end_of_a_rotated_file_hold_up_nobody() {
    for ahead in AHEAD {
        let scene = Scene::of_machine();
        let Some(mut log) = Log::create(&scene, "a.log", "1\n", ahead) else { continue };
        let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(LONG));
        scene.expect("1\n");
        scene.rename("a.log", "a.log.1");
        scene.append("a.log", "new\n");
        scene.expect("1\nnew\n");
        log.put("late\n");
        scene.expect("1\nnew\nlate\n");
        let report = stop(&merge);
        assert_nothing_lost(&scene, &report);
    }
}

/// A program that writes whole blocks pads the last one with NULs, and cuts them off again: that is no loss.
#[test]
fn a_block_that_is_padded_and_cut_again_is_no_loss() {
    const BLOCK: usize = 4096;
    for looks in [true, false] {
        let scene = Scene::of_machine();
        let file = File::create_new(scene.path("a.log")).expect("a file of the case");
        let merge = start(scene.builder().path(scene.path("a.log")));
        let (mut all, mut padded) = (String::new(), Vec::new());
        for number in 0..60 {
            let from = all.len() / BLOCK * BLOCK;
            all += &format!("line {number} {}\n", "x".repeat(number * 37 % 200));
            let mut blocks = all.as_bytes()[from..].to_owned();
            blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
            file.write_all_at(&blocks, from as u64).expect("a file of the case");
            padded.push((all.len() as u64, (from + blocks.len()) as u64));
            if looks {
                scene.looked(&merge, "a.log");
            }
            file.set_len(all.len() as u64).expect("a file of the case");
            scene.expect(&all);
        }
        let report = stop(&merge);
        scene.assert_output(&all);
        if looks {
            assert_nothing_lost(&scene, &report);
        }
        // What was cut before anybody had read it might have been anything.
        assert!(report.gaps.iter().all(|gap| padded.contains(&(gap.start, gap.end))), "{report:?}");
    }
}

/// NULs that something follows are data like all else.
#[test]
fn nuls_that_something_follows_are_data() {
    let scene = Scene::new();
    scene.write("a.log", b"1\n\0\0\0\0");
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect("1\n");
    scene.looked(&merge, "a.log");
    scene.append("a.log", "2\n\0\n");
    scene.expect("1\n\0\0\0\x002\n\0\n");
    scene.append("a.log", b"3\0\0");
    scene.looked(&merge, "a.log");
    scene.append("a.log", b"\0\x003\n");
    scene.expect("1\n\0\0\0\x002\n\0\n3\0\0\0\x003\n");
    let report = stop(&merge);
    assert_nothing_lost(&scene, &report);
}

/// A line that every state of the array begins with: what is written over is behind it.
const HEAD: &str =
    "a head that is long enough for the end to be told from another content, whatever is written over there\n[\n";

/// The end of a JSON array is cut off for each entry, and written again behind it: only that comes again.
#[test]
fn an_end_that_is_cut_and_written_again_is_read_again_alone() {
    for looks in [true, false] {
        let scene = Scene::of_machine();
        scene.write("a.log", [HEAD, "]\n"].concat());
        let file = File::options().append(true).open(scene.path("a.log")).expect("a file of the case");
        let merge = start(scene.builder().path(scene.path("a.log")));
        let mut want = [HEAD, "]\n"].concat();
        scene.expect(&want);
        for entry in 0..200 {
            let end = file.metadata().expect("a file of the case").len();
            file.set_len(end - 2).expect("a file of the case");
            if looks {
                scene.looked(&merge, "a.log");
            }
            let text = format!(", {{\"entry\": {entry}}}\n]\n");
            scene.append("a.log", &text);
            want += &text;
            scene.expect(&want);
        }
        let report = stop(&merge);
        scene.assert_output(&want);
        assert!(report.gaps.is_empty(), "{report:?}");
    }
}

/// So it is where it is written over without a cut, however many entries come between two looks; where the line before
/// it is changed as well, that one comes again, too.
#[test]
fn an_end_that_is_written_over_is_read_again_alone() {
    // The end that is written over, and what follows an entry in its place.
    for (over, comma, pause) in [("]\n", "", true), ("]\n", "", false), ("\n]\n", ",", true), ("\n]\n", ",", false)] {
        let scene = Scene::of_machine();
        let mut content = [HEAD, "{\"entry\": 0}\n]\n"].concat();
        scene.write("a.log", &content);
        let file = File::options().write(true).open(scene.path("a.log")).expect("a file of the case");
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect(&content);
        for entry in 1..200 {
            let at = content.len() - over.len();
            content.truncate(at);
            content += &format!("{comma}{}{{\"entry\": {entry}}}\n]\n", if comma.is_empty() { "" } else { "\n" });
            file.write_all_at(&content.as_bytes()[at..], at as u64).expect("a file of the case");
            if pause {
                let last = format!("{{\"entry\": {entry}}}\n]\n");
                until("the entry comes", || scene.output().ends_with(last.as_bytes()));
            }
        }
        until("the last entry comes", || scene.output().ends_with(b"{\"entry\": 199}\n]\n"));
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{report:?}");
        let output = scene.output();
        let entries = lines(&output).into_iter().filter(|line| line.starts_with(b"{")).map(<[u8]>::to_owned);
        let mut entries: Vec<_> = entries.collect();
        let all = entries.len();
        // An entry that has got its comma is another line.
        entries.retain(|line| comma.is_empty() || line.ends_with(b",\n"));
        let mut want: Vec<_> = (0..200).map(|entry| format!("{{\"entry\": {entry}}}{comma}\n").into_bytes()).collect();
        want.truncate(if comma.is_empty() { 200 } else { 199 });
        crate::kit::assert_same("the entries", &entries.concat(), &want.concat());
        assert!(all <= 2 * entries.len() + 1, "{all} lines of {} entries", want.len());
        assert_eq!(lines(&output).iter().filter(|line| HEAD.as_bytes().starts_with(line)).count(), 1, "it came once");
    }
}
