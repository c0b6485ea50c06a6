//! An input as the user gave it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::discover::pattern::{Pattern, PatternError, is_pattern};
use crate::fs::Fs;

/// An input as the user gave it.
#[derive(Clone, Debug)]
pub(crate) enum Spec {
    Path(Arc<Path>),
    /// A pattern, which matches the path of just that name as well.
    Pattern(Pattern),
}

impl Spec {
    /// Makes an input of a text: a path, or with wildcards a pattern. A malformed pattern is a path if a file has that
    /// name.
    pub(crate) fn new(input: &OsStr, fs: &dyn Fs) -> Result<Self, PatternError> {
        if !is_pattern(input) {
            return Ok(Self::named(Path::new(input), fs));
        }
        match Pattern::new(input) {
            Err(_) if fs.stat(Path::new(input)).is_ok() => Ok(Self::named(Path::new(input), fs)),
            pattern => {
                let pattern = pattern?;
                fs.named(pattern.base());
                Ok(Self::Pattern(pattern))
            }
        }
    }

    /// Makes an input of a path, whatever characters it has.
    pub(crate) fn named(path: &Path, fs: &dyn Fs) -> Self {
        fs.named(path);
        Self::Path(path.into())
    }

    /// Returns the path, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Pattern(_) => None,
        }
    }

    /// Returns the pattern, if it is one.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Path(_) => None,
            Self::Pattern(pattern) => Some(pattern),
        }
    }

    /// Returns the text that the user gave.
    pub(crate) fn text(&self) -> &OsStr {
        match self {
            Self::Path(path) => path.as_os_str(),
            Self::Pattern(pattern) => pattern.text().as_ref(),
        }
    }
}
