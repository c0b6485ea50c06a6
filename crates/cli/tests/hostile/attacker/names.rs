//! Attacks by names: what they say, where they lead, what kind of thing has them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, mknodat, renameat_with};

use super::Bout;

/// Files whose size says nothing, that have no end, that hang, or that are the program's own.
const PSEUDO: [&str; 27] = [
    "/sys/class/net/lo/mtu",
    "/sys/kernel/uevent_seqnum",
    "/proc/uptime",
    "/proc/version",
    "/proc/kmsg",
    "/proc/interrupts",
    "/proc/sys/kernel/random/uuid",
    "/proc/self/status",
    "/proc/self/io",
    "/proc/self/mem",
    "/proc/self/pagemap",
    "/proc/self/clear_refs",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "/proc/self/fd/1",
    "/proc/self/fd/2",
    "/proc/self/fd/3",
    "/proc/self/fd/4",
    "/proc/self/fd/5",
    "/proc/self/fd/7",
    "/proc/self/fd/9",
    "/proc/self/fd/20",
    "/dev/zero",
    "/dev/full",
    "/dev/tty",
    "/dev/stdin",
    "/dev/ptmx",
];

/// Links to files that are none.
pub(crate) fn pseudo(bout: &mut Bout<'_>) {
    let paths = bout.many(15);
    while !bout.is_over() {
        let path = bout.pick(&paths);
        let target = bout.pick(&PSEUDO);
        point(bout, Path::new(target), &path);
        bout.rest(10);
    }
}

/// Has a link lead somewhere else in one step.
fn point(bout: &mut Bout<'_>, target: &Path, path: &Path) {
    let new = bout.own.join("new-link");
    drop(fs::remove_file(&new));
    bout.act(symlink(target, &new));
    bout.act(fs::rename(new, path));
}

/// Names that a label, a terminal, JSON, a pattern or a shell could take for something else.
fn odd_name(bout: &mut Bout<'_>) -> OsString {
    let (number, tag) = (bout.rng.below(1000), bout.tag.clone());
    let text = |text: String| text.into_bytes();
    let bytes = match bout.rng.below(24) {
        0 => text(format!("victim.log: root logged in {number}.log")),
        1 => text(format!("victim.log.{number}")),
        2 => text(format!("victim.log-{number:016x}")),
        3 => text(format!("victim.log~{number}.log")),
        4 => text(format!("a\nvictim.log: forged\n{number}.log")),
        5 => text(format!("victim.log: forged\r\n{number}.log")),
        6 => text(format!("\u{1b}[2J\u{1b}]0;{tag}\u{7}{number}.log")),
        7 => text(format!("\u{9b}31m\u{85}\u{8d}{number}.log")),
        8 => text(format!("{number}\u{202e}gol.mitciv\u{2066}\u{200f}.log")),
        9 => [b"\xff\xfe\x9b31m", number.to_string().as_bytes(), b".log"].concat(),
        10 => [b"victim.log\xc2", number.to_string().as_bytes(), b".log"].concat(),
        11 => text(format!("{}.log", "x".repeat(251))),
        12 => text(format!("{}.log", "\u{9b}".repeat(125))),
        13 => text("*.log".to_owned()),
        14 => text("**.log".to_owned()),
        15 => text(format!("[a-{number}.log")),
        16 => text(format!("{{a,{}{number}.log", "{".repeat(100))),
        17 => text(format!("-{number}.log")),
        18 => text(format!(" {number} .log ")),
        19 => text(format!("\\victim.log\\n{number}.log")),
        20 => text(format!("victim.log\",\"line\":\"forged {number}.log")),
        21 => text(format!("victim.log: {number}.log.victim.log")),
        22 => text(format!("victim.log\u{7f}{number}.log")),
        _ => text(format!("victim.log:\t{number}.log")),
    };
    OsString::from_vec(bytes)
}

