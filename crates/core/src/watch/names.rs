//! Names that the system has notified, so that discovery need not list their directories.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::sync::lock::lock;
use crate::sync::wake::Wake;

/// At most so many changes wait. Beyond them the directories are listed.
const CHANGES_MAX: usize = 4096;

/// A change of a name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    /// The directory, as it is spelled where it is watched.
    pub(crate) dir: Arc<Path>,
    pub(crate) name: OsString,
    pub(crate) what: NameNow,
}

/// The state of a name, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameNow {
    Dir,
    /// A file, or something else that is no directory.
    File,
    Nothing,
}

/// The changes of names since discovery last took them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    state: Mutex<State>,
    pub(crate) wake: Wake,
}

#[derive(Debug, Default)]
struct State {
    changes: Vec<NameChange>,
    /// True if anything else may have changed.
    others: bool,
}

impl Names {
    /// Adds a change of a name.
    pub(crate) fn changed(&self, dir: &Arc<Path>, name: &OsStr, what: NameNow) {
        let mut state = lock(&self.state);
        if state.changes.len() >= CHANGES_MAX {
            state.others = true;
            return;
        }
        state.changes.push(NameChange { dir: dir.clone(), name: name.to_owned(), what });
        drop(state);
        self.wake.wake();
    }

    /// Records that anything may have changed.
    pub(crate) fn all_changed(&self) {
        lock(&self.state).others = true;
        self.wake.wake();
    }

    /// Takes the changes of names, and returns true if anything else may have changed.
    pub(crate) fn take(&self) -> (Vec<NameChange>, bool) {
        let State { changes, others } = std::mem::take(&mut *lock(&self.state));
        (changes, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_storm_so_many_names_wait_and_no_more() {
        let (names, dir) = (Names::default(), Arc::<Path>::from(Path::new("logs")));
        for number in 0..3 * CHANGES_MAX {
            names.changed(&dir, number.to_string().as_ref(), NameNow::File);
        }
        let (changes, others) = names.take();
        assert_eq!((changes.len(), others), (CHANGES_MAX, true));
        names.changed(&dir, "one".as_ref(), NameNow::Nothing);
        let (changes, others) = names.take();
        assert_eq!((changes.len(), others), (1, false));
    }
}
