//! Every link of a page to a file or a heading of this repository leads somewhere.

use std::path::{Path, PathBuf};

use super::root;

/// Returns README.md, CONTRIBUTING.md, CHANGELOG.md and all pages below docs/, bench/, examples/ and docker/.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["docs", "bench", "examples", "docker"] {
        markdown(&root().join(directory), &mut found);
    }
    found.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)));
    found
}

fn markdown(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("is a directory") {
        let path = entry.expect("is readable").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            markdown(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "md") {
            found.push(path);
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the lines that are not in a block of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the anchors of the headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    prose(page)
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_or_a_heading() {
    let mut seen = 0;
    for path in pages() {
        let page = text(&path);
        let whole: String = prose(&page).collect::<Vec<_>>().join(" ");
        for link in whole
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("is in a directory").join(file),
            };
            assert!(target.exists(), "{}: {link} does not exist", path.display());
            let has_heading =
                anchor.is_empty() || anchors(&text(&target)).iter().any(|it| it == anchor);
            assert!(has_heading, "{}: {link} is no heading", path.display());
        }
    }
    assert!(seen > 50, "only {seen} links were found");
}

#[test]
fn the_readme_is_short() {
    let lines = text(&root().join("README.md")).lines().count();
    assert!(
        lines <= 150,
        "README.md has {lines} lines: move what is for readers of docs/ there"
    );
}
