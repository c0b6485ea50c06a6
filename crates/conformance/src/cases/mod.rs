//! The cases, by topic. Each is a function of the backend that it is to be tried on, and panics if it fails.
//!
//! [`conformance!`](crate::conformance) makes tests of all of them.

pub mod backend;
pub mod behind;
pub mod content;
pub mod control;
pub mod cut;
pub mod descriptors;
pub mod discover;
pub mod errors;
pub mod fail;
pub mod follow;
pub mod host;
pub mod identity;
pub mod large;
pub mod links;
pub mod logger;
pub mod observer;
pub mod once;
pub mod output;
pub mod own;
pub mod pieces;
pub mod places;
pub mod process;
pub mod remote;
pub mod reopen;
pub mod rotate;
pub mod send;
pub mod sizes;
pub mod soak;
pub mod stall;
pub mod stop;
pub mod stream;
pub mod tailers;
pub mod writer;
