//! The only door to files and streams.
//!
//! Whatever is followed, listed, read or written goes through [`Fs`], standard input and output included, so that tests
//! can put a file system of their own behind it: one in memory, or one whose n-th call fails. All of it blocks; it is
//! called on the blocking pool and on the writer's thread only. A merge gets it by
//! [`Builder::fs`](crate::Builder::fs).

mod births;
mod durable;
mod error;
mod links;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod mounts;
mod stream;

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use self::births::{believed, storage_at};
pub(crate) use self::error::{is_gone, is_missing, is_shortage, shortage};
use self::links::LinkedFs;
pub use self::links::Links;
pub(crate) use self::links::RefusedLink;
pub use self::stream::{ReadStream, Stdout, WriteStream};

/// A file that changed less than this before a stat may change again without a later [`Stat::modified`].
pub(crate) const MODIFIED_GRAIN: Duration = Duration::from_millis(50);

/// The system accepts paths of at most so many bytes.
pub(crate) const PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 4095 } else { 1023 };

/// The identity of a file, whatever its name: device, inode, and birth time where that can be believed.
///
/// Inode numbers are used again as soon as a file is gone; the birth time tells the two files apart. On an overlay file
/// system it moves when a file of a lower layer is first written to; there, the content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FileId {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Time of birth in ns since the epoch; none where the file system keeps none, or it may move.
    pub born: Option<u64>,
}

impl FileId {
    /// Makes the identity of a file by its device and inode numbers, without a time of birth.
    #[must_use]
    pub fn new(dev: u64, ino: u64) -> Self {
        Self { dev, ino, born: None }
    }
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file: the only kind that can be read again. A FIFO at a named path is read as a stream.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; only [`Fs::list`] returns this, everything else follows links, or refuses to.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device, such as a terminal.
    Device,
    /// The directory entry does not tell.
    Unknown,
}

/// The kind of a file's storage: how far the size that the system reports can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// A disk or the memory of this machine: a short read has reached the end of the file.
    Local,
    /// A network, a program, an overlay of others, or unknown: a read may be short without any reason, the size may be
    /// ahead of the bytes that can be read, and an open file may be an old copy of what is at its path.
    #[default]
    Other,
    /// Made by the kernel as it is read, as in `/proc`: the size tells nothing.
    Pseudo,
}

/// The state of a file, as [`Fs::stat`] returns it.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use tailmerge::fs::{FileId, Kind, Stat};
///
/// let mut stat = Stat::new(FileId::new(1, 2), Kind::File, 100);
/// stat.modified = Some(SystemTime::now());
/// assert_eq!((stat.size, stat.links), (100, 1));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stat {
    /// The identity of the file.
    pub id: FileId,
    /// The kind of the file.
    pub kind: Kind,
    /// The length in bytes.
    pub size: u64,
    /// The number of names.
    pub links: u64,
    /// The time of the last change of the content; of a directory, of any change, which nobody can set back.
    pub modified: Option<SystemTime>,
    /// The number of the user to whom it belongs, where there are users.
    pub owner: Option<u32>,
}

impl Stat {
    /// Makes the state of a file with one name, whose time of change and owner are unknown.
    #[must_use]
    pub fn new(id: FileId, kind: Kind, size: u64) -> Self {
        Self { id, kind, size, links: 1, modified: None, owner: None }
    }

    /// Returns true if nobody but the owner of another file, root or our own user can have written this one's content.
    /// Where there are no users, anybody may.
    pub(crate) fn is_as_trusted_as(&self, other: &Self) -> bool {
        let is_ours = |owner| owner == 0 || owner == rustix::process::geteuid().as_raw();
        self.owner.is_none_or(is_ours) || self.owner == other.owner
    }
}

/// An entry of a directory, as far as the directory itself knows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a OsStr,
    /// Its kind; a link is not followed.
    pub kind: Kind,
    /// Its inode number.
    pub ino: u64,
}

