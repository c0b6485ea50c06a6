//! Locks that survive a panic.

use std::sync::PoisonError;

use super::{Mutex, MutexGuard};

/// Locks a mutex, also after a panic of a thread that held it. The panic is reported where it is caught.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