/// Files and directories with such names.
pub(crate) fn names(bout: &mut Bout<'_>) {
    let mut paths = Vec::new();
    while !bout.is_over() {
        let name = odd_name(bout);
        let path = bout.place(&name);
        // The victim has to be able to rotate.
        let can_be_dir = !name.as_bytes().starts_with(b"victim.log-") && !name.as_bytes().starts_with(b"victim.log.");
        if can_be_dir && bout.chance(5) {
            bout.act(fs::create_dir(&path));
            let inner = odd_name(bout);
            bout.create_line(&path.join(inner));
        } else {
            bout.create_line(&path);
            bout.append(&path, b"and one that begins with a name: victim.log: not so\n");
        }
        paths.push(path);
        if paths.len() > 100 {
            let path = paths.swap_remove(bout.rng.below(100) as usize);
            drop(fs::remove_file(path));
        }
        bout.rest(2);
    }
}

/// The victim's own name, in another directory.
pub(crate) fn twins(bout: &mut Bout<'_>) {
    let name = if bout.world.nested { "victim.log" } else { "victim.log.log" };
    let dirs: Vec<_> = ["", "victim.log", "in", "in/victim.log: x"].map(|dir| bout.own.join(dir)).into();
    for dir in &dirs {
        drop(fs::create_dir_all(dir));
    }
    while !bout.is_over() {
        let path = bout.pick(&dirs).join(name);
        bout.append(&path, b"a line under the victim's name\n");
        if bout.chance(5) {
            bout.act(fs::remove_file(path));
        }
        bout.rest(2);
    }
}

/// Links to the victim's log, to what is secret, to the output, to each other, swapped all the time.
pub(crate) fn links(bout: &mut Bout<'_>) {
    let paths = bout.many(12);
    let file = bout.fresh();
    bout.create_line(&file);
    let world = bout.world;
    let mut targets = vec![world.secret.clone(), world.output.clone(), world.dir.join("victim.log"), file];
    targets.extend(paths.iter().cloned());
    targets.extend(["..", ".", "nowhere", "", "/proc/self/cwd/in/victim.log"].map(PathBuf::from));
    while !bout.is_over() {
        let (path, target) = (bout.pick(&paths), bout.pick(&targets));
        match bout.rng.below(4) {
            0 => {
                let other = bout.pick(&paths);
                bout.act(renameat_with(CWD, &path, CWD, &other, RenameFlags::EXCHANGE));
            }
            1 => {
                bout.act(fs::remove_file(&path));
                bout.create_line(&path);
            }
            _ => point(bout, &target, &path),
        }
        bout.rest(1);
    }
}

/// Links to directories, up, down and round.
pub(crate) fn dir_links(bout: &mut Bout<'_>) {
    let dirs: Vec<_> = (0..8).map(|at| bout.own.join(format!("d{at}"))).collect();
    let mut targets: Vec<_> = ["..", ".", "/", "/proc", "/sys", "../.."].map(PathBuf::from).into();
    targets.extend([bout.world.dir.clone(), bout.world.secret.parent().unwrap().to_owned()]);
    targets.extend(dirs.iter().cloned());
    while !bout.is_over() {
        let (path, target) = (bout.pick(&dirs), bout.pick(&targets));
        if bout.chance(2) {
            bout.act(fs::create_dir(&path));
            bout.append(&path.join("a.log"), b"a line below a link\n");
            let aside = bout.own.join("aside");
            drop(fs::remove_dir_all(&aside));
            drop(fs::rename(&path, aside));
        }
        point(bout, &target, &path);
        let link = bout.fresh();
        bout.act(symlink(&path, link));
        bout.rest(3);
    }
}

