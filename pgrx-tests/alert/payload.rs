//! The payload that listeners of the channel get.

use serde_json::{Value, json};

use super::super::entry::Entry;
use super::{MAX_PAYLOAD, payload};

fn entries(count: usize, summary: &str) -> Vec<Entry> {
    let entry = |n: usize| {
        serde_json::from_value(json!({
            "issue": n, "occasion": "new", "severity": "critical", "kind": "disputed",
            "invoice": "1", "number": "INV-1", "object": null, "summary": summary,
            "evidence": {}, "since": "2026-11-23 14:05",
        }))
        .expect("it is an entry")
    };
    (1..=count).map(entry).collect()
}

fn parsed_payload(count: usize, summary: &str) -> Value {
    let text = payload(4, 9, &entries(count, summary), Entry::to_json);
    assert!(text.len() <= MAX_PAYLOAD, "{} bytes", text.len());
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn all_issues_are_listed_if_they_fit() {
    let payload = parsed_payload(3, "A sentence.");
    assert_eq!(
        (&payload["alert"], &payload["run"], &payload["new"]),
        (&json!(4), &json!(9), &json!(3))
    );
    assert_eq!(payload["issues"][2]["id"], 3);
    assert_eq!(payload["issues_left_out"], 0);
}

#[test]
fn issues_that_do_not_fit_are_counted() {
    for summary in ["A sentence.", &"株".repeat(5_000)] {
        let payload = parsed_payload(500, summary);
        let listed = payload["issues"].as_array().expect("a list").len();
        assert!(listed > 0 && listed < 500, "{listed}");
        assert_eq!(payload["issues_left_out"], 500 - listed);
        assert_eq!(payload["new"], 500, "the count is of all");
    }
}
