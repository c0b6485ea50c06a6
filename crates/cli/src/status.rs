//! The exit status, and the failure that leads to it.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Every line up to the stop was delivered.
    Delivered = 0,
    /// Something failed while running.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The program ran to its end, but parts of the inputs could not be delivered.
    Gaps = 3,
}

impl Status {
    /// Combines two statuses: a failure counts more than gaps.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Gaps { other } else { self }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// A failure that ends the program.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) status: Status,
    /// One line: what failed, which path, what to do.
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
