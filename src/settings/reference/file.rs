//! A secret in a file that only the server's user may read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::Problem;
use crate::pg::identity::server_user_id;
use crate::settings::secret::wipe;

/// Larger than any list of secrets.
const MAX_FILE_BYTES: u64 = 4096;

/// The permissions of group and others.
const OTHERS_PERMISSIONS: u32 = 0o077;

const ROOT: u32 = 0;

/// Returns the file's text. Errors name the setting and the path, never the contents.
pub(super) fn read(path: &str, setting: &str) -> Result<String, Problem> {
    let reference = format!("Parameter \"{setting}\" refers to file \"{path}\".");
    // O_NONBLOCK, because opening a pipe would wait for its writer. A pipe is then rejected, as is every file that is
    // not a regular one. Symbolic links are followed, because containers mount secrets as links; owner and mode are
    // checked on the file that was opened.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| unreadable(&error, &reference))?;
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(&error, &reference))?;
    check_privacy(&metadata, &reference)?;
    read_text(file, &reference)
}

fn check_privacy(metadata: &Metadata, reference: &str) -> Result<(), Problem> {
    if !metadata.is_file() {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            "the secret's file is not a regular file",
        )
        .detail(reference));
    }
    if metadata.uid() != server_user_id() && metadata.uid() != ROOT {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the secret's file is owned by another user",
        )
        .detail(reference)
        .hint("Change its owner to the server's user, and its permissions to 0600."));
    }
    if metadata.mode() & OTHERS_PERMISSIONS != 0 {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the secret's file is accessible to users other than the server's user",
        )
        .detail(format!(
            "{reference} Its permissions are {:04o}.",
            metadata.mode() & 0o7777
        ))
        .hint("Set its permissions to 0600."));
    }
    Ok(())
}

fn read_text(file: File, reference: &str) -> Result<String, Problem> {
    // Large enough for the whole file: a vector that grows would leave copies of the secret in freed memory.
    let mut bytes = Vec::with_capacity(MAX_FILE_BYTES as usize + 1);
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error, reference))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        wipe(bytes);
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            "the secret's file is too long",
        )
        .detail(format!(
            "{reference} At most {MAX_FILE_BYTES} bytes are read."
        ))
        .hint("Store only the key, on one line."));
    }
    String::from_utf8(bytes).map_err(|error| {
        wipe(error.into_bytes());
        Problem::new(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            "the secret's file is not text",
        )
        .detail(reference)
    })
}

/// Causes that the administrator can fix get their own SQLSTATE.
fn unreadable(error: &io::Error, reference: &str) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        io::ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    Problem::new(code, "could not read the secret's file")
        .detail(format!(
            "{reference} The operating system reported: {error}."
        ))
        .hint("The file must exist on the database server and be readable by the server's user.")
}
