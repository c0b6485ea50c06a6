//! Starts with a state file: reads it, compares it with the output, and makes both ready for the next line.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::batch::position::{LineState, Position};
use crate::fs::{FileId, Fs, Kind, ReadFile, WriteFile, here, is_missing};
use crate::output::journal::decode::{Decoded, Undecodable, decode};
use crate::output::journal::format::{Entry, HEADER_LEN, Header, MAGIC};
use crate::output::journal::recovery::{Facts, Place, Plan, Recovery, Rest, fingerprint, holds, is_same, plan};
use crate::output::journal::refusal::Refusal;
use crate::output::journal::store::{Journal, StateFile, write_all};
use crate::output::journal::table::newest;

/// Bytes are read and copied so many at a time.
const STEP: usize = 64 * 1024;

/// A state file that was read, and what is to be done. Nothing is changed yet.
pub(crate) struct Prepared {
    state: StateFile,
    output: PathBuf,
    journal: Option<Decoded>,
    renamed: Option<Box<dyn WriteFile>>,
    plan: Plan,
}

/// A journal that can be written, and its output.
pub(crate) struct Started {
    pub(crate) journal: Journal,
    /// Where the inputs go on.
    pub(crate) left: Vec<Left>,
    /// A file with what the output had at its end and is not known.
    pub(crate) set_aside: Option<PathBuf>,
}

/// A file that the last merge has left.
pub(crate) struct Left {
    pub(crate) entry: Entry,
    /// True if it is not in its directory, as when the last merge began, which has told so, and no other file may be it.
    pub(crate) is_told: bool,
}

impl Prepared {
    /// Reads the state file, which is locked, and looks at the output, which is locked if it is there.
    ///
    /// # Errors
    ///
    /// If the two do not fit together; the message says what to do.
    pub(crate) fn read(
        state: StateFile,
        output: &Path,
        at_path: Option<&dyn WriteFile>,
        append: bool,
    ) -> io::Result<Self> {
        let refused =
            |refusal: Refusal| io::Error::new(io::ErrorKind::InvalidData, refusal.message(&state.path, output));
        let journal = match read_whole(&*state.fs, &state.path) {
            Ok(bytes) => decode(&bytes),
            Err(error) if is_missing(&error) => Err(Undecodable::Empty),
            Err(error) => return Err(state.error(error)),
        };
        let boot_id = state.fs.boot_id();
        let mut renamed = None;
        if let Ok(Decoded { header, .. }) = &journal {
            let rebooted = header.boot_id.zip(boot_id).is_some_and(|(then, now)| then != now);
            let is_own = |id| is_same(header.output, id, rebooted);
            let in_place = at_path.map(|file| file.stat()).transpose()?.is_some_and(|stat| is_own(stat.id));
            if !in_place {
                renamed = find(&*state.fs, output, header.output.ino, |fs, path| fs.output(path), is_own)?;
            }
            // Another merge may still write there.
            if let Some(file) = &renamed
                && matches!(file.try_lock(false), Ok(false))
            {
                let reason = "another process is still writing to the output that was renamed; stop that one";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
            }
        }
        let facts = Facts {
            at_path: at_path.map(|file| file as &dyn ReadFile),
            renamed: renamed.as_deref().map(|file| file as &dyn ReadFile),
            boot_id,
            append,
        };
        let plan = plan(journal.as_ref().map_err(|error| *error), &facts).map_err(refused)?;
        Ok(Self { state, output: output.to_owned(), journal: journal.ok(), renamed, plan })
    }

