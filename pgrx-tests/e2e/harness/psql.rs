//! Runs a script with psql.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs the script in this database until its first error. Returns whether it succeeded, and what psql said.
pub fn psql(database: &str, script: &[u8]) -> (bool, String) {
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let mut input = psql.stdin.take().expect("it was piped");
    // Fails where psql ended early; its own words are returned.
    let _ = input.write_all(script);
    drop(input);
    let ended = psql.wait_with_output().expect("psql ends");
    let messages = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.success(), messages)
}
