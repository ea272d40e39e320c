//! Who we say we are: from the address or from a file, and never in a log.

use std::path::Path;

use super::ConnectError;

/// What the server is told.
pub(super) enum Login {
    None,
    Password(String, String),
    /// A `.creds` file, as it is called and what it holds.
    Credentials {
        file: String,
        text: String,
    },
}

/// Addresses as they may be logged.
pub(super) fn without_password(url: &str) -> String {
    let host = |address: &str| match address.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => address.to_owned(),
    };
    url.split(',').map(host).collect::<Vec<_>>().join(",")
}

/// Reads a credentials file; which kind it is, its content tells.
pub(super) fn read_login(file: &Path) -> Result<Login, ConnectError> {
    let wrong = |why: String| ConnectError::File(file.display().to_string(), why);
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    if text.contains("-----BEGIN NATS USER JWT-----") {
        return Ok(Login::Credentials {
            file: file.display().to_string(),
            text,
        });
    }
    match text
        .lines()
        .next()
        .and_then(|line| line.trim().split_once(':'))
    {
        Some((user, password)) if !user.is_empty() => {
            Ok(Login::Password(user.to_owned(), password.to_owned()))
        }
        _ => Err(wrong("it holds neither".to_owned())),
    }
}
