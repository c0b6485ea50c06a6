//! The few wait primitives that are made by hand, each with a model in `tests/loom` that tries all interleavings.
//!
//! They are here where a crate's would not do: [`Inbox`](inbox::Inbox) and [`Wake`](wake::Wake) wake the other side after
//! they have released their lock, and a `Wake` can be waited for in a task and, with a timeout, on a thread.
//! [`Stop`](stop::Stop) and [`SetOnce`](set_once::SetOnce) are values that many wait for.
//!
//! The rule: nothing here uses another module of the crate, and no lock is held while something is woken or called.

pub(crate) mod inbox;
pub(crate) mod lock;
pub(crate) mod set_once;
pub(crate) mod stop;
pub(crate) mod wake;

#[cfg(not(loom))]
use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};

#[cfg(loom)]
use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
