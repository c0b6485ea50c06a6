//! A file system that follows only those symbolic links on the way to a path that a policy allows.
//!
//! A path is opened, looked at and listed without a link on its way wherever the kernel can do that in one call: where
//! nobody else can put a link among the directories above the name, the call only has to refuse the name itself as a
//! link. Elsewhere it is `openat2(2)`, which refuses any. Where that meets a link, the path is walked name by name,
//! each directory held open, each link read from its own descriptor: whoever swaps names meanwhile changes where the
//! walk leads, never which rule it met.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{
    Entry, Fs, Kind, OsFs, PATH_BYTES_MAX, ReadFile, ReadStream, Stat, WriteFile, WriteStream, believed, here,
    storage_at,
};
use crate::clock;
use crate::sync::lock::lock;

/// The policy for symbolic links on the way to followed files.
///
/// A program that runs as root, or for others, should choose [`Owned`](Self::Owned): otherwise anybody who can write
/// into a followed directory can have any file merged that the program may read, by a link to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Links {
    /// All are, whoever made them.
    #[default]
    Follow,
    /// Only those that belong to root, to this process's user, or to the owner of the file or directory that the path
    /// leads to in the end. That goes for each link on the way, the directories of a named path included.
    Owned,
    /// Only those that the user named: a path that is an input, and the directories that it or a pattern begins with,
    /// up to the first wildcard.
    Skip,
}

/// The reason why a path through a symbolic link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusedLink {
    /// The user id of the link's owner; none if no link is followed.
    pub(crate) owner: Option<u32>,
    /// True if it is known to lead to a directory.
    pub(crate) is_dir: bool,
}

impl RefusedLink {
    /// Returns the refused link of an error, if that is its cause.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for RefusedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Some(owner) => write!(
                f,
                "a symbolic link of user {owner} leads there, to what belongs to another: followed only with \
                 --links follow"
            ),
            None => f.write_str("a symbolic link leads there: followed only with --links follow, or if it is named"),
        }
    }
}

impl Error for RefusedLink {}

impl From<RefusedLink> for io::Error {
    fn from(refused: RefusedLink) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, refused)
    }
}

/// At most so many links are followed on the way to a file, as the kernel has it.
const LINKS_MAX: usize = 40;

/// A path that changes during the walk is walked again so often.
const TRIES: usize = 16;

/// The state of a path's directories is remembered for this long. Only root, or the user of the program, can change it.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// At most so many directories are remembered.
const DIRS_MAX: usize = 16 * 1024;

/// Opens a file only for its state, or a directory only to be walked. Other systems can only open what may be read.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const LOOK: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

const DIR: OFlags = LOOK.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Never waits, not even for the other end of a FIFO.
const READ: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// The machine's own file system, with a policy for links.
#[derive(Debug)]
pub(super) struct LinkedFs {
    links: Links,
    user: u32,
    /// Paths that the user named, the links of which are the user's choice.
    named: Mutex<HashSet<PathBuf>>,
    /// Directories that were asked about lately.
    dirs: Mutex<HashMap<OsString, Place>>,
}

/// The answer whether somebody else can change where the path of a directory leads, and when it was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    asked: Instant,
    /// It is one, without a link on the way, and nobody but root and our user can change that.
    is_settled: bool,
    names: Names,
}

/// Who can rename, remove and make names in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Root and our user.
    Ours,
    /// Everybody his own.
    Sticky,
    Anybodys,
}

/// The outcome of a walk.
enum Step {
    Done(File),
    /// A name was changed meanwhile.
    Changed,
}

impl LinkedFs {
    pub(super) fn new(links: Links) -> Self {
        Self { links, user: geteuid().as_raw(), named: Mutex::default(), dirs: Mutex::default() }
    }

    /// Returns true if no link above the name of a path has to be checked.
    fn is_settled(&self, path: &Path) -> bool {
        let Some(dir) = path.parent().filter(|_| ends_in_name(path)) else { return false };
        match self.links {
            Links::Follow => true,
            Links::Skip => lock(&self.named).contains(dir),
            Links::Owned => self.place(dir).is_settled,
        }
    }

