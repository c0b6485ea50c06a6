//! Hints from inotify.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Change, Tell};
use crate::pace::Rounds;

/// A watch descriptor. The system gives none out twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(i32);

/// Bytes for events that are read at once: about a thousand.
const BUFFER: usize = 32 * 1024;

/// What matters of a directory's files, and of the directory.
const WATCHED: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// What says that a name came or went.
const NAMES: ReadFlags =
    ReadFlags::CREATE.union(ReadFlags::DELETE).union(ReadFlags::MOVED_FROM).union(ReadFlags::MOVED_TO);

/// An inotify instance, and what ends the wait for it.
#[derive(Debug)]
pub(super) struct System {
    inotify: OwnedFd,
    stop: OwnedFd,
}

impl System {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, stop: eventfd(0, EventfdFlags::CLOEXEC)? })
    }

    pub(super) fn add(&self, path: &Path) -> io::Result<Key> {
        Ok(Key(inotify::add_watch(&self.inotify, path, WATCHED)?))
    }

    pub(super) fn remove(&self, key: &Key) {
        // It may be over already.
        inotify::remove_watch(&self.inotify, key.0).ok();
    }

    /// Ends [`System::run`].
    pub(super) fn stop(&self) {
        rustix::io::write(&self.stop, &1u64.to_ne_bytes()).ok();
    }

    /// Tells what happens, until it is to stop. Without a watch: events were lost, or no more will come.
    pub(super) fn run(&self, tell: Tell<'_>) {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut rounds = Rounds::new();
        loop {
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[1].revents().is_empty() => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return tell(None, None, Change::Gone),
            }
            let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
            let mut count = 0;
            loop {
                count += 1;
                let event = match events.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN | Errno::INTR) => break,
                    Err(_) => return tell(None, None, Change::Gone),
                };
                let flags = event.events();
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    tell(None, None, Change::File);
                    continue;
                }
                let change = if flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                    Change::Gone
                } else if flags.intersects(NAMES) {
                    Change::Name
                } else {
                    Change::File
                };
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                tell(Some(&Key(event.wd())), name, change);
                if events.is_buffer_empty() {
                    break;
                }
            }
            // Events of one file that wait together become one.
            rounds.pause(count);
        }
    }
}

/// What the user can do about a watch that could not be made.
pub(super) fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => "the limit fs.inotify.max_user_watches is reached".to_owned(),
        Some(Errno::MFILE) => "the limit fs.inotify.max_user_instances, or that of open files, is reached".to_owned(),
        _ => error.to_string(),
    }
}

/// The kind of file system, if others may change its files without this machine hearing of it, or if it is known not
/// to tell. Numbers from `statfs(2)` and the kernel's `magic.h`.
pub(super) fn is_remote(path: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(path).ok()?.f_type as u64 & 0xffff_ffff;
    Some(match kind {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 | 0x0116_1971 => "GFS2",
        0x7461_636f => "OCFS2",
        0x4750_4653 => "GPFS",
        0x786f_4256 => "a shared folder",
        0x9fa0 => "/proc",
        0x6265_6572 => "/sys",
        _ => return None,
    })
}
