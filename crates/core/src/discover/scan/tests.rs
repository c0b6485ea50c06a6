use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::discover::pattern::Excludes;
use crate::fs::OsFs;

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) as usize % end
    }
}

/// A pattern in a directory, and what is known of it.
struct Known {
    pattern: Pattern,
    excludes: Excludes,
    dirs: Dirs,
}

impl Known {
    fn new(pattern: &Path, excludes: &[&str]) -> Self {
        let excludes = excludes.iter().map(|&glob| glob.to_owned()).collect();
        let excludes = Excludes::new(excludes).unwrap();
        Self { pattern: Pattern::new(pattern.as_os_str()).unwrap(), excludes, dirs: Dirs::new() }
    }

    fn look<T>(&mut self, look: impl FnOnce(&mut Scan<'_>, &mut Dirs) -> T) -> T {
        let excluded = |path: &Path| self.excludes.excluding(path).is_some();
        look(&mut Scan::new(&self.pattern, &OsFs, &excluded, false), &mut self.dirs)
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        self.dirs.values().flat_map(|dir| &dir.files).map(|ByName(path)| path.to_path_buf()).collect()
    }

    fn listed(&self) -> BTreeSet<PathBuf> {
        let (found, _) = find(&self.pattern, &OsFs, Reach::All);
        let kept = found.into_iter().filter(|path| self.excludes.excluding(path).is_none());
        kept.map(|path| path.to_path_buf()).collect()
    }
}

/// Does something to a name, and says what the system would tell of it.
fn change(path: &Path, root: &Path, numbers: &mut Numbers) -> Option<NameNow> {
    let there = fs::symlink_metadata(path);
    match there {
        Ok(there) if there.is_dir() => fs::remove_dir(path).ok().map(|()| NameNow::Nothing),
        Ok(_) => fs::remove_file(path).ok().map(|()| NameNow::Nothing),
        // Most names are of files: directories that are not empty stay.
        Err(_) => match numbers.below(if path.ends_with("d") || path.ends_with("e.log") { 5 } else { 2 }) {
            0 => fs::write(path, "").ok().map(|()| NameNow::File),
            4 => fs::create_dir(path).ok().map(|()| NameNow::Dir),
            2 | 3 => {
                // With something in it already.
                let new = root.join("new");
                fs::create_dir(&new).unwrap();
                fs::write(new.join("a.log"), "").unwrap();
                let moved = fs::rename(&new, path).ok().map(|()| NameNow::Dir);
                fs::remove_dir_all(new).ok();
                moved
            }
            _ => {
                // Where nothing changes: that is not told under the link's name.
                let to = ["out", "out/a.log", "nowhere", "logs"][numbers.below(4)];
                symlink(root.join(to), path).ok().map(|()| NameNow::File)
            }
        },
    }
}

/// Whatever comes and goes: to be told of the names finds the same files as to list the directories.
#[test]
fn what_names_tell_is_what_a_listing_finds() {
    const NAMES: [&str; 8] = ["a.log", "b.log", "d", "e.log", ".d", ".a.log", "x.gz", "*.log"];
    for (pattern, excludes) in [
        ("logs/*.log", &["b.*"][..]),
        ("logs/**/*.log", &[]),
        ("logs/*/*.log", &["e.log"]),
        ("logs/**", &["*.gz"]),
        ("logs/.*/*/{a,b}.log", &[]),
        ("logs/**/d/*.log", &[]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let root = &fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        fs::create_dir_all(root.join("out/d")).unwrap();
        fs::write(root.join("out/a.log"), "").unwrap();
        let mut known = Known::new(&root.join(pattern), excludes);
        known.look(|scan, dirs| scan.all(dirs));
        let (mut numbers, mut most) = (Numbers(7), 0);
        for step in 0..400 {
            let depth = 1 + numbers.below(3);
            let path = (0..depth).fold(root.join("logs"), |path, _| path.join(NAMES[numbers.below(NAMES.len())]));
            let Ok(dir) = fs::canonicalize(path.parent().unwrap()) else { continue };
            if !dir.starts_with(root.join("logs")) {
                continue;
            }
            let Some(what) = change(&path, root, &mut numbers) else { continue };
            // Under each path by which the directory is watched.
            let told: Vec<_> = known
                .dirs
                .keys()
                .filter(|path| fs::canonicalize(path).is_ok_and(|path| path == dir))
                .cloned()
                .collect();
            for dir in told {
                let change = NameChange { dir: dir.into(), name: path.file_name().unwrap().to_owned(), what };
                known.look(|scan, dirs| scan.name(&change, dirs));
            }
            assert_eq!(known.files(), known.listed(), "{pattern}, after step {step}: {what:?} {}", path.display());
            most = most.max(known.files().len());
        }
        assert!(most > 1, "{pattern} found {most} files at most");
    }
}

#[test]
fn a_scan_in_steps_looks_at_what_is_there_by_then() {
    let root = tempfile::tempdir().unwrap();
    let log = |dir: &str| {
        fs::create_dir_all(root.path().join(dir)).unwrap();
        fs::write(root.path().join(dir).join("a.log"), "").unwrap();
    };
    ["1/2", "3/4", "5"].iter().for_each(|dir| log(dir));
    let mut known = Known::new(&root.path().join("**/*.log"), &[]);
    let (mut next, mut steps) = (Vec::new(), 0);
    let mut step = |known: &mut Known| {
        known.look(|scan, dirs| scan.some(&mut next, Some(Instant::now()), dirs));
        steps += 1;
        next.is_empty()
    };
    while !step(&mut known) {}
    assert_eq!(known.files(), known.listed());
    assert_eq!(known.files().len(), 3);
    // One directory a step: the root, and five below it.
    assert_eq!(steps, 6);

    // Between two steps one tree goes, which the next look at what it is in finds, and another one comes.
    known.look(|scan, dirs| scan.some(&mut next, Some(Instant::now()), dirs));
    fs::remove_dir_all(root.path().join("1")).unwrap();
    let went = NameChange { dir: root.path().into(), name: "1".into(), what: NameNow::Nothing };
    known.look(|scan, dirs| scan.name(&went, dirs));
    log("6/7");
    let came = NameChange { dir: root.path().into(), name: "6".into(), what: NameNow::Dir };
    known.look(|scan, dirs| scan.name(&came, dirs));
    while !next.is_empty() {
        known.look(|scan, dirs| scan.some(&mut next, Some(Instant::now()), dirs));
    }
    assert_eq!(known.files(), known.listed());
    assert_eq!(known.dirs.len(), 6);
}