    /// Returns true if no link of a path has to be checked.
    fn is_free(&self, path: &Path) -> bool {
        is_base(path) || self.links == Links::Skip && lock(&self.named).contains(path)
    }

    /// Returns who can change the path of a directory. It does not recurse, since the path may be deep.
    fn place(&self, dir: &Path) -> Place {
        let known = |path: &Path| {
            let known = lock(&self.dirs).get(path.as_os_str()).copied();
            known.filter(|place| clock::since(place.asked) < KNOWN_FOR)
        };
        if let Some(place) = known(dir) {
            return place;
        }
        let mut ways: Vec<_> = dir.ancestors().collect();
        let mut place = Place { asked: clock::now(), is_settled: true, names: Names::Ours };
        while let Some(way) = ways.pop().filter(|_| place.is_settled) {
            place = known(way).unwrap_or_else(|| self.ask(way, place));
            self.remember(way, place);
        }
        self.remember(dir, place);
        place
    }

    fn remember(&self, dir: &Path, place: Place) {
        let mut dirs = lock(&self.dirs);
        if dirs.len() >= DIRS_MAX {
            dirs.clear();
        }
        dirs.insert(dir.as_os_str().to_owned(), place);
    }

    /// Asks about a directory in one that is settled. One that a path begins with is what it is.
    fn ask(&self, path: &Path, above: Place) -> Place {
        let is_base = is_base(path);
        let stat = if is_base { fs::metadata(here(path)) } else { fs::symlink_metadata(path) };
        let is_ours = |stat: &Metadata| stat.uid() == 0 || stat.uid() == self.user;
        let stays = |stat: &Metadata| match above.names {
            Names::Ours => true,
            Names::Sticky => is_ours(stat),
            Names::Anybodys => false,
        };
        let dir = stat.ok().filter(|stat| stat.is_dir() && (is_base || ends_in_name(path) && stays(stat)));
        let names = match &dir {
            Some(dir) if !is_ours(dir) => Names::Anybodys,
            Some(dir) if dir.mode() & 0o022 == 0 => Names::Ours,
            Some(dir) if dir.mode() & 0o1000 != 0 => Names::Sticky,
            _ => Names::Anybodys,
        };
        Place { asked: clock::now(), is_settled: dir.is_some(), names }
    }

