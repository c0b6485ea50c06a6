//! The exit status: what the program tells its caller.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All was delivered, up to the stop.
    Delivered = 0,
    /// Something failed while running.
    Failed = 1,
    /// The command line asks for what cannot be.
    Usage = 2,
    /// It ran to its end, but parts of the inputs could not be delivered.
    Gaps = 3,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why the program ends, and with which status.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) status: Status,
    /// What, which path, what to do: one line.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn run_time(message: impl Into<String>) -> Self {
        Self { status: Status::Failed, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: Status::Usage, message: message.into() }
    }
}