    /// Cuts off what is no whole line, and begins a journal. If it fails or is killed, it can be done again.
    pub(crate) fn apply(self, output: &mut dyn WriteFile) -> io::Result<Started> {
        let Self { state, output: path, journal, renamed, plan } = self;
        let (recovery, begin) = match plan {
            Plan::Begin { base } => (None, Some(base)),
            Plan::Continue(recovery) => (Some(recovery), None),
            Plan::Switch { renamed, base } => (Some(renamed), Some(base)),
        };
        let (number, mut base) = journal.map_or((0, 0), |journal| (journal.header.number, journal.header.base));
        let mut output_len = recovery.as_ref().map_or(0, |recovery| recovery.keep);
        if let Some(len) = begin {
            base = end_line(output, len)?;
            output_len = base;
        }
        let header = Header { number: number + 1, boot_id: state.fs.boot_id(), output: output.stat()?.id, base };
        let mut set_aside = None;
        if let Some(recovery) = &recovery {
            let own = renamed.as_deref().unwrap_or(output);
            set_aside = cut(&state, &path, own, recovery)?;
            // Before the intents go that could verify it.
            own.sync()?;
        }
        output.sync()?;
        let dir = path.parent().unwrap_or(Path::new(""));
        state.fs.sync_dir(dir)?;
        let places = recovery.map_or_else(Vec::new, |recovery| recovery.places);
        let mut directories = Directories::default();
        let newest = newest(places.iter().map(|place| &place.entry));
        let left = places.into_iter().map(|place| {
            let mut entry = settle(&*state.fs, place)?;
            let was_gone = entry.is_gone;
            let has_next = newest.get(&entry.name()).is_some_and(|newest| *newest > entry.generation);
            entry.is_gone = directories.lack(&*state.fs, &entry, was_gone || has_next);
            // A file that is at the path may be a copy, which goes on.
            let is_told = was_gone && entry.is_gone && (has_next || state.fs.stat(&entry.path).is_err());
            Ok(Left { entry, is_told })
        });
        let left: Vec<_> = left.collect::<io::Result<_>>()?;
        let entries = left.iter().map(|left| left.entry.clone()).collect();
        let journal = Journal::begin(state, header, output, output_len, entries);
        Ok(Started { journal: journal.map_err(|failed| failed.error)?, left, set_aside })
    }
}

/// The names in directories by their inode numbers; none for one that cannot be listed.
#[derive(Default)]
struct Directories(HashMap<PathBuf, Option<HashMap<u64, OsString>>>);

impl Directories {
    /// Returns true if the file of an input is not in its directory. Its own name and inode number are believed unless
    /// `is_doubtful`: to look at all files takes long.
    fn lack(&mut self, fs: &dyn Fs, entry: &Entry, is_doubtful: bool) -> bool {
        let (Some(file), dir) = (entry.file, here(entry.path.parent().unwrap_or(Path::new("")))) else { return false };
        if !self.0.contains_key(dir) {
            let mut names = HashMap::new();
            // A call there may never return.
            let is_near = fs.remote_device(dir).is_none();
            let listed =
                is_near.then(|| fs.list(dir, &mut |entry| drop(names.insert(entry.ino, entry.name.to_owned()))));
            let is_known = listed.is_some_and(|listed| listed.as_ref().map_or_else(is_missing, |()| true));
            self.0.insert(dir.to_owned(), is_known.then_some(names));
        }
        let Some(Some(names)) = self.0.get(dir) else { return false };
        match names.get(&file.ino) {
            None => true,
            Some(name) if !is_doubtful && Some(&**name) == entry.path.file_name() => false,
            // The number may be another's by now.
            Some(name) => fs.stat(&dir.join(name)).is_ok_and(|stat| stat.id != file),
        }
    }
}

/// Reads a state file; one that is no such file only as far as to tell.
fn read_whole(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs.open(path)?;
    if file.stat()?.kind != Kind::File {
        return Err(io::Error::other("it is no regular file; choose another path for the state"));
    }
    let (mut bytes, mut filled) = (Vec::new(), 0);
    loop {
        bytes.resize(filled + STEP.max(filled), 0);
        let got = match file.read_at(&mut [io::IoSliceMut::new(&mut bytes[filled..])], filled as u64) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            got => got?,
        };
        filled += got;
        let is_foreign = filled >= HEADER_LEN && !bytes.starts_with(&MAGIC);
        if got == 0 || is_foreign {
            bytes.truncate(filled);
            return Ok(bytes);
        }
    }
}

