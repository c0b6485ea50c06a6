//! Links of others need root to be made: without it these tests say that they are skipped.

use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{RenameFlags, renameat_with};
use tempfile::TempDir;

use super::*;

const NOBODY: u32 = 65534;

/// A directory that nobody else can write to, with a file `secret` of ours in it, and a directory `theirs` of nobody's.
fn ground() -> Option<TempDir> {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can make links of another user");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "secret\n").unwrap();
    fs::create_dir(dir.path().join("theirs")).unwrap();
    own(&dir.path().join("theirs"));
    Some(dir)
}

/// Gives a file, or a link itself, to nobody.
fn own(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

fn their_link(target: &Path, path: &Path) {
    symlink(target, path).unwrap();
    own(path);
}

fn their_file(path: &Path) {
    fs::write(path, "theirs\n").unwrap();
    own(path);
}

/// What each way to ask for a path comes to, the walk included that is taken where there is no `openat2`.
fn outcomes(fs: &LinkedFs, path: &Path) -> Vec<Result<super::super::FileId, Option<RefusedLink>>> {
    let open = |opened: io::Result<Box<dyn ReadFile>>| opened.and_then(|file| file.stat()).map(|stat| stat.id);
    let walk = || {
        if fs.is_free(path) {
            return fs.stat(path).map(|stat| stat.id);
        }
        match fs.walk(path, READ | OFlags::CLOEXEC)? {
            Step::Done(file) => ReadFile::stat(&file).map(|stat| stat.id),
            Step::Changed => panic!("{}: it did not change", path.display()),
        }
    };
    let all = [fs.stat(path).map(|stat| stat.id), open(fs.open(path)), walk()];
    all.map(|result| result.map_err(|error| RefusedLink::of(&error))).into()
}

#[test]
fn each_link_on_the_way_must_belong_to_root_to_us_or_to_the_owner_of_the_target() {
    let Some(dir) = ground() else { return };
    let at = |name: &str| dir.path().join(name);
    their_file(&at("theirs/a"));
    symlink("secret", at("ours")).unwrap();
    symlink("theirs", at("our-dir")).unwrap();
    symlink(at("theirs"), at("theirs/ours-too")).unwrap();
    their_link(Path::new("../secret"), &at("theirs/up"));
    their_link(&at("secret"), &at("theirs/absolute"));
    their_link(Path::new("../ours"), &at("theirs/by-ours"));
    their_link(Path::new("up"), &at("theirs/twice"));
    their_link(Path::new("a"), &at("theirs/b"));
    their_link(Path::new(".."), &at("theirs/dir"));
    their_link(Path::new("/proc/self/root"), &at("theirs/root"));
    their_link(Path::new("."), &at("theirs/here"));
    their_link(Path::new("nowhere"), &at("theirs/dangling"));
    let fs = LinkedFs::new(Links::Owned);
    for path in [
        "secret",
        "ours",
        "our-dir/a",
        "our-dir/b",
        "theirs/a",
        "theirs/b",
        "theirs/ours-too/a",
        "theirs/here/here/a",
        "theirs/../secret",
        "our-dir/../ours",
    ] {
        let id = OsFs.stat(&at(path)).unwrap().id;
        assert_eq!(outcomes(&fs, &at(path)), [Ok(id); 3], "{path}");
    }
    let inside = at("theirs/root").to_str().unwrap().to_owned() + at("secret").to_str().unwrap();
    for path in [
        "theirs/up",
        "theirs/absolute",
        "theirs/by-ours",
        "theirs/twice",
        "our-dir/up",
        "theirs/dir/secret",
        "theirs/here/up",
        "theirs/dir/ours",
        &inside,
    ] {
        assert!(OsFs.open(&at(path)).is_ok(), "{path}");
        let refused = RefusedLink { owner: Some(NOBODY), is_dir: false };
        assert_eq!(outcomes(&fs, &at(path)), [Err(Some(refused)); 3], "{path}");
    }
    assert_eq!(RefusedLink::of(&fs.stat(&at("theirs/dir")).unwrap_err()).map(|link| link.is_dir), Some(true));
    assert_eq!(fs.stat(&at("theirs/dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(fs.stat(&at("secret/a")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn directories_are_listed_by_the_same_rule() {
    let Some(dir) = ground() else { return };
    let at = |name: &str| dir.path().join(name);
    their_file(&at("theirs/a"));
    their_link(Path::new(".."), &at("theirs/dir"));
    their_link(Path::new("."), &at("theirs/here"));
    symlink("theirs", at("ours")).unwrap();
    let fs = LinkedFs::new(Links::Owned);
    let list = |path: &str| {
        let mut names = Vec::new();
        fs.list(&at(path), &mut |entry| names.push((entry.name.to_owned(), entry.kind))).map(|()| {
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            names
        })
    };
    let all = [("a", Kind::File), ("dir", Kind::Link), ("here", Kind::Link)].map(|(name, kind)| (name.into(), kind));
    for path in ["theirs", "ours", "theirs/here", "theirs/."] {
        assert_eq!(list(path).unwrap(), all, "{path}");
    }
    assert!(RefusedLink::of(&list("theirs/dir").unwrap_err()).is_some());
}

#[test]
fn links_of_our_own_lead_where_the_system_has_them_lead() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/file"), "x\n").unwrap();
    let fifty: PathBuf = (0..50).map(|_| "up").collect::<PathBuf>().join("a/b/file");
    symlink("..", at("a/up")).unwrap();
    symlink("a", at("up")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("b/file", at("a/link")).unwrap();
    symlink(at("a"), at("absolute")).unwrap();
    let fs = LinkedFs::new(Links::Owned);
    for path in [
        "a/up/a/link",
        "absolute/b/../link",
        "up/up/up/b/file",
        "a/b/file/",
        "loop",
        "absolute/",
        "a/none",
        "a/b/file/none",
        "a/up/..",
        "/",
        "/proc/self/exe",
        "/dev/fd/0",
        fifty.to_str().unwrap(),
    ] {
        let (path, told) =
            (at(path), |result: io::Result<Stat>| result.map(|stat| stat.id).map_err(|error| error.raw_os_error()));
        let path = if path.ends_with("a/b/file/") { at("a/b/file") } else { path };
        assert_eq!(told(fs.stat(&path)), told(OsFs.stat(&path)), "{}", path.display());
    }
    // From the working directory on.
    assert_eq!(fs.stat(Path::new("src/../Cargo.toml")).unwrap().id, OsFs.stat(Path::new("Cargo.toml")).unwrap().id);
    assert_eq!(fs.stat(Path::new(".")).unwrap().id, OsFs.stat(Path::new(".")).unwrap().id);
}

#[test]
fn nothing_behind_a_named_path_is_followed_under_skip() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("real/sub")).unwrap();
    fs::write(at("real/sub/file"), "x\n").unwrap();
    symlink("real", at("base")).unwrap();
    symlink("sub", at("real/linked")).unwrap();
    symlink("sub/file", at("real/link")).unwrap();
    let fs = LinkedFs::new(Links::Skip);
    fs.named(&at("base"));
    fs.named(&at("real/link"));
    for (path, follows) in [
        ("base/sub/file", true),
        ("base/link", false),
        ("base/linked/file", false),
        ("real/link", true),
        ("real/linked/file", false),
        ("real/sub/file", true),
    ] {
        let id = OsFs.stat(&at(path)).unwrap().id;
        let refused = Err(Some(RefusedLink { owner: None, is_dir: false }));
        assert_eq!(outcomes(&fs, &at(path)), [if follows { Ok(id) } else { refused }; 3], "{path}");
    }
}

#[test]
fn what_others_can_change_is_not_settled() {
    let Some(dir) = ground() else { return };
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("theirs/sub/sub")).unwrap();
    fs::create_dir_all(at("ours/sub")).unwrap();
    fs::create_dir_all(at("sticky/theirs")).unwrap();
    fs::create_dir_all(at("sticky/ours")).unwrap();
    fs::create_dir_all(at("open/ours")).unwrap();
    fs::set_permissions(at("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o775)).unwrap();
    own(&at("sticky/theirs"));
    symlink("ours", at("link")).unwrap();
    let fs = LinkedFs::new(Links::Owned);
    for (path, is_settled) in [
        (".", false),
        ("ours/sub", true),
        ("theirs", true),
        ("theirs/sub", false),
        ("theirs/sub/sub", false),
        ("sticky", true),
        ("sticky/ours", true),
        ("sticky/theirs", false),
        ("open", true),
        ("open/ours", false),
        ("link", false),
        ("link/", false),
        ("link/sub", false),
        ("ours/../ours", false),
    ] {
        assert_eq!(fs.place(&at(path)).is_settled, is_settled, "{path}");
        // As it is remembered.
        assert_eq!(fs.place(&at(path)).is_settled, is_settled, "{path}");
    }
}

/// Ends the swapping, also where the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody swaps a file of his, or a directory, with a link to what is not his, while it is opened.
#[test]
fn no_swap_gets_a_refused_target_opened() {
    let Some(dir) = ground() else { return };
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("theirs/dir")).unwrap();
    fs::create_dir(at("theirs/links")).unwrap();
    their_file(&at("theirs/dir/secret"));
    their_file(&at("theirs/file"));
    their_link(Path::new("../secret"), &at("theirs/link"));
    their_link(Path::new(".."), &at("theirs/dir-link"));
    // Two links, of which one is ours.
    symlink("../file", at("theirs/links/good")).unwrap();
    their_link(Path::new("../../secret"), &at("theirs/links/bad"));
    let (fs, secret) = (LinkedFs::new(Links::Owned), OsFs.stat(&at("secret")).unwrap().id);
    let over = AtomicBool::new(false);
    let swaps =
        [("theirs/file", "theirs/link"), ("theirs/dir", "theirs/dir-link"), ("theirs/links/good", "theirs/links/bad")];
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (one, other) in swaps {
                    renameat_with(CWD, at(one), CWD, at(other), RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        let _ends = Ends(&over);
        let paths = ["theirs/file", "theirs/link", "theirs/dir/secret", "theirs/links/good"].map(at);
        let (mut opened, mut refused) = (0, 0);
        let names: Vec<_> = paths.iter().map(|path| path.as_path()).collect();
        for turn in 0..30_000 {
            let path = names[turn % names.len()];
            let ids: Vec<_> = match turn % 3 {
                0 => vec![fs.stat(path).map(|stat| stat.id)],
                1 => vec![fs.open(path).and_then(|file| file.stat()).map(|stat| stat.id)],
                _ => {
                    let walked = fs.walk(path, READ | OFlags::CLOEXEC);
                    vec![walked.and_then(|step| match step {
                        Step::Done(file) => ReadFile::stat(&file).map(|stat| stat.id),
                        Step::Changed => Err(io::ErrorKind::Interrupted.into()),
                    })]
                }
            };
            for id in ids {
                match id {
                    Ok(id) => {
                        assert_ne!(id, secret, "{} in turn {turn}", path.display());
                        opened += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(opened > 1000 && refused > 1000, "{opened} opened, {refused} refused: nothing was swapped");
    });
}

/// What a link of somebody's leads to is swapped with what is not his, while it is opened.
#[test]
fn no_swap_behind_a_link_gets_a_refused_target_opened() {
    let Some(dir) = ground() else { return };
    let at = |name: &str| dir.path().join(name);
    their_file(&at("theirs/file"));
    their_link(Path::new("file"), &at("theirs/link"));
    fs::write(at("theirs/ours"), "secret\n").unwrap();
    let (fs, secret) = (LinkedFs::new(Links::Owned), OsFs.stat(&at("theirs/ours")).unwrap().id);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, at("theirs/file"), CWD, at("theirs/ours"), RenameFlags::EXCHANGE).unwrap();
            }
        });
        let _ends = Ends(&over);
        let (mut opened, mut leaks) = (0, 0);
        for turn in 0..20_000 {
            let id = match turn % 2 {
                0 => fs.stat(&at("theirs/link")).map(|stat| stat.id),
                _ => fs.open(&at("theirs/link")).and_then(|file| file.stat()).map(|stat| stat.id),
            };
            opened += u32::from(id.is_ok());
            leaks += u32::from(id.is_ok_and(|id| id == secret));
        }
        assert!(opened > 100, "{opened} opened: nothing was swapped");
        assert_eq!(leaks, 0);
    });
}
