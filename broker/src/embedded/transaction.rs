//! A transaction of a writer thread, and what becomes of its changes when it fails.

use std::sync::Arc;

use redb::{Database, Durability, WriteTransaction};

use super::file::DataFile;

/// A change that somebody waits for.
pub(super) trait Change {
    /// Whether a file that was opened after the change failed shows that it was not made.
    fn is_absent(&self, database: &Database) -> bool;

    /// Tells that it was not made, or that it may be. Whoever asked may have gone; that is theirs to know.
    fn fail(self, why: &str, may_be_written: bool);
}

/// Why a transaction failed.
pub(super) struct Failure {
    error: redb::Error,
    /// The commit itself failed: nobody knows what is on disk.
    may_be_written: bool,
}

impl Failure {
    /// Before the commit: nothing was written.
    pub(super) fn before(error: impl Into<redb::Error>) -> Self {
        Self {
            error: error.into(),
            may_be_written: false,
        }
    }

    /// Of the commit.
    pub(super) fn of_commit(error: impl Into<redb::Error>) -> Self {
        Self {
            error: error.into(),
            may_be_written: true,
        }
    }
}

/// Begins a transaction whose commit returns when it is on disk.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    Ok(transaction)
}

/// Closes the file, which takes no write after one that failed, and tells whoever waits for the changes.
pub(super) fn fail(
    file: &DataFile,
    database: Arc<Database>,
    failure: &Failure,
    changes: Vec<impl Change>,
) {
    let why = failure.error.to_string();
    file.close(database, &why);
    // A file opened anew shows what a failed commit left undone: the lock keeps all others out, so what is not
    // there now never will be.
    let reopened = failure.may_be_written.then(|| file.writable());
    for change in changes {
        let unclear = match &reopened {
            None => false,
            Some(Ok(database)) => !change.is_absent(database),
            Some(Err(_)) => true,
        };
        change.fail(&why, unclear);
    }
}