/// Opens the file with this inode number in the directory of a path, if there is one that `is_it`.
fn find<F: ?Sized>(
    fs: &dyn Fs,
    path: &Path,
    ino: u64,
    open: impl Fn(&dyn Fs, &Path) -> io::Result<Box<F>>,
    is_it: impl Fn(FileId) -> bool,
) -> io::Result<Option<Box<F>>> {
    let (dir, mut found) = (here(path.parent().unwrap_or(Path::new(""))), None);
    fs.list(dir, &mut |entry| {
        if entry.ino == ino && matches!(entry.kind, Kind::File | Kind::Unknown) {
            found = Some(dir.join(entry.name));
        }
    })?;
    let Some(path) = found.filter(|path| fs.stat(path).is_ok_and(|stat| stat.kind == Kind::File && is_it(stat.id)))
    else {
        return Ok(None);
    };
    open(fs, &path).map(Some)
}

/// Ends a line that others have begun. Returns the length of the file.
fn end_line(output: &mut dyn WriteFile, len: u64) -> io::Result<u64> {
    let mut last = [b'\n'];
    if len > 0 {
        output.read_at(&mut [io::IoSliceMut::new(&mut last)], len - 1)?;
    }
    if last == *b"\n" {
        return Ok(len);
    }
    write_all(output, b"\n")?;
    Ok(output.stat()?.size)
}

/// Cuts off what is behind the last line that is known. Returns the file where it was put, if nothing is known of it.
fn cut(state: &StateFile, path: &Path, output: &dyn WriteFile, recovery: &Recovery) -> io::Result<Option<PathBuf>> {
    let mut set_aside = None;
    match recovery.rest {
        Rest::Nothing => return Ok(None),
        Rest::Torn => {}
        Rest::Unknown => {
            let (aside, mut file) = create_aside(&*state.fs, path)?;
            state.own_files.add(file.stat()?.id);
            let (mut at, mut buf) = (recovery.keep, vec![0; STEP]);
            loop {
                match output.read_at(&mut [io::IoSliceMut::new(&mut buf)], at) {
                    Ok(0) => break,
                    Ok(len) => {
                        write_all(&mut *file, &buf[..len])?;
                        at += len as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            file.sync()?;
            state.fs.sync_dir(path.parent().unwrap_or(Path::new("")))?;
            set_aside = Some(aside);
        }
    }
    output.truncate(recovery.keep)?;
    Ok(set_aside)
}

/// Creates the first file of these names that is not there: `OUTPUT.unknown-1` and so on.
fn create_aside(fs: &dyn Fs, output: &Path) -> io::Result<(PathBuf, Box<dyn WriteFile>)> {
    for number in 1_u64.. {
        let mut path = output.as_os_str().to_owned();
        path.push(format!(".unknown-{number}"));
        match fs.create_new(path.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (path.into(), file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Takes the fingerprint of a position that has none from the file itself, if that is still the same.
fn settle(fs: &dyn Fs, place: Place) -> io::Result<Entry> {
    let Place { mut entry, sure } = place;
    // A call there may never return.
    let is_remote = fs.remote_device(&entry.path).is_some();
    let (Some(sure), Some(id)) = (sure.filter(|_| !is_remote), entry.file) else { return Ok(entry) };
    let is_it = |other: FileId| (other.dev, other.ino) == (id.dev, id.ino);
    let in_place = fs.open(&entry.path).ok().filter(|file| file.stat().is_ok_and(|stat| is_it(stat.id)));
    let found =
        in_place.map_or_else(|| find(fs, &entry.path, id.ino, |fs, path| fs.open(path), is_it), |file| Ok(Some(file)));
    // Without the file, the offset is what is known.
    let Ok(Some(file)) = found else { return Ok(entry) };
    let offset = entry.position.offset;
    let is_same = holds(&*file, sure.offset, sure.fingerprint)?;
    entry.position = match fingerprint(&*file, offset, u64::MAX)? {
        Some(fingerprint) if is_same => {
            let mut last = [0];
            file.read_at(&mut [io::IoSliceMut::new(&mut last)], offset - 1)?;
            let line = if last == *b"\n" { LineState::Start } else { LineState::Long };
            Position { offset, fingerprint, line }
        }
        // Other content by now, which is told by this position.
        _ => sure,
    };
    Ok(entry)
}
