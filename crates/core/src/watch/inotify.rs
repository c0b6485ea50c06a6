//! Hints from inotify.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{self, EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::clock;
use crate::sync::lock::lock;
use crate::sync::wake;
use crate::watch::mailbox::Change;
use crate::watch::rounds::Rounds;
use crate::watch::{Tell, WakeSource};

/// A watch descriptor. The system uses none twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(i32);

/// The size of the buffer for events in bytes: about a thousand events.
const BUFFER: usize = 32 * 1024;

/// After a job has done something else for this long, the thread receives events in its place.
const AWAY_MAX: Duration = Duration::from_millis(250);

/// Events are polled this often where the system does not wake the thread.
const UNPOLLED: Duration = Duration::from_millis(20);

/// The events of a directory's files, and of the directory.
const WATCHED: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// The events of a new name.
const CAME: ReadFlags = ReadFlags::CREATE.union(ReadFlags::MOVED_TO);

/// The events of a removed name.
const WENT: ReadFlags = ReadFlags::DELETE.union(ReadFlags::MOVED_FROM);

/// An inotify instance, and who receives its events.
///
/// That is a thread, which fills the mailboxes. While a reader's job waits for its next hint, the job receives the
/// events itself: the system wakes it directly, which saves a switch of threads. If the job is busy for long, the
/// thread receives events again.
#[derive(Debug)]
pub(crate) struct System {
    inotify: OwnedFd,
    /// Ends the thread's wait.
    stop: OwnedFd,
    turns: Mutex<Turns>,
    /// Signals that no job receives events any more, or that the thread has to end.
    changed: Condvar,
}

#[derive(Debug)]
struct Turns {
    /// What a job receives events with; none while one does.
    job: Option<Job>,
    /// The time since which a job that has waited does something else and may wait again.
    away: Option<Instant>,
    /// The rate of events.
    rounds: Rounds,
    /// True once the thread has to end.
    over: bool,
}

impl Turns {
    /// Returns true if a job receives events. A job that is delayed by a disk does not.
    fn is_taken(&self) -> bool {
        let is_back_soon = |since| clock::since(since) < AWAY_MAX;
        !self.over && (self.job.is_none() || self.away.is_some_and(is_back_soon))
    }
}

/// What a job receives events with.
#[derive(Debug)]
struct Job {
    buffer: Buffer,
    interrupt: Arc<Interrupt>,
}