impl<'a> Entry<'a> {
    /// Makes the entry of a name.
    #[must_use]
    pub fn new(name: &'a OsStr, kind: Kind, ino: u64) -> Self {
        Self { name, kind, ino }
    }
}

/// The directory that an empty path stands for.
pub(crate) fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// A file system.
///
/// [`OsFs`] is the machine's own.
///
/// # Examples
///
/// The machine's file system, but for what is below `/etc`:
///
/// ```
/// use std::io;
/// use std::path::Path;
/// use std::sync::Arc;
/// use tailmerge::Builder;
/// use tailmerge::fs::{Entry, Fs, OsFs, ReadFile, Stat, WriteFile};
///
/// #[derive(Debug)]
/// struct WithoutEtc;
///
/// impl Fs for WithoutEtc {
///     fn stat(&self, path: &Path) -> io::Result<Stat> {
///         OsFs.stat(path)
///     }
///
///     fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
///         if path.starts_with("/etc") { Err(io::ErrorKind::PermissionDenied.into()) } else { OsFs.open(path) }
///     }
///
///     fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
///         OsFs.list(dir, tell)
///     }
///
///     fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
///         OsFs.output(path)
///     }
/// }
///
/// let builder = Builder::new().input("/**/*.log").fs(Arc::new(WithoutEtc));
/// ```
pub trait Fs: Debug + Send + Sync + 'static {
    /// Returns the state of the file at a path, links followed.
    ///
    /// # Errors
    ///
    /// As the system reports them; `NotFound` if there is nothing.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Returns true if a path is a symbolic link itself. Only called where [`Fs::notifies`].
    fn is_link(&self, path: &Path) -> bool {
        let _ = path;
        false
    }

    /// Returns the device that a path leads to, links followed, if a call there may never return: one of a network, or
    /// of a program. Its files are read by a job of their own, so that no other waits with them. It must be found out
    /// without a call that goes there.
    fn remote_device(&self, path: &Path) -> Option<u64> {
        let _ = path;
        None
    }

    /// Returns where a path leads that is a symbolic link, or leads through one. Only called to explain what is
    /// followed.
    fn leads_to(&self, path: &Path) -> Option<PathBuf> {
        let _ = path;
        None
    }

    /// The same file system with symbolic links followed as a policy says, for all calls but [`Fs::output`]. Not asked
    /// for [`Links::Follow`].
    ///
    /// # Errors
    ///
    /// `Unsupported`, as by default, if it has no other policy than its own.
    fn with_links(&self, links: Links) -> io::Result<Arc<dyn Fs>> {
        let _ = links;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Is told of each path that the user named, and of the directory that a pattern begins with, for
    /// [`Links::Skip`].
    fn named(&self, path: &Path) {
        let _ = path;
    }

    /// Returns true if changes here are those that the system notifies, at the same paths.
    fn notifies(&self) -> bool {
        false
    }

    /// Opens a file for reading. It never waits, not even for the other end of a FIFO.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// Opens a FIFO for reading, or as its writer as well. Never waits for the other end.
    ///
    /// # Errors
    ///
    /// As the system reports them. `Unsupported`, as by default, if it has no FIFOs.
    fn open_stream(&self, path: &Path, write: bool) -> io::Result<Box<dyn ReadStream>> {
        let _ = (path, write);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens standard input; by default that of the process.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn stdin(&self) -> io::Result<Box<dyn ReadStream>> {
        stream::stdin()
    }

    /// Calls `tell` with each entry of a directory but `.` and `..`.
    ///
    /// # Errors
    ///
    /// As the system reports them. The entries before the error are valid.
    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()>;

    /// Opens the output, creates it if need be, and changes nothing in it. Every write goes to the end of the file,
    /// wherever that is by then.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens an output that is no regular file: a FIFO, a terminal, a socket. Never waits for the other end. Returns
    /// none for a FIFO that nobody has open for reading.
    ///
    /// # Errors
    ///
    /// As the system reports them. `Unsupported`, as by default, if it has none.
    fn output_stream(&self, path: &Path) -> io::Result<Option<Box<dyn WriteStream>>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens standard output, with its state; by default that of the process.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn stdout(&self) -> io::Result<(Stat, Stdout)> {
        stream::stdout()
    }

    /// Creates a file where there is nothing, not even a link. Every write goes to its end. This call and those below are
    /// only needed for a state file.
    ///
    /// # Errors
    ///
    /// As the system reports them; `AlreadyExists` if there is something. `Unsupported`, as by default, if it cannot
    /// keep a state file.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Renames a file in its directory, over the one that has the new name.
    ///
    /// # Errors
    ///
    /// As the system reports them. `Unsupported` by default.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes the name of a file.
    ///
    /// # Errors
    ///
    /// As the system reports them; `NotFound` if there is nothing. `Unsupported` by default.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Waits until the names in a directory would be there after a loss of power.
    ///
    /// # Errors
    ///
    /// As the system reports them; an error is never taken back by a later call that succeeds. `Unsupported` by default.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns a number that is another one after each start of the machine, or none if that is not known, as by default.
    fn boot_id(&self) -> Option<u128> {
        None
    }
}

/// A file open for reading.
pub trait ReadFile: Debug + Send + 'static {
    /// Returns the state of the open file, whatever its name is by now.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn stat(&self) -> io::Result<Stat>;

    /// Returns the kind of its storage.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn storage(&self) -> io::Result<Storage> {
        Ok(Storage::Other)
    }

    /// Reads at an offset in bytes, into one buffer after the other, all at one moment. It may give fewer bytes than
    /// asked for; 0 at the end of the file only.
    ///
    /// # Errors
    ///
    /// As the system reports them, `Interrupted` included.
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;

    /// Returns where the next data begins at or after an offset; the offset itself if the file system does not report
    /// holes; none if there is only a hole up to the end.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }

    /// Returns the number of its descriptor, if it has one: the lowest that was free when it was opened.
    fn descriptor(&self) -> Option<u64> {
        None
    }
}

