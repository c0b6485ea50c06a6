#![doc = include_str!("../README.md")]
//!
//! # What a case does
//!
//! Its source, in `src/cases`, says what a case shows. Cases wait for what they expect, for half a minute at most, and use
//! files in a temporary directory; a few start the test program again, since they count what a process has. A case that
//! does not end is given up after three minutes. Before the first one the backend is asked to run one task. If it cannot,
//! because its `spawn` blocks for example, all cases fail then and there, with the reason.
//!
//! Behaviour that does not depend on the backend is tested in `crates/core/tests`, with the same means.

mod cases;
#[doc(hidden)]
#[expect(clippy::new_without_default, reason = "a case says what it makes")]
pub mod kit;
mod threads;

#[doc(hidden)]
pub use cases::named as __cases;
#[doc(hidden)]
pub use tailmerge_core::Backend as __Backend;
pub use threads::Threads;

/// Makes a module of tests of all cases, for one backend.
///
/// The expression gives the backend. It is evaluated anew for each test, in the scope of the call. Run the topic `backend`
/// first.
///
/// # Examples
///
/// ```
/// tailmerge_conformance::conformance!(threads, tailmerge_conformance::Threads::new());
/// ```
#[macro_export]
macro_rules! conformance {
    ($module:ident, $backend:expr $(,)?) => {
        mod $module {
            // In a module of its own, where no topic hides what the expression names.
            mod __given {
                #[allow(unused_imports, reason = "a backend may be given by its full path")]
                use super::super::*;

                pub(super) fn backend() -> impl $crate::__Backend {
                    $backend
                }
            }

            $crate::__topics!();
        }
    };
}
