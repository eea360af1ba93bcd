//! The examples of docs/money.md: each is a case of `in_the_wild` or `money_cases`, with what the test expects.
//!
//! A case of `in_the_wild` compares itself with the page when it runs, because only then is it known which lines of its
//! books are invoices.

use std::collections::BTreeMap;

use super::{page, root, sources};
use crate::money_cases;

/// The header of the page's tables of examples.
const HEADER: &str = "| example | invoice | payments | issues |";

/// The row of an example.
pub fn row(name: &str, invoices: &str, payments: &str, issues: &str) -> String {
    format!("| {name} | {invoices} | {payments} | {issues} |")
}

/// Writes kinds of issues as the page does.
pub fn issues<'a>(kinds: impl Iterator<Item = &'a str>) -> String {
    let kinds: Vec<String> = kinds.map(|kind| format!("`{kind}`")).collect();
    or_none(kinds.join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "–".to_owned()
    } else {
        text
    }
}

/// Writes the books of `in_the_wild`, of which the first lines are invoices, as the page does.
pub fn invoices_and_payments(books: &[&str], invoices: usize) -> [String; 2] {
    let written = |line: &&str, invoice: bool| {
        let mut words = line
            .rsplitn(3, ' ')
            .map(|word| word.trim_end_matches(".00"));
        let (second, first) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let status = words.next().unwrap_or("");
        match (invoice, second) {
            (true, due) => format!("{status}, {first} paid, {due} due"),
            (false, "0") => format!("{status} {first}"),
            (false, gratuity) => format!("{status} {first} + {gratuity}"),
        }
    };
    let (invoices, payments) = books.split_at(invoices);
    let join = |lines: &[&str], invoice| {
        let lines: Vec<String> = lines.iter().map(|line| written(line, invoice)).collect();
        or_none(lines.join("; "))
    };
    [join(invoices, true), join(payments, false)]
}

/// Fails unless the page has this row.
pub fn expect_row(row: &str) {
    assert!(
        page("money.md").lines().any(|line| line == row),
        "docs/money.md does not have this example as the test has it:\n{row}"
    );
}

/// The rows of the page's tables of examples, by their names.
fn examples(page: &str) -> BTreeMap<String, String> {
    let mut examples = BTreeMap::new();
    let mut of_examples = false;
    for line in page.lines() {
        let is_row = line.starts_with("| ");
        of_examples = line == HEADER || of_examples && line.starts_with('|');
        if of_examples && is_row && line != HEADER {
            let name = line.split(" | ").next().expect("a first cell");
            let name = name.trim_start_matches("| ").to_owned();
            let twice = examples.insert(name, line.to_owned());
            assert_eq!(twice, None, "docs/money.md has an example twice");
        }
    }
    examples
}

/// The tests of `in_the_wild`, each with its module and text.
fn tests_in_the_wild() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&root().join("pgrx-tests/e2e/in_the_wild"), &mut files);
    let mut tests = Vec::new();
    for (path, text) in files {
        let module = path.rsplit("::").next().unwrap_or("").to_owned();
        let bodies = text.split("#[test]").skip(1);
        tests.extend(bodies.map(|body| (module.clone(), body.to_owned())));
    }
    assert!(tests.len() > 40, "{}", tests.len());
    tests
}

/// The names of the cases in the text of a test.
fn names(test: &str) -> impl Iterator<Item = &str> {
    test.split("Case::new(").skip(1).map(|after| {
        let mut parts = after.split('"');
        assert_eq!(
            parts.next().map(str::trim),
            Some(""),
            "a case begins with its name"
        );
        parts.next().expect("a name")
    })
}

#[test]
fn every_example_is_a_case_and_every_case_of_in_the_wild_an_example() {
    let page = page("money.md");
    let mut examples = examples(&page);
    for (module, test) in tests_in_the_wild() {
        let mut cases = 0;
        for name in names(&test) {
            cases += 1;
            assert!(
                examples.remove(name).is_some(),
                "docs/money.md has no example {name:?}, or two cases have this name"
            );
        }
        let function = test.trim().trim_start_matches("fn ");
        let function = function.split('(').next().unwrap_or("");
        assert!(
            cases > 0 || page.contains(&format!("`in_the_wild::{module}::{function}`")),
            "docs/money.md does not name the test in_the_wild::{module}::{function}, which has no case"
        );
    }
    // Of the many cases of `money_cases`, the page has those that show a rule.
    let cases: BTreeMap<&str, String> = money_cases::examples();
    for (name, line) in examples {
        let row = cases.get(name.as_str());
        assert_eq!(
            Some(&line),
            row,
            "docs/money.md has an example that is not as the test has it"
        );
    }
}

#[test]
fn the_page_names_every_kind_of_issue() {
    let page = page("money.md");
    let kinds = std::fs::read_to_string(root().join("src/domain/issue.rs")).expect("is text");
    let kinds: Vec<&str> = kinds
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split(" => \"").nth(1))
        .filter_map(|rest| rest.strip_suffix("\","))
        .filter(|word| !["notice", "warning", "critical"].contains(word))
        .collect();
    assert_eq!(kinds.len(), 20, "{kinds:?}");
    for kind in kinds {
        assert!(
            page.contains(&format!("`{kind}`")),
            "docs/money.md does not name the issue {kind}"
        );
    }
}
