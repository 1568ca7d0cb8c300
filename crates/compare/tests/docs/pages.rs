//! Which pages there are, and how they are read.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Pages outside `docs` that a reader comes from.
const OTHERS: [&str; 4] = ["README.md", "benches/README.md", "datasets/README.md", "experiments/README.md"];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All Markdown files below `dir`, sorted.
pub fn markdown(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(markdown(&path));
        } else if is_markdown(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Every page that is checked: those above, those of the crates, and the book.
pub fn pages() -> Vec<PathBuf> {
    let root = root();
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("README.md"));
    let mut pages: Vec<PathBuf> = OTHERS.iter().map(|page| root.join(page)).collect();
    pages.extend(crates.filter(|page| page.exists()));
    pages.extend(markdown(&root.join("docs")));
    pages
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a page outside fenced code.
pub fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines
}
