//! The pages in docs/ agree with the tests: every test that a page names exists, and the examples of docs/money.md are
//! cases of the tests.

pub mod blocks;
mod hosts;
pub mod links;
pub mod money;
pub mod reference;
mod shell;
mod slack;
mod tutorial;

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a page of docs/.
fn page(name: &str) -> String {
    let path = root().join("docs").join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

/// All sources of tests below `directory`, each with its modules by the path.
fn sources(directory: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).expect("is a directory") {
        let path = entry.expect("is readable").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let modules = path.with_extension("").display().to_string();
            let text = std::fs::read_to_string(&path).expect("is text");
            into.push((modules.replace('/', "::"), text));
        }
    }
}

/// The tests that a page names: in backticks, with their modules.
fn named_tests(page: &str) -> Vec<&str> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::") && !name.ends_with('…'))
        .collect()
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut tests = Vec::new();
    sources(&root().join("pgrx-tests"), &mut tests);
    for (file, at_least) in [("security.md", 20), ("money.md", 10)] {
        let page = page(file);
        let named = named_tests(&page);
        assert!(named.len() > at_least, "{file}: {named:?}");
        for name in named {
            let exists = match name.rsplit_once("::") {
                Some((module, "")) => tests.iter().any(|(path, _)| path.ends_with(module)),
                Some((module, test)) => tests.iter().any(|(path, text)| {
                    path.ends_with(&format!("::{module}"))
                        && [
                            format!("#[test]\nfn {test}()"),
                            format!("#[pg_test]\n    fn {test}()"),
                        ]
                        .iter()
                        .any(|declared| text.contains(declared))
                }),
                None => false,
            };
            assert!(
                exists,
                "docs/{file} names {name}, and there is no such test"
            );
        }
    }
}
