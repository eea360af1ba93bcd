//! Every test that docs/security.md names exists.

use std::path::Path;

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

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    sources(&root.join("pgrx-tests"), &mut tests);
    let page = std::fs::read_to_string(root.join("docs/security.md")).expect("there is a page");
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::") && !name.ends_with('…'))
        .collect();
    assert!(named.len() > 20, "{named:?}");
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
            "docs/security.md names {name}, and there is no such test"
        );
    }
}
