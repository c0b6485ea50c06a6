//! Attacks by what files hold, how long they say they are, and how quickly they come, change and go.

use std::collections::VecDeque;
use std::fs::{self, File, FileTimes};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use super::Bout;

/// A line that would be the victim's if it began where a line begins. Any number of them fills a piece of a long line.
const FORGED: &[u8; 32] = b"victim.log: forged by long line ";
/// How many files keep their names meanwhile, for so long that they are found.
const LAG: usize = 400;
const TIB: u64 = 1 << 40;
const SIZES: [u64; 4] = [TIB, 16 * TIB - 4096, 32 << 30, 3 << 20];

/// More files than the program has descriptors, each with a line. They lose their names once they are found.
pub(crate) fn held(bout: &mut Bout<'_>) {
    let count = 1300 + bout.rng.below(300);
    let paths = bout.many(count);
    let mut files = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        files.extend(bout.create_line(path));
        if at >= LAG {
            bout.act(fs::remove_file(&paths[at - LAG]));
        }
        if at % 20 == 0 {
            bout.rest(10);
        }
    }
    for path in &paths[paths.len() - LAG..] {
        bout.act(fs::remove_file(path));
    }
    while !bout.is_over() && !files.is_empty() {
        let at = bout.rng.below(files.len() as u64) as usize;
        bout.act(files[at].write_all(b"a late line\n"));
        bout.rest(5);
    }
}

/// Thousands of files a second that live for a moment.
pub(crate) fn storm(bout: &mut Bout<'_>) {
    let alive = bout.pick(&[1, 10, 100, 500]);
    let mut paths = VecDeque::new();
    while !bout.is_over() {
        for _ in 0..30 {
            let path = bout.fresh();
            bout.create_line(&path);
            paths.push_back(path);
            if paths.len() > alive
                && let Some(path) = paths.pop_front()
            {
                bout.act(fs::remove_file(path));
            }
        }
        bout.rest(8);
    }
}

/// Files that say they are larger than they are, and NULs in place of what is to come.
pub(crate) fn sparse(bout: &mut Bout<'_>) {
    let nuls = vec![0; 1024 * 1024];
    while !bout.is_over() {
        let path = bout.fresh();
        let Some(file) = bout.create(&path) else { return };
        let size = bout.pick(&SIZES);
        let middle = bout.rng.below(size);
        match bout.rng.below(5) {
            0 => {
                bout.act(file.write_all_at(&nuls[..4096], 4096));
                bout.act(file.set_len(size));
            }
            1 => {
                for _ in 0..200 {
                    let size = bout.rng.below(size);
                    bout.act(file.set_len(size));
                }
            }
            2 => {
                bout.act(file.write_all_at(b"a line behind a hole\n", middle));
            }
            3 => {
                for at in 0..20 {
                    bout.act(file.write_all_at(&nuls, at * nuls.len() as u64));
                    bout.rest(1);
                }
            }
            _ => {
                bout.act(file.write_all_at(b"a first line\n", 0));
                for at in 1..40 {
                    bout.act(file.write_all_at(b"x", at * 1_000_003));
                }
            }
        }
        bout.rest(20);
        if bout.chance(3) {
            bout.act(file.set_len(0));
        }
    }
}

/// Holes between lines and within them that would take all of the disk as the NULs that they read as.
pub(crate) fn holes(bout: &mut Bout<'_>) {
    while !bout.is_over() {
        let path = bout.fresh();
        let Some(file) = bout.create(&path) else { return };
        let size = bout.pick(&SIZES);
        let start = bout.pick(&["a first line\n", "a part of a line"]);
        let middle = bout.rng.below(size);
        bout.act(file.write_all_at(start.as_bytes(), 0));
        bout.act(file.set_len(size));
        bout.act(file.write_all_at(b"a line far away\n", middle));
        bout.rest(100);
    }
}

/// Cut, written anew, cut to the half, written over, by the thousand.
pub(crate) fn truncate(bout: &mut Bout<'_>) {
    let paths = bout.many(20);
    let mut files: Vec<_> = paths.iter().filter_map(|path| bout.create_line(path)).collect();
    let long = "a line that is cut\n".repeat(5000);
    while !bout.is_over() {
        for _ in 0..50 {
            let at = bout.rng.below(files.len().max(1) as u64) as usize;
            let kind = bout.rng.below(6);
            let Some(mut file) = files.get_mut(at).and_then(|file| file.try_clone().ok()) else { return };
            match kind {
                0 => bout.act(file.set_len(0)).map(drop),
                1 => bout.act(file.write_all_at(long.as_bytes(), 0)).map(drop),
                2 => bout.act(file.set_len(long.len() as u64 / 2)).map(drop),
                3 => bout.act(file.write_all_at(b"other line that is cut\n", 7)).map(drop),
                4 => bout.act(file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"more\n"))).map(drop),
                _ => bout.act(file.set_len(0).and_then(|()| file.write_all_at(b"anew\n", 0))).map(drop),
            };
        }
        bout.rest(10);
    }
}

