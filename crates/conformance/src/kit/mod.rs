//! What the cases are made with: files and producers, waiting with a deadline, and stand-ins that can be made to
//! misbehave.
//!
//! The rule: a case waits for what it expects, never for time to pass. That nothing comes is shown by what happens
//! after it would have come: see [`Scene::looked`].

mod backend;
mod brake;
mod bytes;
mod events;
mod fs;
mod merge;
mod run;
mod scene;
mod sink;
mod tailer;
mod wait;

pub(crate) use backend::{Host, Inline, OneThread, as_task, is_polling};
pub(crate) use brake::Brake;
pub(crate) use bytes::{assert_same, lines, numbered, sorted, text};
pub(crate) use events::Events;
pub(crate) use fs::{Op, TestFs};
pub(crate) use merge::{failed, start, start_again, start_blocking, stop, stop_blocking};
pub use run::{alone, run};
pub(crate) use run::{open_files, threads};
pub(crate) use scene::Scene;
pub(crate) use sink::{Act, Sink, SinkWriter};
pub(crate) use tailer::{Feed, Step};
pub(crate) use wait::{DEADLINE, block_on, on_thread, poll_once, until};