/// A file open for writing: the output, or a state file.
pub trait WriteFile: ReadFile {
    /// Writes at the end of the file. It may write fewer bytes than given.
    ///
    /// # Errors
    ///
    /// As the system reports them, `Interrupted` included.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to a length in bytes.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Has every write go to the end of the file from now on, unless it is open in its midst. Called for standard output
    /// only: [`Fs::output`] opens files so. By default it does nothing.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn append(&self) -> io::Result<()> {
        Ok(())
    }

    /// Locks the file until it is closed. Returns false if it is locked by another process.
    ///
    /// # Errors
    ///
    /// As the system reports them; some file systems have no locks.
    fn try_lock(&self, shared: bool) -> io::Result<bool>;

    /// Waits until what was written would be there after a loss of power, and the file's length with it.
    ///
    /// # Errors
    ///
    /// As the system reports them; an error is never taken back by a later call that succeeds. `Unsupported`, as by
    /// default, if it cannot be waited for.
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFs;

impl OsFs {
    fn open_as(path: &Path, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        links::open_as(path, access, OFlags::NONBLOCK | OFlags::NOCTTY)
    }
}

impl Fs for OsFs {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let metadata = fs::metadata(path)?;
        believed(Stat::from(&metadata), || storage_at(path))
    }

    fn is_link(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn remote_device(&self, path: &Path) -> Option<u64> {
        mounts::remote_device(path)
    }

    fn leads_to(&self, path: &Path) -> Option<PathBuf> {
        let through_link = path.ancestors().any(|path| self.is_link(path));
        through_link.then(|| fs::canonicalize(path).or_else(|_| fs::read_link(path)).ok())?
    }

    fn with_links(&self, links: Links) -> io::Result<Arc<dyn Fs>> {
        Ok(Arc::new(LinkedFs::new(links)))
    }

    fn notifies(&self) -> bool {
        true
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(Self::open_as(path, false)?))
    }

    fn open_stream(&self, path: &Path, write: bool) -> io::Result<Box<dyn ReadStream>> {
        Ok(Box::new(Self::open_as(path, write)?))
    }

    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        for item in fs::read_dir(dir)? {
            let item = item?;
            let kind = item.file_type().map_or(Kind::Unknown, kind);
            tell(Entry { name: &item.file_name(), kind, ino: item.ino() });
        }
        Ok(())
    }

    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut options = OpenOptions::new();
        options.read(true).create(true).append(true);
        match options.open(path) {
            // An output that may be written but not read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.read(false).open(path),
            opened => opened,
        }
        .map(|file| Box::new(file) as Box<dyn WriteFile>)
    }

    fn output_stream(&self, path: &Path) -> io::Result<Option<Box<dyn WriteStream>>> {
        stream::open_write(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        durable::sync_dir(dir)
    }

    fn boot_id(&self) -> Option<u128> {
        durable::boot_id()
    }
}

