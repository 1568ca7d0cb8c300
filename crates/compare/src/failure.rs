//! What goes wrong, with the exit code that says whose turn it is.

/// An error and its exit code.
#[derive(Debug)]
pub struct Failure {
    /// 2 for bad arguments or settings, 1 for a run that failed.
    pub code: u8,
    /// What happened.
    pub error: anyhow::Error,
}

/// Bad arguments, settings or data: the person changes them.
pub fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure { code: 2, error: error.into() }
}

/// The run itself failed.
pub fn failed(error: impl Into<anyhow::Error>) -> Failure {
    Failure { code: 1, error: error.into() }
}
