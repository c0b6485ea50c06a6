//! What outlives a loss of power, and how it is told that there may have been one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::here;

/// Where Linux tells the identity of the running system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Waits until the names in a directory would be there after a loss of power.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(here(dir))?.sync_all() {
        // Some file systems, those of networks among them, have no such call for a directory, and need none.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Returns a number that is another one after each start of the machine.
pub(super) fn boot_id() -> Option<u128> {
    parse(&fs::read_to_string(BOOT_ID).ok()?)
}

/// Parses a UUID.
fn parse(text: &str) -> Option<u128> {
    let digits: String = text.trim_end().split('-').collect();
    // `from_str_radix` takes a sign, too.
    let are_digits = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u128::from_str_radix(&digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, IoSliceMut};

    use super::*;
    use crate::fs::{Fs, OsFs};

    #[test]
    fn a_file_is_made_anew_synced_renamed_over_another_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| dir.path().join(name));
        fs::write(&old, "old").unwrap();
        let mut file = OsFs.create_new(&new).unwrap();
        assert_eq!(OsFs.create_new(&new).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(file.write(b"content").unwrap(), 7);
        file.truncate(3).unwrap();
        assert_eq!(file.write(b"!").unwrap(), 1);
        file.sync().unwrap();
        OsFs.rename(&new, &old).unwrap();
        OsFs.sync_dir(dir.path()).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0).unwrap(), 4);
        assert_eq!((&bytes[..4], fs::read(&old).unwrap()), (&b"con!"[..], b"con!".to_vec()));
        assert!(!new.exists());
        OsFs.remove(&old).unwrap();
        assert_eq!(OsFs.remove(&old).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_running_system_has_an_identity() {
        assert_eq!(parse("01234567-89ab-cdef-0123-456789abcdef\n"), Some(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        for bad in ["", "01234567", "+1234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef0"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        if cfg!(target_os = "linux") {
            assert!(boot_id().is_some());
        }
        assert_eq!(boot_id(), boot_id());
    }
}
