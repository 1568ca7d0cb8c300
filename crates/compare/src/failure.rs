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

/// An error and its causes in one line, without the causes that the text before them has already.
pub fn text(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| match cause.to_string() {
        cause if text.is_empty() => cause,
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;
    use anyhow::{Context, anyhow};
    use std::path::Path;

    #[test]
    fn causes_are_told_once() {
        let missing = report::read(Path::new("/nonexistent")).unwrap_err();
        let system = std::fs::read("/nonexistent").unwrap_err().to_string();
        let whole = text(&anyhow::Error::from(missing).context("joining"));
        assert!(whole.starts_with("joining: cannot read the report /nonexistent"), "{whole}");
        assert_eq!(whole.matches(&system).count(), 1, "{whole}");
        let unsaid = Err::<(), _>(anyhow!("no space")).context("the last step").unwrap_err();
        assert_eq!(text(&unsaid), "the last step: no space");
    }
}
