//! The arrows between the parts of the core: a file that uses a part which it must
//! not know fails here, and so does a circle between files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Which parts each part may use, besides itself. A part is a folder of `src`, or a file beside the folders.
const ARROWS: [(&str, &[&str]); 18] = [
    // Services of all.
    ("clock", &[]),
    ("sync", &["clock"]),
    ("panic", &[]),
    ("backend", &[]),
    ("own_thread", &["backend"]),
    ("fs", &["clock", "sync"]),
    ("record", &["batch", "report"]),
    ("batch", &["clock", "fs", "sync"]),
    ("report", &["batch", "clock", "fs", "own_thread", "panic", "record", "sync"]),
    ("stall", &["clock", "report"]),
    // The reading side.
    ("watch", &["clock", "fs", "own_thread", "report", "sync"]),
    ("discover", &["backend", "clock", "follow", "fs", "own_thread", "record", "report", "source", "sync", "watch"]),
    ("follow", &["backend", "batch", "clock", "discover", "fs", "record", "report", "source", "sync", "watch"]),
    (
        "source",
        &[
            "backend",
            "batch",
            "clock",
            "discover",
            "follow",
            "fs",
            "own_thread",
            "panic",
            "record",
            "report",
            "sync",
            "watch",
        ],
    ),
    // The writing side, which knows nothing of the reading side.
    ("output", &["backend", "batch", "clock", "fs", "own_thread", "panic", "report", "stall", "sync"]),
    // What knows both.
    (
        "pipeline",
        &[
            "backend",
            "batch",
            "clock",
            "discover",
            "follow",
            "fs",
            "output",
            "own_thread",
            "record",
            "report",
            "source",
            "stall",
            "sync",
            "watch",
        ],
    ),
    ("lib", &[]),
    ("tests", &[]),
];

/// What is used at one place only, and by whom: all else goes through that.
const DOORS: [(&str, &[&str]); 8] = [
    ("std::fs", &["fs"]),
    ("rustix::fs", &["fs", "watch"]),
    ("rustix::io", &["fs", "watch"]),
    ("rustix::stdio", &["fs"]),
    ("thread::Builder", &["own_thread"]),
    ("Instant::now", &["clock"]),
    ("SystemTime::now", &["clock"]),
    // It asks the system's clock.
    (".elapsed()", &[]),
];

/// The path of each file of the core below `src`, with its text. Tests within files and the model of following are left
/// out: they may use what they want.
fn files(dir: &Path, below: &str, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).expect("the sources") {
        let path = entry.expect("the sources").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("files of ours have plain names");
        if path.is_dir() {
            if name != "model" {
                files(&path, &format!("{below}{name}/"), all);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).expect("a source file");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            all.insert(format!("{below}{name}"), code);
        }
    }
}

/// The files that each file names by paths that begin with `crate::`.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    let module = |file: &str| file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let modules: BTreeMap<String, &String> = all.keys().map(|file| (module(file), file)).collect();
    let mut arrows = BTreeMap::new();
    for (file, code) in &all {
        let used: &mut BTreeSet<String> = arrows.entry(file.clone()).or_default();
        for path in code.split("crate::").skip(1) {
            let end =
                path.find(|char: char| !char.is_alphanumeric() && char != '_' && char != ':').unwrap_or(path.len());
            let names: Vec<&str> = path[..end].split("::").filter(|name| !name.is_empty()).collect();
            let listed = path[end..].strip_prefix('{').and_then(|list| list.split('}').next()).unwrap_or_default();
            let last: Vec<&str> = listed.split(',').map(str::trim).collect();
            for last in last {
                let mut names = names.clone();
                names.extend((!last.is_empty()).then_some(last));
                // The longest beginning that is a file.
                while names.last().is_some() {
                    if let Some(to) = modules.get(&names.join("::")) {
                        used.extend((*to != file).then(|| (*to).clone()));
                        break;
                    }
                    names.pop();
                }
            }
        }
    }
    arrows
}

fn part(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn no_part_uses_one_that_it_must_not_know() {
    let mut wrong = Vec::new();
    let arrows = arrows();
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 100, "the arrows are found");
    for (from, used) in arrows.iter().filter(|(from, _)| *from != "lib.rs") {
        let allowed = ARROWS.iter().find(|(name, _)| *name == part(from));
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{from} belongs to no part"));
        let is_wrong = |to: &&String| part(to) != part(from) && !allowed.contains(&part(to));
        wrong.extend(used.iter().filter(is_wrong).map(|to| format!("{from} uses {to}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_threads_and_time_have_one_door() {
    let mut all = BTreeMap::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    let mut wrong = Vec::new();
    for (word, parts) in DOORS {
        let users = all.iter().filter(|(_, code)| code.contains(word)).map(|(file, _)| file);
        let (inside, outside): (Vec<_>, Vec<_>) = users.partition(|file| parts.contains(&part(file)));
        assert_eq!(inside.is_empty(), parts.is_empty(), "{inside:?} use {word}");
        wrong.extend(outside.iter().map(|file| format!("{file} uses {word}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn there_is_no_circle_between_files() {
    let mut arrows = arrows();
    arrows.remove("lib.rs");
    // Takes away files that use none of those that are left, until none is left, or a circle.
    loop {
        let free: Vec<String> = arrows
            .iter()
            .filter(|(_, used)| used.iter().all(|to| !arrows.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|file| drop(arrows.remove(file)));
    }
    let circles: Vec<_> = arrows
        .iter()
        .map(|(from, used)| (from, used.iter().filter(|to| arrows.contains_key(*to)).collect::<Vec<_>>()))
        .collect();
    assert!(circles.is_empty(), "among these files are circles: {circles:#?}");
}
