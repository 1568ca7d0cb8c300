//! `docs/library.md` quotes the examples, which are compiled: every quote is still theirs, and no example is left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/library.md")).unwrap()
}

/// Lines without their indentation.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn quotes_stand_in_the_example_named_before_them() {
    let page = page();
    let parts: Vec<&str> = page.split("```").collect();
    assert!(parts.len() % 2 == 1, "a code block is not closed");
    let mut quotes = 0;
    for (text, code) in parts.chunks_exact(2).map(|pair| (pair[0], pair[1])) {
        let Some(code) = code.strip_prefix("rust\n") else { continue };
        let start = text.rfind("](../crates/").expect("a quote names its example") + "](../".len();
        let path = text[start..].split(')').next().unwrap();
        let file = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (quoted, file) = (lines(code.trim_end()), lines(&file));
        assert!(file.windows(quoted.len()).any(|window| window == quoted), "{path} does not say\n{code}");
        quotes += 1;
    }
    assert!(quotes >= 8, "{quotes} quotes");
}

#[test]
fn every_example_is_named() {
    let page = page();
    let mut examples = 0;
    for part in ["core", "metric", "contrastive", "eval"] {
        for entry in fs::read_dir(root().join("crates").join(part).join("examples")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(page.contains(&format!("](../crates/{part}/examples/{name})")), "{part}: {name}");
            examples += 1;
        }
    }
    assert!(examples >= 20, "{examples} examples");
}
