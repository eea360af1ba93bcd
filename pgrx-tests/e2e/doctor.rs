//! `doctor()` names each missing requirement, and its hint fixes it.

mod stripe;
mod tables;
mod walk;

use std::io::Write;
use std::process::{Command, Stdio};

use postgres::Client;

use crate::harness::Shop;
use crate::harness::server::attempt;

/// A row of `doctor()`.
#[derive(Clone, Debug)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    hint: String,
}

fn examine(db: &mut Client) -> Vec<Check> {
    let rows = db.query(
        "select \"check\", ok, detail, coalesce(hint, '') from invoice_sync.doctor()",
        &[],
    );
    let rows = rows.unwrap_or_else(|error| panic!("{}", crate::harness::tell(&error)));
    rows.iter()
        .map(|row| Check {
            name: row.get(0),
            ok: row.get(1),
            detail: row.get(2),
            hint: row.get(3),
        })
        .collect()
}

fn bad(checks: &[Check]) -> Vec<&str> {
    let bad = checks.iter().filter(|check| !check.ok);
    bad.map(|check| check.name.as_str()).collect()
}

fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks
        .iter()
        .find(|check| check.name == name)
        .unwrap_or_else(|| panic!("no check \"{name}\" in {checks:#?}"))
}

/// The check of that name.
fn look(shop: &mut Shop, name: &str) -> Check {
    find(&examine(&mut shop.db), name).clone()
}

/// A line for the shell, which may read `input`.
fn run_in_shell(line: &str, input: &str) {
    let mut shell = Command::new("bash")
        .args(["-c", line])
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let mut stdin = shell.stdin.take().expect("it was piped");
    // Not every line reads it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let status = shell.wait().expect("it ends");
    assert!(status.success(), "{line}: {status}");
}

/// Does what the hint of the check says, and looks again.
fn mend(shop: &mut Shop, check: &Check) -> Check {
    for line in check.hint.lines() {
        match line.strip_prefix("$ ") {
            Some(line) => run_in_shell(line, ""),
            None if line == "\\connect -" => shop.db = shop.connect(),
            None => attempt(&mut shop.db, line).unwrap_or_else(|error| panic!("{line}: {error:?}")),
        }
    }
    look(shop, &check.name)
}
