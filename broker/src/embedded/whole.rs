//! Whether the files of a folder belong together: a file that was lost, or left out of a back-up, must not be
//! made anew in silence. The tables of the log are made first, then those of the index, then both are used.

use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _};

use super::{
    file::{DataFile, Failed, opened},
    log::BOUNDS,
    store::Values,
};

/// Refuses a folder in which one file is new and another is not.
pub(super) fn check(log: &DataFile, index: &DataFile, values: &Values) -> Result<(), Failed> {
    let of = |file: &DataFile, error| file.failed(error);
    let missing =
        |why: &str| redb::Error::Corrupted(format!("it is missing or empty, though {why}"));
    let (log_is_new, log_is_used) =
        look(log, |database| Ok((is_new(database)?, is_used(database)?)))?;
    let index_is_new = look(index, is_new)?;
    if log_is_new && !index_is_new {
        return Err(of(log, missing("there is a store beside it")));
    }
    if index_is_new && log_is_used {
        return Err(of(index, missing("there is a log beside it")));
    }
    if index_is_new
        && values
            .is_used()
            .map_err(|error| of(index, redb::Error::Io(error)))?
    {
        return Err(of(index, missing("there are values beside it")));
    }
    Ok(())
}

fn look<T>(
    file: &DataFile,
    look: impl FnOnce(&Database) -> Result<T, redb::Error>,
) -> Result<T, Failed> {
    let database = file.database().map_err(redb::Error::Corrupted);
    database
        .and_then(|database| look(&database))
        .map_err(|error| file.failed(error))
}

fn is_new(database: &Database) -> Result<bool, redb::Error> {
    Ok(database.begin_read()?.list_tables()?.next().is_none())
}

/// Whether a record was ever written.
fn is_used(database: &Database) -> Result<bool, redb::Error> {
    match opened(database.begin_read()?.open_table(BOUNDS))? {
        Some(bounds) => Ok(!bounds.is_empty()?),
        None => Ok(false),
    }
}
