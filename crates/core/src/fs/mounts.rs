//! Finds out which paths lead to storage where a call may never return: that of a network, or of a program.
//!
//! It uses the table of mounts and links only: any call that goes there may be the one that hangs.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::clock;
use crate::sync::lock::lock;

/// The table is remembered for this long.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The system follows so many links at most.
const LINKS_MAX: usize = 40;

/// File systems that have no disk by the table, and yet are on this machine's disks or in its memory.
const LOCAL: &[&str] = &[
    "aufs",
    "bcachefs",
    "binfmt_misc",
    "bpf",
    "btrfs",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "ecryptfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "jffs2",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "ubifs",
    "zfs",
];

/// The mount point of storage that may hang, and its device.
type Points = HashMap<PathBuf, u64>;

static KNOWN: Mutex<Option<(Instant, Arc<Points>)>> = Mutex::new(None);

/// Returns the device that a path leads to, if that may hang.
pub(crate) fn remote_device(path: &Path) -> Option<u64> {
    let points = points();
    if points.is_empty() { None } else { follow(path, &points) }
}

fn points() -> Arc<Points> {
    let mut known = lock(&KNOWN);
    match &*known {
        Some((when, points)) if clock::since(*when) < KNOWN_FOR => points.clone(),
        before => {
            let points = match fs::read("/proc/self/mountinfo") {
                Ok(table) => Arc::new(parse(&table)),
                // Perhaps for want of a descriptor.
                Err(_) => before.as_ref().map(|(_, points)| points.clone()).unwrap_or_default(),
            };
            *known = Some((clock::now(), points.clone()));
            points
        }
    }
}

/// Reads the table, `/proc/self/mountinfo`. What is mounted at the root does not count: the program itself is there.
fn parse(table: &[u8]) -> Points {
    let mut points = Points::new();
    for line in table.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        let (Some(device), Some(point)) = (fields.nth(2), fields.nth(1)) else { continue };
        let kind = fields.skip_while(|&field| field != b"-").nth(1).and_then(|kind| str::from_utf8(kind).ok());
        let (Some(kind), Some((major, minor))) = (kind, number(device)) else { continue };
        let is_local = match kind.starts_with("fuse") {
            true => kind == "fusectl",
            false => major != 0 || LOCAL.binary_search(&kind).is_ok(),
        };
        // The last one covers those that were mounted there before.
        // What is mounted by itself below these, such as file systems for drivers, is no place for logs.
        if is_local || point == b"/" || point.starts_with(b"/proc/") || point.starts_with(b"/sys/") {
            if !points.is_empty() {
                points.remove(&PathBuf::from(unescaped(point)));
            }
        } else {
            points.insert(unescaped(point).into(), rustix::fs::makedev(major, minor));
        }
    }
    points
}

/// Reads a device's number, such as `0:42`.
fn number(device: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = str::from_utf8(device).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads a path in which spaces and the like are octal numbers, such as `\040`.
fn unescaped(mut path: &[u8]) -> OsString {
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = path {
        let code = rest.first_chunk::<3>().and_then(|code| str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => (path, _) = (&rest[3..], bytes.push(byte)),
            None => (path, _) = (rest, bytes.push(*first)),
        }
    }
    OsString::from_vec(bytes)
}

/// Follows a path up to the first place where such storage is mounted.
fn follow(path: &Path, points: &Points) -> Option<u64> {
    let whole = if path.is_absolute() { path.to_owned() } else { env::current_dir().ok()?.join(path) };
    let mut rest: VecDeque<OsString> = parts(&whole).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        if let Some(device) = points.get(&at) {
            return Some(*device);
        }
        if let Ok(target) = fs::read_link(&at) {
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            at.pop();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            let target: Vec<_> = parts(&target).collect();
            target.into_iter().rev().for_each(|part| rest.push_front(part));
        }
    }
    None
}

/// The names in a path, and `..`.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn local_kinds_are_in_order() {
        assert!(LOCAL.is_sorted(), "they are searched by halves");
    }

    const TABLE: &str = "\
        27 1 0:50 / / rw,relatime - virtiofs root rw\n\
        22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        30 27 8:1 / /disk rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        31 27 0:60 / /mnt/nfs\\040share rw shared:2 master:1 - nfs4 host:/x rw,hard\n\
        32 27 0:61 / /mnt/program rw - fuse.sshfs host: rw\n\
        33 27 8:2 / /mnt/ntfs rw - fuseblk /dev/sda2 rw\n\
        34 27 0:62 / /mnt/fusectl rw - fusectl none rw\n\
        35 27 0:63 / /mnt/covered rw - cifs //host/x rw\n\
        36 35 0:64 / /mnt/covered rw - tmpfs none rw\n\
        37 27 0:65 / /mnt/covering rw - tmpfs none rw\n\
        38 37 0:66 / /mnt/covering rw - 9p none rw\n\
        nonsense\n";

    #[test]
    fn storage_that_may_hang_is_found_in_the_table() {
        let mut points: Vec<_> = parse(TABLE.as_bytes()).into_iter().collect();
        points.sort();
        let device = |major, minor| rustix::fs::makedev(major, minor);
        let want = [
            ("/mnt/covering", device(0, 66)),
            ("/mnt/nfs share", device(0, 60)),
            ("/mnt/ntfs", device(8, 2)),
            ("/mnt/program", device(0, 61)),
        ];
        assert_eq!(points, want.map(|(point, device)| (point.into(), device)));
    }

    #[test]
    fn links_are_followed_up_to_where_it_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("../remote/x/..", root.join("a/link")).unwrap();
        symlink(root.join("a/link"), root.join("absolute")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        let points = Points::from([(root.join("remote"), 7)]);
        let device = |path: &str| follow(&root.join(path), &points);
        for path in ["remote", "remote/a", "a/../remote", "a/link/b", "absolute", "./a/b/../../remote/"] {
            assert_eq!(device(path), Some(7), "{path}");
        }
        for path in ["a", "a/b/c", "remote2", "circle/remote", "missing/../a"] {
            assert_eq!(device(path), None, "{path}");
        }
    }
}