impl Job {
    /// Waits on this thread for a wake-up, and handles events meanwhile.
    fn wait(&mut self, system: &System, wake: &wake::Wake, deadline: Instant, tell: Tell<'_>) -> bool {
        let waker = Waker::from(self.interrupt.clone());
        while !wake.is_woken_or(&waker) {
            let left = clock::until(deadline);
            let (news, interrupted) = system.poll(&self.interrupt.0, Some(left));
            // Nobody is to be woken by what is told from here on.
            let woken = wake.is_woken();
            if interrupted {
                rustix::io::read(&self.interrupt.0, &mut [0; 8]).ok();
            }
            if news {
                system.read(&mut self.buffer, tell);
            }
            if woken || wake.is_woken() {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
        true
    }
}

/// Ends a job's wait for the system.
#[derive(Debug)]
struct Interrupt(OwnedFd);

impl Wake for Interrupt {
    fn wake(self: Arc<Self>) {
        // Full, it wakes as well.
        rustix::io::write(&self.0, &1u64.to_ne_bytes()).ok();
    }
}

/// The buffer of events.
type Buffer = Vec<MaybeUninit<u8>>;

fn buffer() -> Buffer {
    vec![MaybeUninit::uninit(); BUFFER]
}

impl WakeSource for System {
    fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let interrupt = Arc::new(Interrupt(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        let job = Some(Job { buffer: buffer(), interrupt });
        let turns = Mutex::new(Turns { job, away: None, rounds: Rounds::new(), over: false });
        Ok(Self { inotify, stop: eventfd(0, EventfdFlags::CLOEXEC)?, turns, changed: Condvar::new() })
    }

    fn add(&self, path: &Path) -> io::Result<Key> {
        Ok(Key(inotify::add_watch(&self.inotify, path, WATCHED)?))
    }

    fn remove(&self, key: &Key) {
        // It may be over already.
        inotify::remove_watch(&self.inotify, key.0).ok();
    }

    fn run(&self, tell: Tell<'_>) {
        let mut buffer = buffer();
        loop {
            let turns = self.changed.wait_timeout_while(lock(&self.turns), AWAY_MAX, |turns| turns.is_taken());
            let (turns, _) = turns.unwrap_or_else(PoisonError::into_inner);
            if turns.is_taken() {
                continue;
            }
            drop(turns);
            match self.poll(&self.stop, None) {
                (_, true) => return,
                (false, _) => {}
                (true, _) => self.read(&mut buffer, tell),
            }
        }
    }

    fn stop(&self) {
        lock(&self.turns).over = true;
        self.changed.notify_all();
        rustix::io::write(&self.stop, &1u64.to_ne_bytes()).ok();
    }

    fn wait(&self, wake: &wake::Wake, deadline: Instant, tell: Tell<'_>) -> bool {
        let job = lock(&self.turns).job.take();
        // Another job receives events.
        let Some(mut job) = job else { return wake.woken_by(deadline) };
        let woken = job.wait(self, wake, deadline, tell);
        let mut turns = lock(&self.turns);
        (turns.job, turns.away) = (Some(job), Some(clock::now()));
        woken
    }

    fn leave(&self) {
        if lock(&self.turns).away.take().is_some() {
            self.changed.notify_all();
        }
    }
}

impl System {
    /// Waits for events or for the end of the wait, with a timeout. Returns which of them may have come.
    fn poll(&self, end: &OwnedFd, within: Option<Duration>) -> (bool, bool) {
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        let timeout = within.map(|within| Timespec::try_from(within).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 }));
        match event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) => (!fds[0].revents().is_empty(), !fds[1].revents().is_empty()),
            Err(Errno::INTR) => (false, false),
            Err(_) => {
                // There is no memory for it, say: what has come is looked for instead.
                thread::sleep(within.map_or(UNPOLLED, |within| within.min(UNPOLLED)));
                (true, lock(&self.turns).over)
            }
        }
    }

    /// Handles the events that are there. It blocks for a moment if they are many.
    fn read(&self, buffer: &mut Buffer, tell: Tell<'_>) {
        let mut events = inotify::Reader::new(&self.inotify, buffer);
        let mut count = 0;
        loop {
            count += 1;
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::AGAIN | Errno::INTR) => break,
                // Whatever it is, events may be lost.
                Err(_) => return tell(None, None, Change::File),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                tell(None, None, Change::File);
                continue;
            }
            let is_dir = flags.contains(ReadFlags::ISDIR);
            let change = if flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                Change::Gone
            } else if flags.intersects(CAME) || is_dir && flags.contains(ReadFlags::ATTRIB) {
                Change::Came { is_dir, moved: flags.contains(ReadFlags::MOVED_TO) }
            } else if flags.intersects(WENT) {
                Change::Went
            } else if flags == ReadFlags::MODIFY {
                Change::Content
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
        let pause = lock(&self.turns).rounds.pause(count);
        pause.into_iter().for_each(thread::sleep);
    }
}

/// Returns what the user can do about a watch that could not be made.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => "the limit fs.inotify.max_user_watches is reached".to_owned(),
        Some(Errno::MFILE) => "the limit fs.inotify.max_user_instances, or that of open files, is reached".to_owned(),
        _ => error.to_string(),
    }
}

/// Returns the kind of a file system whose changes are not all notified: they may be made on another machine, or it
/// does not notify them. Numbers from `statfs(2)` and the kernel's `magic.h`.
pub(crate) fn is_unnotified(path: &Path) -> Option<&'static str> {
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

/// Returns true if a single file is mounted over a name: it changes elsewhere, and may be replaced without an event.
pub(crate) fn is_mounted(path: &Path) -> bool {
    let statx = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE);
    statx.is_ok_and(|statx| statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_thread_hears_in_place_of_a_job_that_is_held_up() {
        let dir = tempfile::tempdir().unwrap();
        let system = System::new().unwrap();
        system.add(dir.path()).unwrap();
        let (heard, told) = channel();
        let told = thread::scope(|scope| {
            let wake = wake::Wake::default();
            wake.wake();
            // From then on the job does something else, for ever.
            let woken = system.wait(&wake, Instant::now(), &mut |_, _, _| ());
            scope.spawn(|| system.run(&mut |_, name, _| heard.send(name.map(OsStr::to_owned)).unwrap()));
            fs::write(dir.path().join("a"), "a").unwrap();
            let told = told.recv_timeout(Duration::from_secs(30));
            system.stop();
            (woken, told)
        });
        assert_eq!(told, (true, Ok(Some("a".into()))));
    }
}
