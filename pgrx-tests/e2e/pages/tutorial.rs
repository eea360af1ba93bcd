//! docs/tutorial.md shows what psql shows: its blocks run one after the other, and the output of each is compared. With
//! INVOICE_SYNC_WRITE in the environment, the page is written instead.

use std::process::Command;

use stripe_double::Checkout;

use super::{page, root};
use crate::harness::Shop;

/// The page's text up to a block, the block, and what is shown below it.
struct Step<'a> {
    before: &'a str,
    block: &'a str,
    shown: &'a str,
}

/// Returns the steps of a page, and the text after the last one.
fn steps(page: &str) -> (Vec<Step<'_>>, &str) {
    let (mut steps, mut rest) = (Vec::new(), page);
    while let Some((before, after)) = rest.split_once("```sql\n") {
        let (block, after) = after.split_once("```\n").expect("the block ends");
        let output = after.strip_prefix("\n```text\n");
        let output = output.and_then(|text| text.split_once("```\n"));
        let (shown, after) = output.unwrap_or(("", after));
        steps.push(Step {
            before,
            block,
            shown,
        });
        rest = after;
    }
    (steps, rest)
}

/// Returns what psql shows of a script.
fn shown(database: &str, script: &str) -> String {
    let psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c"])
        .arg("\\pset pager off")
        .args(script.split_inclusive(";\n").flat_map(|it| ["-c", it]))
        .output()
        .expect("psql runs");
    let said = String::from_utf8_lossy(&psql.stderr);
    assert!(psql.status.success(), "{script}\n{said}");
    let output = String::from_utf8_lossy(&psql.stdout).into_owned();
    let output = output.replace("Pager usage is off.\n", "");
    let lines = output.lines().map(|line| format!("{}\n", line.trim_end()));
    let text: String = lines.collect();
    match text.trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

#[test]
fn the_tutorial_shows_what_psql_shows() {
    let mut shop = Shop::with_tables("select 1");
    shop.not_at_rest("its tables were not adopted when it was made");
    let checkout = || Checkout::new(12_500, "usd");
    let paid = shop.stripe.checkout(checkout()).pay().session_id();
    let open = shop.stripe.checkout(checkout()).session_id();
    let text = page("tutorial.md");
    let (steps, rest) = steps(&text);
    let mut now = String::new();
    for step in &steps {
        let script = step.block.replace("cs_test_paid", &paid);
        let output = shown(shop.name(), &script.replace("cs_test_open", &open));
        now += &format!("{}```sql\n{}```\n", step.before, step.block);
        if !output.is_empty() {
            now += &format!("\n```text\n{output}```\n");
        }
    }
    now += rest;
    if std::env::var_os("INVOICE_SYNC_WRITE").is_some() {
        std::fs::write(root().join("docs/tutorial.md"), &now).expect("it is written");
        return;
    }
    let shown = steps.iter().filter(|step| !step.shown.is_empty()).count();
    assert!(shown > 5, "only {shown} outputs are shown");
    assert!(
        now == text,
        "docs/tutorial.md differs: `make reference` writes it\n{now}"
    );
}
