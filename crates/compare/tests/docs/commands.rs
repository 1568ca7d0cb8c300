//! Commands and presets on the pages are those of the program.

use super::pages::{pages, read, root};
use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

fn compare(args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(args)
        .env("NEARFAR_DATASETS", root().join("datasets"))
        .output()
        .unwrap()
}

/// The arguments of every call of the program in the fenced code of a page. A call ends with its line, unless that ends
/// with a backslash, and before a comment or two spaces.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let (mut fenced, mut call) = (false, String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            fenced = !fenced;
            call.clear();
        } else if fenced {
            if let Some(part) = line.strip_suffix('\\') {
                call += part.trim_end();
                call.push(' ');
            } else {
                call += line;
                found.extend(arguments(&call));
                call.clear();
            }
        }
    }
    found
}

/// The arguments of one call, if it is one of the program.
fn arguments(call: &str) -> Option<Vec<String>> {
    let call = call.split("  ").next()?.split(" #").next()?;
    let words: Vec<String> = call.split_whitespace().map(str::to_owned).collect();
    let word = |at: usize| words.get(at).map(String::as_str);
    match (word(0)?, word(1)) {
        ("compare", _) => Some(words[1..].to_vec()),
        ("cargo", Some("run")) if words.iter().any(|word| word == "compare") => {
            Some(words.iter().skip_while(|word| *word != "--").skip(1).cloned().collect())
        }
        _ => None,
    }
}

/// With `--help` behind them, arguments are read and nothing is run.
#[test]
fn every_command_is_understood() {
    let mut calls: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for page in pages() {
        for call in commands(&read(&page)) {
            calls.entry(call).or_insert_with(|| page.display().to_string());
        }
    }
    assert!(calls.len() > 50, "{} commands: the pages were not read", calls.len());
    let refused = |(call, page): (&Vec<String>, &String)| {
        let mut args = call.clone();
        args.push("--help".to_owned());
        let output = compare(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then(|| format!("{page}: compare {}\n{message}", call.join(" ")))
    };
    let refused: Vec<String> = calls.iter().filter_map(refused).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let unknown = compare(&["run", "--bogus", "--help"].map(str::to_owned));
    assert_eq!(unknown.status.code(), Some(2), "an unknown option must not pass");
}

#[test]
fn calls_are_found() {
    let text = "cargo run -p compare -- list\n```sh\ncargo run -p compare   # all\ncompare run --seeds 3 \\\n    --methods \
                a,b\ncargo test\n$ compare\ncargo run --release -p compare --features cuda -- list  says what there is\n```\n";
    let calls: Vec<String> = commands(text).iter().map(|call| call.join(" ")).collect();
    assert_eq!(calls, ["", "run --seeds 3 --methods a,b", "list"]);
}

#[test]
fn the_presets_are_those_of_the_program() {
    let output = compare(&["list".to_owned()]);
    let list = String::from_utf8(output.stdout).unwrap();
    let presets = list.lines().skip_while(|line| *line != "presets").skip(1).take_while(|line| !line.is_empty());
    // `quick   3000 images, 4 epochs, 3 seeds`
    let row = |line: &str| {
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        format!("| `{}` | {} | {} | {} |", words[0], words[1], words[3], words[5])
    };
    let rows: Vec<String> = presets.map(row).collect();
    assert_eq!(rows.len(), 3, "{list}");
    let page = read(&root().join("docs/command-line.md"));
    for row in rows {
        assert!(page.lines().any(|line| line.replace(',', "") == row), "docs/command-line.md lacks `{row}`");
    }
}