    /// Opens what a path leads to, if the links on the way allow it.
    fn reach(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let (start, rest) = self.start(path)?;
            let start = start.as_ref().map_or(CWD, AsFd::as_fd);
            match rustix::fs::openat2(start, rest, flags, Mode::empty(), rustix::fs::ResolveFlags::NO_SYMLINKS) {
                // There is a link; or the system does not know the call, or does not allow it.
                Err(Errno::LOOP | Errno::NOSYS | Errno::PERM) => {}
                opened => return Ok(opened?.into()),
            }
        }
        self.refuse_early(path)?;
        for _ in 0..TRIES {
            if let Step::Done(file) = self.walk(path, flags)? {
                return Ok(file);
            }
        }
        Err(Errno::LOOP.into())
    }

    /// Refuses most of what the walk would refuse, which costs more: what leads nowhere, or is itself a link that leads
    /// where it may not. What this allows is still walked.
    fn refuse_early(&self, path: &Path) -> io::Result<()> {
        if self.links == Links::Owned {
            let (target, link) = (fs::metadata(path)?, fs::symlink_metadata(path)?);
            let owner = link.is_symlink().then_some(link.uid());
            self.check(owner.as_slice(), target.uid(), target.is_dir())?;
        }
        Ok(())
    }

    /// Returns the directory from which a path is walked, if it is not its own beginning, and the rest of the path.
    fn start<'a>(&self, path: &'a Path) -> io::Result<(Option<OwnedFd>, &'a Path)> {
        let named = path.ancestors().find(|path| self.links == Links::Skip && lock(&self.named).contains(*path));
        let Some(base) = named else { return Ok((None, here(path))) };
        let start = openat(CWD, here(base), DIR.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok((Some(start), here(path.strip_prefix(base).unwrap_or(path))))
    }

    /// Walks a path name by name.
    fn walk(&self, path: &Path, flags: OFlags) -> io::Result<Step> {
        let (start, path) = self.start(path)?;
        let begins = if path.is_absolute() { "/" } else { "." };
        let mut at = start.map_or_else(|| openat(CWD, begins, DIR, Mode::empty()), Ok)?;
        let (mut rest, mut owners, mut bytes) = (names(path), Vec::new(), 0);
        while let Some(name) = rest.pop() {
            let stat = statat(&at, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                if rest.is_empty() {
                    return self.last(&at, &name, flags | OFlags::NOFOLLOW, &owners);
                }
                match openat(&at, &*name, DIR, Mode::empty()) {
                    // Or it is no directory, as the next try finds.
                    Err(Errno::LOOP | Errno::MLINK) => return Ok(Step::Changed),
                    opened => at = opened?,
                }
                continue;
            }
            if self.links == Links::Skip {
                return Err(RefusedLink { owner: None, is_dir: false }.into());
            }
            let Some(Link { owner, target }) = read_link(&at, &name)? else { return Ok(Step::Changed) };
            owners.push(owner);
            match target {
                Some(target) => {
                    bytes += target.len();
                    let target = Path::new(&target);
                    if owners.len() > LINKS_MAX || bytes > PATH_BYTES_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if target.is_absolute() {
                        at = openat(CWD, "/", DIR, Mode::empty())?;
                    }
                    rest.extend(names(target));
                }
                None if rest.is_empty() => return self.last(&at, &name, flags, &owners),
                None => at = openat(&at, &*name, DIR.difference(OFlags::NOFOLLOW), Mode::empty())?,
            }
        }
        // The root.
        self.last(&at, OsStr::new("."), flags, &owners)
    }

    /// Opens the last name of a path. Checks the owner before, since to open a device has effects, and after.
    fn last(&self, at: &OwnedFd, name: &OsStr, flags: OFlags, owners: &[u32]) -> io::Result<Step> {
        let nofollow = flags.contains(OFlags::NOFOLLOW);
        let before = statat(at, name, if nofollow { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() })?;
        self.check_stat(owners, &before)?;
        let file = match openat(at, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::MLINK) => return Ok(Step::Changed),
            opened => opened?,
        };
        let after = fstat(&file)?;
        if nofollow && FileType::from_raw_mode(after.st_mode) == FileType::Symlink {
            return Ok(Step::Changed);
        }
        self.check_stat(owners, &after)?;
        Ok(Step::Done(file.into()))
    }

    fn check_stat(&self, owners: &[u32], stat: &rustix::fs::Stat) -> io::Result<()> {
        self.check(owners, stat.st_uid, FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Refuses a file of a user if one of the links on the way may not lead there.
    fn check(&self, owners: &[u32], user: u32, is_dir: bool) -> io::Result<()> {
        match owners.iter().find(|owner| ![0, self.user, user].contains(owner)) {
            Some(&owner) => Err(RefusedLink { owner: Some(owner), is_dir }.into()),
            None => Ok(()),
        }
    }

    fn open_as(&self, path: &Path, access: OFlags) -> io::Result<File> {
        let is_free = self.is_free(path);
        if is_free || self.is_settled(path) {
            let nofollow = if is_free { OFlags::empty() } else { OFlags::NOFOLLOW };
            match open_as(path, access, READ | nofollow) {
                Err(error) if !is_free && is_link_there(&error) => {}
                opened => return opened,
            }
        }
        self.reach(path, access | READ)
    }
}

impl Fs for LinkedFs {
    fn named(&self, path: &Path) {
        // Files beside a named one are looked at as well.
        let dir = path.parent().map(Path::to_owned);
        lock(&self.named).extend([path.to_owned()].into_iter().chain(dir));
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        if self.is_free(path) {
            return OsFs.stat(path);
        }
        if self.is_settled(path) {
            let metadata = fs::symlink_metadata(path)?;
            if !metadata.is_symlink() {
                return believed(Stat::from(&metadata), || storage_at(path));
            }
        }
        ReadFile::stat(&self.reach(path, LOOK)?)
    }

    fn is_link(&self, path: &Path) -> bool {
        OsFs.is_link(path)
    }

    fn remote_device(&self, path: &Path) -> Option<u64> {
        OsFs.remote_device(path)
    }

    fn leads_to(&self, path: &Path) -> Option<PathBuf> {
        OsFs.leads_to(path)
    }

    fn notifies(&self) -> bool {
        OsFs.notifies()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(self.open_as(path, OFlags::RDONLY)?))
    }

    fn open_stream(&self, path: &Path, write: bool) -> io::Result<Box<dyn ReadStream>> {
        Ok(Box::new(self.open_as(path, if write { OFlags::RDWR } else { OFlags::RDONLY })?))
    }

    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        if self.is_free(dir) || self.links == Links::Owned && self.place(dir).is_settled {
            return OsFs.list(dir, tell);
        }
        for item in Dir::new(self.reach(dir, OFlags::DIRECTORY)?)? {
            let item = item?;
            let name = OsStr::from_bytes(item.file_name().to_bytes());
            if name != "." && name != ".." {
                tell(Entry { name, kind: kind_of(item.file_type()), ino: item.ino() });
            }
        }
        Ok(())
    }

    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        OsFs.output(path)
    }

    fn output_stream(&self, path: &Path) -> io::Result<Option<Box<dyn WriteStream>>> {
        OsFs.output_stream(path)
    }
}

