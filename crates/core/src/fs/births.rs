//! Times of birth, where they can be believed.
//!
//! An overlay file system makes a file anew when it is first written to, and with it its time of birth. So a time of birth
//! is reported on storage of which that is not known only.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clock;
use crate::fs::{Stat, Storage};
use crate::sync::lock::lock;

/// What is known of a device is believed for so long, since its number may be given to another one.
const KNOWN: Duration = Duration::from_secs(10);

/// So many devices are remembered.
const DEVICES_MAX: usize = 16;

/// The devices that were asked about, each with the answer and its time.
static DEVICES: Mutex<Vec<(u64, bool, Instant)>> = Mutex::new(Vec::new());

/// Returns the state without a time of birth, unless that can be believed. It calls `ask` for a device of which nothing
/// is known.
///
/// # Errors
///
/// That of `ask`: a time of birth that came and went would make two files of one.
pub(super) fn believed(mut stat: Stat, ask: impl FnOnce() -> io::Result<Storage>) -> io::Result<Stat> {
    if stat.id.born.is_some() && !keeps(stat.id.dev, ask)? {
        stat.id.born = None;
    }
    Ok(stat)
}

fn keeps(device: u64, ask: impl FnOnce() -> io::Result<Storage>) -> io::Result<bool> {
    let now = clock::now();
    let is_recent = |since: Instant| now.saturating_duration_since(since) < KNOWN;
    let known = lock(&DEVICES).iter().find(|(known, _, since)| *known == device && is_recent(*since)).copied();
    if let Some((_, keeps, _)) = known {
        return Ok(keeps);
    }
    // Without the lock: it may take long where a device hangs.
    let keeps = ask()? == Storage::Local;
    let mut devices = lock(&DEVICES);
    devices.retain(|(known, _, since)| *known != device && is_recent(*since));
    if devices.len() < DEVICES_MAX {
        devices.push((device, keeps, now));
    }
    Ok(keeps)
}

/// Returns the kind of the storage at a path.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn storage_at(path: &Path) -> io::Result<Storage> {
    Ok(super::storage(rustix::fs::statfs(path)?.f_type as u64))
}

/// Returns the kind of the storage at a path, which is not known.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn storage_at(_: &Path) -> io::Result<Storage> {
    Ok(Storage::Other)
}
