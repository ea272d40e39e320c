//! Opening a data folder: one process at a time, and errors that say what to do.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, DatabaseError, StorageError};

/// The file that the owner of the folder holds locked.
const LOCK_FILE: &str = "parlor.lock";
/// The data.
const DATA_FILE: &str = "parlor.redb";

/// A data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something else has that name.
    #[error(
        "the data folder {} is not a folder; name another one or move what is there away",
        dir.display()
    )]
    NotAFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process has it.
    #[error(
        "the data folder {} is in use by another process{owner}; stop that one or name another folder",
        dir.display()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Its process id in words, where known.
        owner: String,
    },
    /// This user may not write there.
    #[error(
        "the data folder {} cannot be written to ({source}); \
         give this user the right to, or name another folder",
        dir.display()
    )]
    NotWritable {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full.
    #[error("there is no space left for the data folder {}; free some, then start again", dir.display())]
    Full {
        /// The folder.
        dir: PathBuf,
    },
    /// The file is not what was written to it.
    #[error(
        "the data in {} is damaged ({why}); restore the folder from a backup, or move it away to \
         start empty",
        dir.display()
    )]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else.
    #[error("the data folder {} cannot be opened: {why}", dir.display())]
    Failed {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// Makes the folder and locks it. The lock goes with the file.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(dir).map_err(|error| io_error(dir, error))?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options
        .open(dir.join(LOCK_FILE))
        .map_err(|error| io_error(dir, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message; a number is all that is ever written there.
            let _ = file.read_to_string(&mut owner);
            let owner = owner
                .trim()
                .parse()
                .map_or(String::new(), |pid: u32| format!(" ({pid})"));
            return Err(OpenError::Locked {
                dir: dir.to_owned(),
                owner,
            });
        }
        Err(TryLockError::Error(error)) => return Err(io_error(dir, error)),
    }
    let write_pid = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    let mut write_pid = write_pid;
    write_pid().map_err(|error| io_error(dir, error))?;
    Ok(file)
}

/// The data file of a folder.
pub(super) fn data_file(dir: &Path) -> PathBuf {
    dir.join(DATA_FILE)
}

/// Opens a data file with what all of them have in common.
pub(super) fn open(
    cache_bytes: usize,
    open: impl Fn(&Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder.set_repair_callback(|session| {
        let percent = (session.progress() * 100.0).round();
        tracing::info!(
            repair.percent = percent,
            "checking the data file after an unclean stop"
        );
    });
    let db = open(&builder)?;
    super::engine::create_tables(&db).map_err(|error| match error {
        redb::Error::Io(error) => error.into(),
        other => DatabaseError::Storage(StorageError::Corrupted(other.to_string())),
    })?;
    Ok(db)
}

/// Says what an error of the data file means for the folder.
pub(super) fn database_error(dir: &Path, error: DatabaseError) -> OpenError {
    let dir = dir.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked {
            dir,
            owner: String::new(),
        },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == ErrorKind::InvalidData =>
        {
            OpenError::Damaged {
                dir,
                why: error.to_string(),
            }
        }
        DatabaseError::Storage(StorageError::Io(error)) => io_error(&dir, error),
        DatabaseError::Storage(StorageError::Corrupted(why)) => OpenError::Damaged { dir, why },
        other => OpenError::Failed {
            dir,
            why: other.to_string(),
        },
    }
}

pub(super) fn io_error(dir: &Path, source: io::Error) -> OpenError {
    let dir = dir.to_owned();
    match source.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => OpenError::NotAFolder { dir },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            OpenError::NotWritable { dir, source }
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenError::Full { dir },
        _ => OpenError::Failed {
            dir,
            why: source.to_string(),
        },
    }
}