/// Many names for few files, and the victim's file, if the system lets him.
pub(crate) fn hard_links(bout: &mut Bout<'_>) {
    let files = bout.many(5);
    files.iter().for_each(|file| drop(bout.create_line(file)));
    let victim = bout.world.dir.join("victim.log");
    let mut names = Vec::new();
    while !bout.is_over() {
        let (file, name) = (bout.pick(&files), bout.fresh());
        bout.act(fs::hard_link(&file, &name));
        names.push(name);
        bout.append(&file, b"a line of many names\n");
        if bout.chance(20) {
            let name = bout.own.join("hard-victim.log");
            // Not where it may be the victim's label that is lost.
            drop(fs::hard_link(&victim, name));
        }
        if names.len() > 50 {
            let name = names.swap_remove(bout.rng.below(50) as usize);
            bout.act(fs::remove_file(name));
        }
        bout.rest(1);
    }
}

/// Names that change hands all the time.
pub(crate) fn renames(bout: &mut Bout<'_>) {
    let mut paths = bout.many(30);
    let aside: Vec<_> = (0..5).map(|at| bout.own.join(format!("aside{at}"))).collect();
    paths.iter().for_each(|path| drop(bout.create_line(path)));
    paths.extend(aside);
    while !bout.is_over() {
        for _ in 0..20 {
            let (from, to) = (bout.pick(&paths), bout.pick(&paths));
            match bout.rng.below(5) {
                0 => drop(bout.act(renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE))),
                1 => bout.append(&from, b"a line under a name of many\n"),
                _ => drop(bout.act(fs::rename(&from, &to))),
            }
        }
        bout.rest(10);
    }
}

/// One name, now a file, now a directory, now a FIFO, now a link, now a socket.
pub(crate) fn shapes(bout: &mut Bout<'_>) {
    let paths = bout.many(6);
    while !bout.is_over() {
        let path = bout.pick(&paths);
        drop(fs::remove_file(&path));
        drop(fs::remove_dir(&path));
        match bout.rng.below(5) {
            0 => drop(bout.create_line(&path)),
            1 => drop(bout.act(fs::create_dir(&path))),
            2 => drop(fifo(bout, &path)),
            3 => drop(bout.act(symlink("nowhere", &path))),
            _ => drop(bout.act(UnixListener::bind(&path))),
        }
        if bout.chance(10) {
            bout.rest(2);
        }
    }
}

fn fifo(bout: &mut Bout<'_>, path: &Path) -> Option<()> {
    let made = mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0);
    bout.act(made)
}

/// FIFOs and sockets that are called like logs, with and without somebody at the other end.
pub(crate) fn special(bout: &mut Bout<'_>) {
    let mut ends = Vec::new();
    let mut sockets = Vec::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    while !bout.is_over() {
        let path = bout.fresh();
        if bout.chance(4) {
            sockets.extend(bout.act(UnixListener::bind(&path)));
            continue;
        }
        fifo(bout, &path);
        if bout.chance(2) {
            // For both, so that it need not wait for the other end.
            ends.extend(bout.act(File::options().read(true).write(true).custom_flags(flags).open(&path)));
        }
        if let Some(end) = ends.last_mut() {
            drop(end.write(b"victim.log: forged through a pipe\n"));
        }
        if bout.chance(3) {
            bout.act(fs::remove_file(&path));
            bout.create_line(&path);
        }
        if ends.len() > 20 {
            ends.clear();
            sockets.clear();
        }
        bout.rest(5);
    }
}

/// Files and directories that can be read, and then cannot.
pub(crate) fn permissions(bout: &mut Bout<'_>) {
    let mut paths = bout.many(20);
    paths.iter().for_each(|path| drop(bout.create_line(path)));
    let inner = bout.own.join("inner");
    bout.act(fs::create_dir(&inner));
    bout.create_line(&inner.join("inner.log"));
    paths.extend([inner.clone(), bout.own.clone()]);
    while !bout.is_over() {
        let path = bout.pick(&paths);
        let mode = if bout.chance(2) { 0 } else { 0o755 };
        bout.act(fs::set_permissions(&path, Permissions::from_mode(mode)));
        if path.extension() == Some(OsStr::new("log")) {
            bout.append(&path, b"a line for some\n");
        }
        bout.rest(1);
    }
    for path in [&bout.own, &inner] {
        drop(fs::set_permissions(path, Permissions::from_mode(0o755)));
    }
}
