//! Rewriting the log's file without what was trimmed: redb leaves removed records in pages that it does not
//! use any more. What is left is copied to a new file, which takes the old one's name.

use std::{io, sync::Arc};

use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::{BOUNDS, RECORDS};
use crate::embedded::{
    file::{DataFile, Failed, open, opened},
    folder::Folder,
    transaction,
};

/// Name of the new file until it is whole.
const NEW_FILE: &str = "parlor-log.redb.new";

/// Removes what a crash left of a rewriting.
pub(in crate::embedded) fn forget_unfinished(folder: &Arc<dyn Folder>) -> io::Result<()> {
    folder.remove(NEW_FILE)
}

/// Rewrites the file. Until the new one has its name, the old one is what counts.
pub(super) fn rewrite(file: &DataFile) -> Result<(), Failed> {
    let folder = file.folder();
    let failed = |error: redb::Error| Failed::new(folder, NEW_FILE, error);
    let old = file.writable();
    let old = old.map_err(|why| failed(redb::Error::Corrupted(why)))?;
    forget_unfinished(folder).map_err(|error| failed(redb::Error::Io(error)))?;
    let written = write_new(folder, &old);
    if written.is_err() {
        // It may be the disk that is full; the next attempt removes it too.
        let _ = forget_unfinished(folder);
    }
    written?;
    drop(old);
    file.replace_by(NEW_FILE)
}

fn write_new(folder: &Arc<dyn Folder>, old: &Database) -> Result<(), Failed> {
    let new = open(folder, NEW_FILE)?;
    let failed = |error| Failed::new(folder, NEW_FILE, error);
    copy(old, &new).map_err(failed)?;
    new.close().map_err(|error| failed(error.into()))
}

fn copy(old: &Database, new: &Database) -> Result<(), redb::Error> {
    let from = old.begin_read()?;
    let to = transaction::begin(new)?;
    {
        let mut records = to.open_table(RECORDS)?;
        let mut bounds = to.open_table(BOUNDS)?;
        if let Some(old) = opened(from.open_table(BOUNDS))? {
            for entry in old.iter()? {
                let (pp, found) = entry?;
                bounds.insert(pp.value(), found.value())?;
            }
        }
        if let Some(old) = opened(from.open_table(RECORDS))? {
            for entry in old.iter()? {
                let (at, record) = entry?;
                records.insert(at.value(), record.value())?;
            }
        }
    }
    to.commit()?;
    Ok(())
}
