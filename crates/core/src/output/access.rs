//! The lock of an output, and what keeps it from being opened, in words.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fs::{FileId, Fs, WriteFile};
use crate::output::WriterContext;
use crate::output::file::Sharing;

/// Pauses between tries to lock a file that another process has locked.
const LOCK_PAUSES: [Duration; 5] = [Duration::from_millis(20); 5];

/// Locks a file; returns none if another process writes there. Appenders share the lock. The first of them takes it
/// alone, since a fragment at the end is then nobody's line in progress.
pub(crate) async fn lock(file: &dyn WriteFile, append: bool, cx: &WriterContext) -> io::Result<Option<Sharing>> {
    for pause in LOCK_PAUSES {
        if file.try_lock(false)? {
            return Ok(Some(Sharing::Alone));
        }
        if append && file.try_lock(true)? {
            return Ok(Some(Sharing::Shared));
        }
        // Another one that appends may be beginning just now; or a child that the host is about to start still has
        // the descriptor of a merge that has ended.
        cx.sleep(pause).await;
    }
    Ok(None)
}

/// Refuses a file that the user named as an input.
pub(crate) fn refuse_input(fs: &dyn Fs, inputs: &[PathBuf], output: &Path, id: FileId) -> io::Result<()> {
    let same = |input: &&PathBuf| {
        // Others may hang.
        let near = fs.remote_device(input).is_none_or(|device| device == id.dev);
        near && fs.stat(input).is_ok_and(|stat| stat.id == id)
    };
    match inputs.iter().find(same) {
        None => Ok(()),
        Some(input) => {
            let (input, output) = (input.display(), output.display());
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{input} is the output ({output}) and an input; choose another output"),
            ))
        }
    }
}

pub(crate) fn cannot_open(path: &Path, error: io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => format!("the directory {} does not exist; create it first", parent.display()),
            None => error.to_string(),
        },
        io::ErrorKind::IsADirectory => "it is a directory; give the name of a file".to_owned(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; choose another output, or allow writing there")
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), CannotWrite { message: message(path, &reason), error })
}

pub(crate) fn refused(path: &Path, kind: io::ErrorKind, reason: &str) -> io::Error {
    io::Error::new(kind, message(path, reason))
}

fn message(path: &Path, reason: &str) -> String {
    format!("cannot write to {}: {reason}", path.display())
}

/// The error of the system, in words that say what to do.
#[derive(Debug)]
struct CannotWrite {
    message: String,
    error: io::Error,
}

impl fmt::Display for CannotWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CannotWrite {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
