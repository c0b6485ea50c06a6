//! What the cases are made with: files and producers, waiting with a deadline, and stand-ins that can be made to
//! misbehave.
//!
//! The rule: a case waits for what it expects, never for time to pass. That nothing comes is shown by what happens
//! after it would have come: see [`Scene::looked`].

mod backend;
mod brake;
mod bytes;
mod disk;
mod events;
mod fs;
mod memory;
mod merge;
mod probe;
mod run;
mod scene;
mod sink;
mod tailer;
mod wait;

pub use backend::{Host, Inline, OneThread, as_task, is_polling};
pub use brake::Brake;
pub use bytes::{assert_same, lines, numbered, sorted, text};
pub use events::Events;
pub use fs::{Op, TestFs};
pub use merge::{failed, start, start_again, start_blocking, stop, stop_blocking};
pub(crate) use probe::assert_usable;
pub use run::{open_files, run, run_alone, threads};
pub use scene::Scene;
pub use sink::{Act, Sink, SinkWriter};
pub use tailer::{Feed, Step};
pub use wait::{DEADLINE, block_on, on_thread, poll_once, until};
