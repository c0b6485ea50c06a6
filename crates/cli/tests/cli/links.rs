//! Which symbolic links are followed: `--links`.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::tool::{Dir, wait_until};

const NOBODY: u32 = 65534;

/// A link `name` that belongs to another user, and where it leads.
fn foreign_link(dir: &Dir, target: &str, name: &str) {
    symlink(target, dir.path(name)).unwrap();
    lchown(dir.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Files of this user, and links of another one that lead there; none without the right to make them.
fn ground() -> Option<Dir> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can make links of another user");
        return None;
    }
    let dir = Dir::new();
    dir.write("secret", "secret\n");
    dir.write("hidden/a.log", "hidden\n");
    dir.write("logs/a.log", "a\n");
    foreign_link(&dir, "../secret", "logs/x.log");
    foreign_link(&dir, "../hidden", "logs/dir");
    Some(dir)
}

#[test]
fn a_link_of_another_user_is_not_followed_by_root_unless_it_is_asked_for() {
    let Some(dir) = ground() else { return };
    let refused = "logs/x.log: a symbolic link of user 65534 leads there, to what belongs to another: followed only \
                   with --links follow";
    let finished = dir.run(["--once", "logs/*.log"]).expect(0).says(refused);
    assert_eq!(finished.stdout, b"a\n");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    // One that is named is missed.
    let finished = dir.run(["--once", "logs/a.log", "logs/x.log"]).expect(1).says(refused);
    assert_eq!(finished.stdout, b"a\n");
    dir.run(["--once", "-o", "all", "logs/dir/a.log"]).expect(1).says("logs/dir/a.log: a symbolic link of user 65534");
    let finished = dir.run(["--once", "logs/*/a.log"]).expect(0).says("logs/dir: a symbolic link of user 65534");
    assert_eq!(finished.stdout, b"");
    let running = dir.tailmerge(["-o", "all", "--report", "report", "logs/*/a.log"]).start();
    running.until_said("logs/dir: a symbolic link of user 65534");
    running.stop().expect(0);
    assert!(dir.text("report").contains("\"possible_losses\": 0"), "{}", dir.text("report"));

    let followed = |input| dir.run(["--links", "follow", "--once", input]).expect_quiet().stdout;
    assert_eq!(followed("logs/x.log"), b"secret\n");
    assert_eq!(followed("logs/dir/a.log"), b"hidden\n");
    assert_eq!(followed("logs/*/a.log"), b"hidden\n");
    // His own file is his to show.
    lchown(dir.path("secret"), Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(dir.run(["--once", "logs/x.log"]).expect_quiet().stdout, b"secret\n");
}

#[test]
fn a_followed_file_in_whose_place_a_link_is_put_is_read_to_its_end_and_no_further() {
    let Some(dir) = ground() else { return };
    let running = dir.tailmerge(["-o", "all", "--poll-interval", "5ms", "logs/*.log"]).start();
    wait_until("the first line is merged", || dir.text("all") == "a\n");
    dir.append("logs/a.log", "b\n");
    foreign_link(&dir, "../secret", "logs/new");
    fs::rename(dir.path("logs/a.log"), dir.path("logs/a.old")).unwrap();
    fs::rename(dir.path("logs/new"), dir.path("logs/a.log")).unwrap();
    running.until_said("logs/a.log: a symbolic link of user 65534");
    dir.append("logs/a.old", "c\n");
    wait_until("the old file is read on", || dir.text("all") == "a\nb\nc\n");
    // And one that comes back is followed.
    dir.write("logs/new", "d\n");
    fs::rename(dir.path("logs/new"), dir.path("logs/a.log")).unwrap();
    wait_until("the new one is read", || dir.text("all") == "a\nb\nc\nd\n");
    let finished = running.stop().expect(0);
    assert_eq!(finished.stderr.matches("symbolic link").count(), 2, "{}", finished.stderr);
    assert_eq!(dir.text("all"), "a\nb\nc\nd\n");
}

#[test]
fn a_fifo_behind_a_link_of_another_user_is_not_read() {
    let Some(dir) = ground() else { return };
    dir.fifo("fifo");
    foreign_link(&dir, "../fifo", "logs/fifo");
    for backend in ["smol", "async-std"] {
        let args = ["--once", "--backend", backend, "logs/a.log", "logs/fifo"];
        let finished = dir.run(args).expect(1).says("logs/fifo: a symbolic link of user 65534");
        assert_eq!(finished.stdout, b"a\n");
    }
}

#[test]
fn only_links_that_are_named_are_followed_under_skip() {
    let dir = Dir::new();
    dir.write("real/a.log", "a\n");
    dir.write("real/dir/b.log", "b\n");
    symlink("a.log", dir.path("real/link.log")).unwrap();
    symlink("dir", dir.path("real/linked")).unwrap();
    symlink("real", dir.path("base")).unwrap();
    let skipped = |input| {
        let finished = dir.run(["--links", "skip", "--once", "-v", "--prefix", "path", input]).expect(0);
        let output = String::from_utf8(finished.stdout).unwrap();
        assert!(!finished.stderr.contains("symbolic"), "{}", finished.stderr);
        let mut lines: Vec<_> = output.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(skipped("base/*.log"), ["base/a.log: a"]);
    assert_eq!(skipped("base/*/*.log"), ["base/dir/b.log: b"]);
    assert_eq!(skipped("base/**/*.log"), ["base/a.log: a", "base/dir/b.log: b"]);
    assert_eq!(skipped("real/link.log"), ["real/link.log: a"]);
    assert_eq!(skipped("real/linked/*.log"), ["real/linked/b.log: b"]);
}

#[test]
fn it_is_explained_where_links_lead() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    fs::create_dir(dir.path("logs")).unwrap();
    symlink("../a.log", dir.path("logs/b.log")).unwrap();
    let explained = |args: &[&str]| {
        let finished = dir.run(["--explain"].iter().chain(args)).expect_quiet();
        String::from_utf8(finished.stdout).unwrap()
    };
    let link = format!("logs/b.log -> {}: ", fs::canonicalize(dir.path("a.log")).unwrap().display());
    let told = explained(&["logs/*.log"]);
    assert!(told.starts_with(&(link.clone() + "followed from byte 0 of 2")), "{told}");
    let told = explained(&["--links", "skip", "logs/*.log"]);
    assert!(told.starts_with(&(link.clone() + "not followed: a symbolic link leads there")), "{told}");
    assert!(explained(&["a.log"]).starts_with("a.log: followed"));
    if rustix::process::geteuid().is_root() {
        lchown(dir.path("logs/b.log"), Some(NOBODY), Some(NOBODY)).unwrap();
        let told = explained(&["logs/*.log"]);
        assert!(told.starts_with(&(link.clone() + "not followed: a symbolic link of user 65534")), "{told}");
        let told = explained(&["--links", "follow", "logs/*.log"]);
        assert!(told.starts_with(&(link + "followed")), "{told}");
    }
}

/// The system's own links are followed: the name of standard input, and the file name that a shell gives a pipe.
#[test]
fn what_the_system_links_to_is_followed() {
    let dir = Dir::new();
    for links in ["follow", "owned", "skip"] {
        let mut tool = dir.tailmerge(["--links", links, "--once", "/dev/stdin", "/proc/self/fd/0"]);
        let (reader, writer) = std::io::pipe().unwrap();
        tool.command().stdin(reader);
        std::io::Write::write_all(&mut &writer, b"a\n").unwrap();
        drop(writer);
        assert_eq!(tool.start().finish().expect(0).stdout, b"a\n", "{links}");
    }
}
