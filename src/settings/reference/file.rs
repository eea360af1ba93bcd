//! A secret in a file that only the server's user may read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use crate::pg::Problem;
use crate::pg::identity::server_user_id;
use crate::settings::secret::wipe;

/// More than any list of secrets needs.
const LONGEST_FILE: u64 = 4096;

/// Any permission of group or others.
const OTHERS_PERMISSIONS: u32 = 0o077;

const ROOT: u32 = 0;

/// The file's text. Errors name the setting and the path, never the contents.
pub(super) fn read(path: &str, setting: &str) -> Result<String, Problem> {
    let place = format!("Parameter \"{setting}\" leads to file \"{path}\".");
    // A pipe would wait for its writer: O_NONBLOCK makes opening one harmless, and
    // then it is refused, as is everything else that is not a plain file. Symbolic
    // links are followed (containers mount secrets as such); what counts is the
    // owner and mode of the file that was opened.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| unreadable(&error, &place))?;
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(&error, &place))?;
    check_privacy(&metadata, &place)?;
    read_text(file, &place)
}

fn check_privacy(metadata: &Metadata, place: &str) -> Result<(), Problem> {
    if !metadata.is_file() {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            "the secret's file is not a regular file",
        )
        .detail(place));
    }
    if metadata.uid() != server_user_id() && metadata.uid() != ROOT {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the secret's file belongs to another user",
        )
        .detail(place)
        .hint("Make the server's user its owner, with permissions 0600."));
    }
    if metadata.mode() & OTHERS_PERMISSIONS != 0 {
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the secret's file is open to others than the server's user",
        )
        .detail(format!(
            "{place} Its permissions are {:04o}.",
            metadata.mode() & 0o7777
        ))
        .hint("Set its permissions to 0600."));
    }
    Ok(())
}

fn read_text(file: File, place: &str) -> Result<String, Problem> {
    // Room for everything, so that growing leaves no copy behind.
    let mut bytes = Vec::with_capacity(LONGEST_FILE as usize + 1);
    file.take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error, place))?;
    if bytes.len() as u64 > LONGEST_FILE {
        wipe(bytes);
        return Err(Problem::new(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            "the secret's file is too long",
        )
        .detail(format!("{place} At most {LONGEST_FILE} bytes are read."))
        .hint("Store the key alone, on one line, as it was given to you."));
    }
    String::from_utf8(bytes).map_err(|error| {
        wipe(error.into_bytes());
        Problem::new(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            "the secret's file is not text",
        )
        .detail(place)
    })
}

/// The causes that a person can mend have a code of their own.
fn unreadable(error: &io::Error, place: &str) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        io::ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    Problem::new(code, "could not read the secret's file")
        .detail(format!("{place} The operating system says: {error}."))
        .hint("The file must exist on the database server and be readable by the server's user.")
}
