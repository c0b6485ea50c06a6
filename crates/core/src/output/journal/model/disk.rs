//! A disk that fails, and forgets what was not synced.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::fs::{Entry, FileId, Fs, Kind, ReadFile, Stat, WriteFile, here};
use crate::output::journal::tests::Rng;
use crate::sync::lock::lock;

/// After a loss of power, blocks of so many bytes are there or are zeros.
const BLOCK: usize = 16;

/// What happens at a call that changes the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, and has done a part of what it does.
    Error(io::ErrorKind),
    /// The process is killed, half-way.
    Kill,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// The names after each change since they were synced.
    changes: Vec<BTreeMap<PathBuf, usize>>,
    rng: Rng,
    /// So many calls from now, this happens.
    fault: Option<(u64, Fault)>,
    killed: bool,
    boots: u128,
    trace: bool,
}

/// The disk. A clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            rng: Rng(seed),
            fault: None,
            killed: false,
            boots: 1,
            trace,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    pub(super) fn plan(&self, calls: u64, fault: Fault) {
        self.state().fault = Some((calls, fault));
    }

    pub(super) fn is_killed(&self) -> bool {
        self.state().killed
    }

    /// Starts the process again; after a loss of power, with what that has left.
    pub(super) fn restart(&self, power_lost: bool) {
        let state = &mut *self.state();
        (state.killed, state.fault) = (false, None);
        if !power_lost {
            return;
        }
        state.boots += 1;
        let kept = state.rng.below(state.changes.len() as u64 + 1) as usize;
        if kept > 0 {
            state.synced_names = state.changes[kept - 1].clone();
        }
        state.changes.clear();
        state.names = state.synced_names.clone();
        for file in &mut state.files {
            file.bytes = left(file, &mut state.rng);
            file.synced = file.bytes.clone();
        }
        if state.trace {
            let sizes = state.names.iter().map(|(name, file)| (name, state.files[*file].bytes.len()));
            eprintln!("power is lost, left are {:?}", sizes.collect::<Vec<_>>());
        }
    }

    /// Makes a file that is on the disk.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) -> FileId {
        let state = &mut *self.state();
        let file = state.create(path);
        (state.files[file].bytes, state.files[file].synced) = (bytes.to_vec(), bytes.to_vec());
        state.synced_names = state.names.clone();
        state.changes.clear();
        id(file)
    }

    pub(super) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|file| state.files[*file].bytes.clone())
    }

    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
}

/// What a loss of power leaves of a file.
fn left(file: &File, rng: &mut Rng) -> Vec<u8> {
    if !file.bytes.starts_with(&file.synced) {
        // It was cut.
        return if rng.below(2) == 0 { file.synced.clone() } else { file.bytes.clone() };
    }
    let from = file.synced.len();
    let len = from + rng.below((file.bytes.len() - from) as u64 + 1) as usize;
    let mut bytes = file.bytes[..len].to_vec();
    let zeros = rng.below(3);
    for (at, byte) in bytes.iter_mut().enumerate().skip(from) {
        // All blocks, none, or some.
        if zeros == 0 || zeros == 1 && (at / BLOCK * 7 + len).is_multiple_of(3) {
            *byte = 0;
        }
    }
    bytes
}

fn id(file: usize) -> FileId {
    FileId::new(1, file as u64 + 1)
}

impl State {
    fn create(&mut self, path: &Path) -> usize {
        self.files.push(File::default());
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.changes.push(self.names.clone());
        self.files.len() - 1
    }

    /// Counts a call. Returns what happens at it.
    fn call(&mut self, what: &str) -> io::Result<Option<Fault>> {
        if self.killed {
            return Err(io::Error::other("the process is dead"));
        }
        let mut fault = None;
        if let Some((calls, _)) = &mut self.fault {
            *calls -= 1;
            if *calls == 0 {
                fault = self.fault.take().map(|(_, fault)| fault);
            }
        }
        self.killed = fault == Some(Fault::Kill);
        if self.trace {
            eprintln!("{what} {}", fault.map_or(String::new(), |fault| format!("{fault:?}")));
        }
        Ok(fault)
    }

    /// A call that has all of its effect or none. Returns whether it has, and its result.
    fn whole_call(&mut self, what: &str) -> io::Result<(bool, io::Result<()>)> {
        Ok(match self.call(what)? {
            None => (true, Ok(())),
            Some(fault) => (fault == Fault::Kill && self.rng.below(2) == 0, Err(error(fault))),
        })
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Error(kind) => kind.into(),
        Fault::Kill => io::Error::other("killed"),
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    file: usize,
}

impl ReadFile for Handle {
    fn stat(&self) -> io::Result<Stat> {
        let len = self.disk.state().files[self.file].bytes.len();
        Ok(Stat::new(id(self.file), Kind::File, len as u64))
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.files[self.file].bytes;
        let rest = &bytes[bytes.len().min(offset as usize)..];
        let len = rest.len().min(bufs[0].len());
        bufs[0][..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl WriteFile for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.disk.state();
        let fault = state.call(&format!("write {} bytes to {}", bytes.len(), self.file))?;
        let part = if fault.is_some() { state.rng.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        state.files[self.file].bytes.extend_from_slice(&bytes[..part]);
        match fault {
            Some(Fault::Error(_)) if part > 0 => {
                // The next call fails.
                state.fault = fault.map(|fault| (1, fault));
                Ok(part)
            }
            Some(fault) => Err(error(fault)),
            None => Ok(part),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let state = &mut *self.disk.state();
        let (done, result) = state.whole_call(&format!("truncate {} to {len}", self.file))?;
        if done {
            state.files[self.file].bytes.resize(len as usize, 0);
        }
        result
    }

    fn try_lock(&self, _: bool) -> io::Result<bool> {
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.state();
        let (done, result) = state.whole_call(&format!("sync {}", self.file))?;
        if done {
            state.files[self.file].synced = state.files[self.file].bytes.clone();
        }
        result
    }
}

impl Fs for Disk {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.open(path)?.stat()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let file = self.state().names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        assert_eq!(dir, here(Path::new("")), "there is one directory");
        for (name, file) in self.state().names.clone() {
            tell(Entry::new(name.as_os_str(), Kind::File, id(file).ino));
        }
        Ok(())
    }

    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let known = self.state().names.get(path).copied();
        match known {
            Some(file) => Ok(Box::new(Handle { disk: self.clone(), file })),
            None => self.create_new(path),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let state = &mut *self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (done, result) = state.whole_call(&format!("create {}", path.display()))?;
        let file = if done { state.create(path) } else { 0 };
        result.map(|()| Box::new(Handle { disk: self.clone(), file }) as Box<dyn WriteFile>)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        let (done, result) = state.whole_call(&format!("rename {} to {}", from.display(), to.display()))?;
        if done {
            let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), file);
            state.changes.push(state.names.clone());
        }
        result
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (done, result) = state.whole_call(&format!("remove {}", path.display()))?;
        if done {
            state.names.remove(path);
            state.changes.push(state.names.clone());
        }
        result
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        let (done, result) = state.whole_call("sync the directory")?;
        if done {
            state.synced_names = state.names.clone();
            state.changes.clear();
        }
        result
    }

    fn boot_id(&self) -> Option<u128> {
        Some(self.state().boots)
    }
}
