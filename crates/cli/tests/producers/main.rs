//! Merging what real programs write and rotate: each test starts the program that it is named after, keeps it
//! busy, and counts the lines that came out.
//!
//! Most need programs that not every machine has, or root, and some minutes, so they run only when asked for, and
//! `.ci/run` asks for those of Python only: `cargo test --release -p tailmerge-cli --test producers -- --ignored`.
//! One whose program is missing fails. So may one on a machine so busy that the program gets no turn for half a
//! second: files come and go that fast. `TAILMERGE_TEST_ROTATIONS`, `TAILMERGE_TEST_BLOCKED_SECONDS` and
//! `TAILMERGE_TEST_SEED` make them longer, or do again what failed.

mod blocked;
mod editors;
mod fuse;
mod kit;
mod logrotate;
mod mounts;
mod output;
mod python;
mod rsync;
mod servers;
mod storm;
mod supervise;
#[path = "../cli/tool.rs"]
#[expect(dead_code, reason = "shared with the other tests of the program, which need more of it")]
mod tool;
