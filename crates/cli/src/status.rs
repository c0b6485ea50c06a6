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

impl Status {
    /// What both come to: a failure counts for more than gaps.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Gaps { other } else { self }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_for_more_than_gaps() {
        use Status::{Failed, Gaps, Usage};
        assert_eq!([Gaps.or(Failed), Failed.or(Gaps), Usage.or(Failed)], [Failed, Failed, Usage]);
    }
}