impl ReadFile for File {
    fn stat(&self) -> io::Result<Stat> {
        let metadata = self.metadata()?;
        believed(Stat::from(&metadata), || ReadFile::storage(self))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn storage(&self) -> io::Result<Storage> {
        Ok(storage(rustix::fs::fstatfs(self)?.f_type as u64))
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::preadv(self, bufs, offset)?)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(self, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(rustix::io::Errno::INVAL) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn descriptor(&self) -> Option<u64> {
        u64::try_from(self.as_raw_fd()).ok()
    }
}

impl WriteFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn append(&self) -> io::Result<()> {
        if rustix::fs::tell(self)? >= ReadFile::stat(self)?.size {
            rustix::fs::fcntl_setfl(self, rustix::fs::fcntl_getfl(self)? | OFlags::APPEND)?;
        }
        Ok(())
    }

    fn try_lock(&self, shared: bool) -> io::Result<bool> {
        let locked = if shared { self.try_lock_shared() } else { File::try_lock(self) };
        match locked {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        let modified = match metadata.is_dir() {
            true => u64::try_from(metadata.ctime()).ok().map(|seconds| {
                SystemTime::UNIX_EPOCH + Duration::new(seconds, metadata.ctime_nsec().try_into().unwrap_or(0))
            }),
            false => metadata.modified().ok(),
        };
        let born = metadata.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            id: FileId {
                dev: metadata.dev(),
                ino: metadata.ino(),
                born: born.and_then(|age| u64::try_from(age.as_nanos()).ok()),
            },
            kind: kind(metadata.file_type()),
            size: metadata.len(),
            links: metadata.nlink(),
            modified,
            owner: Some(metadata.uid()),
        }
    }
}

/// Returns the kind of storage of a file system's magic number, from `statfs(2)` and the kernel's `magic.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn storage(kind: u64) -> Storage {
    match kind & 0xffff_ffff {
        // ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, F2FS, ZFS, bcachefs.
        0xef53 | 0x5846_5342 | 0x9123_683e | 0x0102_1994 | 0x8584_58f6 | 0xf2f5_2010 | 0x2fc1_2fc1 | 0xca45_1a4e => {
            Storage::Local
        }
        // proc, sysfs, cgroup and its second version, debugfs, tracefs, securityfs, SELinux, Smack, configfs, BPF,
        // binfmt_misc, FUSE's control, resctrl, AppArmor.
        0x9fa0 | 0x6265_6572 | 0x0027_e0eb | 0x6367_7270 | 0x6462_6720 | 0x7472_6163 | 0x7363_6673 | 0xf97c_ff8c
        | 0x4341_5d53 | 0x6265_6570 | 0xcafe_4a11 | 0x4249_4e4d | 0x6573_5543 | 0x0765_5821 | 0x5a3c_69f0 => {
            Storage::Pseudo
        }
        _ => Storage::Other,
    }
}

fn kind(file_type: fs::FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_symlink() {
        Kind::Link
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else if file_type.is_socket() {
        Kind::Socket
    } else if file_type.is_char_device() || file_type.is_block_device() {
        Kind::Device
    } else {
        Kind::Unknown
    }
}
