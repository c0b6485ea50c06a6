//! The reasons not to start with a state file. Each names the way out.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A state file and an output that do not fit together: nothing of them is changed.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The output has so many bytes, and there is no state file.
    NoState { len: u64 },
    /// The state file is none.
    Foreign,
    /// The state file is of a later version of the format.
    Newer { version: u32 },
    /// The state file is damaged at this byte.
    Damaged { at: u64 },
    /// The file at the path of the output is another one.
    OtherOutput,
    /// There is no output, and no file beside it that was it.
    OutputGone,
    /// The output has fewer bytes than were written.
    Shorter { len: u64, wrote: u64 },
    /// These bytes of the output are not those that were written.
    Edited { from: u64, to: u64 },
    /// The output has bytes at its end that were not written by a merge.
    Longer { keep: u64, surplus: u64 },
    /// The output cannot be read.
    Unreadable(Arc<io::Error>),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(Arc::new(error))
    }
}

impl Refusal {
    /// Says what is wrong with these files, and what to do.
    pub(crate) fn message(&self, state: &Path, output: &Path) -> String {
        let (state, output) = (state.display(), output.display());
        let anew = format!("to begin anew, move {state} and {output} away");
        match self {
            Self::NoState { len } => format!(
                "{output} has {len} bytes that no state file ({state}) tells of; append to it to keep them, or move it away"
            ),
            Self::Foreign => format!("{state} is no state file of tailmerge; choose another path for the state"),
            Self::Newer { version } => format!(
                "{state} is of version {version} of the state file, which only a later tailmerge reads; use that one, or {anew}"
            ),
            Self::Damaged { at } => {
                format!("{state} is damaged at byte {at}; restore it together with {output}, or {anew}")
            }
            Self::OtherOutput => format!(
                "{output} is not the file that {state} belongs to, which is not in that directory any more; put that file \
                 back, choose another state file, or {anew}"
            ),
            Self::OutputGone => format!(
                "the output that {state} belongs to is neither at {output} nor in that directory; put it back there \
                 uncompressed, or move {state} away to begin anew"
            ),
            Self::Shorter { len, wrote } => format!(
                "{output} has {len} bytes, but {wrote} were written: somebody has cut it; restore what is missing, or {anew}"
            ),
            Self::Edited { from, to } => {
                format!("{output} was changed between bytes {from} and {to}; restore what was there, or {anew}")
            }
            Self::Longer { keep, surplus } => format!(
                "{output} has {surplus} bytes behind byte {keep} that another process has written; stop that one, and cut the \
                 file to {keep} bytes or {anew}"
            ),
            Self::Unreadable(error) => format!("{output} cannot be read, which a state file needs: {error}"),
        }
    }
}
