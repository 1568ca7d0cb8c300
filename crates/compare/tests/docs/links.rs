//! Every link leads somewhere, the book has every page, and no page names a folder of one machine.

use super::pages::{is_markdown, markdown, pages, prose, read, root};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Folders that exist on the machine of whoever wrote a page, and on no other.
const MACHINE: [&str; 4] = ["/work", "/tmp", "/root", "/home"];

/// A line without what stands between backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Targets of the links and pictures of a page. A target never breaks over lines, what it stands behind may.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or("");
            found.push(target.to_owned());
        }
    }
    found
}

/// The names by which a page's headings can be linked to, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let name: String = shown(heading.trim())
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let times = seen.entry(name.clone()).or_default();
        found.insert(if *times == 0 { name } else { format!("{name}-{times}") });
        *times += 1;
    }
    found
}

/// A heading as it is shown: of a link its text alone.
fn shown(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, behind)) = rest.split_once("](") {
        text += before;
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    text + rest
}

/// Where a relative link of `page` leads nowhere, and why.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    let why = match anchor {
        _ if target.is_empty() => "no target",
        _ if file.starts_with('/') => "not relative",
        _ if !path.exists() => "no such file",
        Some(_) if !is_markdown(&path) => "only pages have anchors that stay",
        Some(anchor) if !anchors(&read(&path)).contains(anchor) => "no such heading",
        _ => return None,
    };
    Some(format!("{}: `{target}`: {why}", page.display()))
}

/// Folders of one machine in a text.
fn machine_paths(text: &str) -> Vec<&'static str> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '~' | '-' | '_' | '/');
    let named = |folder: &&'static str| {
        text.match_indices(*folder).any(|(at, _)| {
            let (before, behind) = (text[..at].chars().next_back(), text[at + folder.len()..].chars().next());
            !before.is_some_and(part) && !behind.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        })
    };
    MACHINE.into_iter().filter(named).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let links = links(&read(&page));
        count += links.len();
        wrong.extend(links.iter().filter_map(|target| broken(&page, target)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "{count} links: the pages were not read");
}

#[test]
fn the_book_has_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed = links(&read(&summary));
    let names: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(names.len(), listed.len(), "SUMMARY.md lists a page twice");
    let missing: Vec<_> = markdown(&docs)
        .into_iter()
        .filter(|page| *page != summary)
        .map(|page| page.strip_prefix(&docs).unwrap().to_string_lossy().replace('\\', "/"))
        .filter(|page| !names.contains(page))
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {}", missing.join(", "));
}

#[test]
fn no_page_names_a_folder_of_one_machine() {
    let wrong: Vec<String> = pages()
        .iter()
        .flat_map(|page| {
            machine_paths(&read(page)).into_iter().map(move |found| format!("{}: {found}", page.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_links_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.md");
    let text = "# One `two`, *three*\n\n## Same\n\n## Same\n\n```sh\n# [no](link.md)\n```\n\n[a](page.md#one-two-three) \
                `[code](nowhere.md)` [b](#same-1)\n[c](gone.md) [d](#gone) [e](file.rs#L3) [f](/page.md)\n[g]() \
                [h](https://example.org/x#y) ![i](file.rs \"title\")\n";
    fs::write(&page, text).unwrap();
    fs::write(dir.path().join("file.rs"), "").unwrap();
    let links = links(text);
    assert_eq!(links.len(), 9, "{links:?}");
    let wrong: Vec<&str> = links.iter().filter(|target| broken(&page, target).is_some()).map(String::as_str).collect();
    assert_eq!(wrong, ["gone.md", "#gone", "file.rs#L3", "/page.md", ""]);
}

#[test]
fn folders_of_one_machine_are_found() {
    assert_eq!(machine_paths("see /work/data and `/tmp`."), ["/work", "/tmp"]);
    assert_eq!(machine_paths("a network/work, https://x.org/tmp/a, ~/root, /workspace"), Vec::<&str>::new());
}
