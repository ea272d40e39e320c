//! How a process that cannot go on ends: one line for a person, one exit code for a supervisor.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Why a process ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// `--help` or `--version`: text for stdout, no failure at all.
    Asked(String),
    /// The command line, the environment or a file named there is wrong. Exit code 2.
    Config(anyhow::Error),
    /// It was right, and did not work. Exit code 1.
    Run(anyhow::Error),
}

impl Failure {
    /// Tells the person, and yields the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (code, error) = match self {
            Self::Asked(text) => {
                // Whoever closed stdout does not want to know.
                let _ = io::stdout().lock().write_all(text.as_bytes());
                return ExitCode::SUCCESS;
            }
            Self::Config(error) => (2, error),
            Self::Run(error) => (1, error),
        };
        // Nothing is left to tell it to when stderr is gone.
        let _ = writeln!(io::stderr().lock(), "parlor: {error:#}");
        ExitCode::from(code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