/// Changes that the times of files and directories do not tell.
pub(crate) fn mtime(bout: &mut Bout<'_>) {
    let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let future = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(1_000_000_000));
    let paths = bout.many(30);
    let own = bout.act(File::open(&bout.own));
    while !bout.is_over() {
        let path = bout.pick(&paths);
        bout.append(&path, b"a line of no time\n");
        let times = bout.pick(&[old, future]);
        if let Some(file) = bout.act(File::options().append(true).open(&path)) {
            bout.act(file.set_times(times));
        }
        if let Some(own) = &own {
            bout.act(own.set_times(times));
        }
        if bout.chance(10) {
            bout.act(fs::remove_file(path));
        }
        bout.rest(1);
    }
}

/// A line without an end.
pub(crate) fn endless(bout: &mut Bout<'_>) {
    let path = bout.fresh();
    let Some(mut file) = bout.create(&path) else { return };
    let chunk = FORGED.repeat(32 * 1024);
    let mib = bout.pick(&[8, 20, 60, 200]);
    for _ in 0..mib {
        if bout.act(file.write_all(&chunk)).is_none() || bout.is_over() {
            break;
        }
        bout.rest(2);
    }
    match bout.rng.below(3) {
        0 => drop(bout.act(file.set_len(0))),
        1 => drop(bout.act(file.write_all(b"\n"))),
        _ => {}
    }
    bout.rest_all();
    bout.act(file.set_len(0));
}

/// Empty lines under a long name: each becomes a line of its own with a label.
pub(crate) fn amplify(bout: &mut Bout<'_>) {
    let name = format!("{}{}.log", bout.tag, "x".repeat(251 - bout.tag.len()));
    let path = bout.place(name);
    let newlines = vec![b'\n'; 5000];
    while !bout.is_over() {
        bout.append(&path, &newlines);
        bout.rest(50);
    }
}

/// Hundreds of files that grow by a byte or a line at a time.
pub(crate) fn trickle(bout: &mut Bout<'_>) {
    let paths = bout.many(300);
    let mut files: Vec<_> = paths.iter().filter_map(|path| bout.create(path)).collect();
    while !bout.is_over() && !files.is_empty() {
        for _ in 0..100 {
            let at = bout.rng.below(files.len() as u64) as usize;
            let byte = bout.pick(b"victim.log: forged\n\n\0\r");
            bout.act(files[at].write_all(&[byte]));
        }
        bout.rest(5);
    }
}

/// Many files that begin alike: each may be a copy of any other.
pub(crate) fn heads(bout: &mut Bout<'_>) {
    let paths = bout.many(400);
    let head = "the same line as in all the others\n".repeat(200);
    for path in &paths {
        if let Some(mut file) = bout.create(path) {
            let len = bout.pick(&[35, 70, 350, 7000]);
            bout.act(file.write_all(&head.as_bytes()[..len]));
        }
    }
    while !bout.is_over() {
        let (path, len) = (bout.pick(&paths), bout.pick(&[35, 70, 7000]));
        bout.append(&path, &head.as_bytes()[..len]);
        if bout.chance(20) {
            bout.act(File::options().write(true).open(&path).and_then(|file| file.set_len(35)));
        }
        bout.rest(1);
    }
}

/// Returns the content of the victim's log, as the attacker can copy it.
pub(super) fn victims_log(bout: &mut Bout<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let log = File::open(bout.world.dir.join("victim.log")).map(|log| log.take(1024 * 1024));
    bout.act(log.and_then(|mut log| log.read_to_end(&mut bytes)));
    if !bout.world.labelled {
        // Else nobody could tell them from the victim's own.
        bytes.iter_mut().filter(|byte| **byte == b'v').for_each(|byte| *byte = b'V');
    }
    bytes
}

/// Copies of the victim's log, whole and in part, under names that a rotated one would have.
pub(crate) fn copies(bout: &mut Bout<'_>) {
    while !bout.is_over() {
        let bytes = victims_log(bout);
        let number = bout.rng.below(1000);
        let ends = [format!(".{number}"), format!("-{number:016x}"), format!(".{number}.log"), "~".to_owned()];
        let end = bout.pick(&ends);
        let path = bout.place(format!("victim.log{end}"));
        let Some(mut file) = bout.create(&path) else { continue };
        let parts = bout.rng.below(4) as usize + 1;
        for part in bytes.chunks(bytes.len() / parts + 1) {
            bout.act(file.write_all(part));
            bout.rest(5);
        }
        let forged = if bout.world.labelled { "victim 1 1 forged in a copy\n" } else { "Victim\n" };
        bout.act(file.write_all(forged.as_bytes()));
        bout.rest(20);
        if bout.chance(2) {
            bout.act(fs::remove_file(path));
        }
    }
}