/// Opens a file for reading, or for writing as well.
pub(super) fn open_as(path: &Path, access: OFlags, flags: OFlags) -> io::Result<File> {
    let write = access == OFlags::RDWR;
    OpenOptions::new().read(true).write(write).custom_flags(flags.bits() as i32).open(path)
}

/// Returns true if a path has no names of its own that could be links: `/`, `.`, `../..`.
fn is_base(path: &Path) -> bool {
    !path.components().any(|component| matches!(component, Component::Normal(_)))
}

/// Returns true if a path ends in a name that the system can be told not to follow: `a/b`, unlike `a/b/` and `a/..`.
fn ends_in_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| path.as_os_str().as_bytes().ends_with(name.as_bytes()))
}

/// Returns true if the error means that a name was a link.
fn is_link_there(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::MLINK))
}

/// Returns the names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let components = path.components().filter(|it| matches!(it, Component::Normal(_) | Component::ParentDir));
    let mut names: Vec<_> = components.map(|component| component.as_os_str().to_owned()).collect();
    names.reverse();
    names
}

/// A symbolic link as it was at one moment.
struct Link {
    owner: u32,
    /// Its text; none for the kernel's own in `/proc`, which lead where no path does.
    target: Option<OsString>,
}

/// Reads a link; returns none if it is no link any more.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_link(at: &OwnedFd, name: &OsStr) -> io::Result<Option<Link>> {
    const PROC: u64 = 0x9fa0;
    let link = openat(at, name, LOOK | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&link)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let is_kernels = rustix::fs::fstatfs(&link)?.f_type as u64 & 0xffff_ffff == PROC;
    let target = if is_kernels { None } else { Some(OsString::from_vec(readlinkat(&link, "", [])?.into_bytes())) };
    Ok(Some(Link { owner: stat.st_uid, target }))
}

/// Reads a link; returns none if it changed meanwhile.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read_link(at: &OwnedFd, name: &OsStr) -> io::Result<Option<Link>> {
    let look = || statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    let before = look()?;
    let target = match readlinkat(at, name, []) {
        Err(Errno::INVAL) => return Ok(None),
        target => target?,
    };
    let after = look()?;
    // A name that is moved away and back has another time of change.
    let of = |stat: &rustix::fs::Stat| (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec);
    let stayed = of(&before) == of(&after);
    Ok(stayed.then(|| Link { owner: after.st_uid, target: Some(OsString::from_vec(target.into_bytes())) }))
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
        FileType::Unknown => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests;
