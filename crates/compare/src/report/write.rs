//! The files of a report: written whole or not at all, and read back.

use super::{Figures, Report, ReportError, SCHEMA, csv, html, markdown};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// The file that all others can be made from again.
const JSON: &str = "report.json";

/// The samples behind the pictures of the page.
const FIGURES: &str = "figures.json";

/// Writes `report.json`, `report.md`, `report.csv`, `index.html` and, if there are pictures, `figures.json` into `dir`,
/// which is made if it is not there. Without pictures, an old `figures.json` goes: it would belong to no row.
///
/// What is derived is derived anew, so that it fits the rows. Each file replaces its predecessor at once: a reader
/// finds the old one or the new one, never a part, even if the process ends on the way.
///
/// # Errors
/// When the folder or a file cannot be written. The other files are written nevertheless.
pub fn write(report: &Report, figures: &Figures, dir: &Path) -> Result<(), ReportError> {
    let mut report = report.clone();
    report.summarize();
    let json = serde_json::to_string_pretty(&report).map(|text| text + "\n");
    let mut files = vec![
        (JSON, json.map_err(|error| ReportError::Render { file: JSON, reason: error.to_string() })),
        ("report.csv", csv::render(&report)),
        ("report.md", Ok(markdown::render(&report))),
        ("index.html", html::render(&report, figures)),
    ];
    if !figures.sets.is_empty() {
        let json = serde_json::to_string(figures).map(|text| text + "\n");
        files.push((FIGURES, json.map_err(|error| ReportError::Render { file: FIGURES, reason: error.to_string() })));
    }
    make_folder(dir)?;
    let mut outcome = Ok(());
    for (name, text) in files {
        outcome = outcome.and(text.and_then(|text| replace(&dir.join(name), text.as_bytes())));
    }
    if figures.sets.is_empty() {
        outcome = outcome.and(remove(&dir.join(FIGURES)));
    }
    outcome
}

/// Makes `dir` if it is not there and proves that files can be made in it, so that a run fails before it trains instead
/// of after. Leaves no file behind.
///
/// # Errors
/// When the folder cannot be made or no file can be written into it.
pub fn check_writable(dir: &Path) -> Result<(), ReportError> {
    if dir.is_file() {
        return Err(ReportError::IsFile { path: dir.to_owned() });
    }
    make_folder(dir)?;
    let probe = temporary(&dir.join(JSON));
    write_through(&probe, b"{}\n").and_then(|()| fs::remove_file(&probe)).map_err(|source| ReportError::Write {
        action: "write into the folder",
        path: dir.to_owned(),
        source,
    })
}

/// Reads the report of a folder, or the file itself.
///
/// # Errors
/// When the file cannot be read, has another schema, or is not a report; the error names line and column.
pub fn read(path: &Path) -> Result<Report, ReportError> {
    /// The schema alone, so that another layout is named as such and not as damage.
    #[derive(Deserialize)]
    struct Head {
        schema: Value,
    }
    let path = if path.is_dir() { path.join(JSON) } else { path.to_owned() };
    let text = fs::read_to_string(&path).map_err(|source| ReportError::Read { path: path.clone(), source })?;
    let malformed = |source| ReportError::Malformed { path: path.clone(), source };
    let Head { schema } = serde_json::from_str(&text).map_err(malformed)?;
    if schema != SCHEMA {
        let (origin, found) = (path.display().to_string(), schema.to_string());
        return Err(ReportError::Schema { origin, found, expected: SCHEMA });
    }
    serde_json::from_str(&text).map_err(malformed)
}

/// Reads the pictures that lie beside the report of a folder, or beside the file itself; none if there is no such file.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub fn read_figures(path: &Path) -> Result<Figures, ReportError> {
    let path = if path.is_dir() { path.join(FIGURES) } else { path.with_file_name(FIGURES) };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Figures::default()),
        text => text.map_err(|source| ReportError::Read { path: path.clone(), source })?,
    };
    serde_json::from_str(&text).map_err(|source| ReportError::Malformed { path, source })
}

fn make_folder(dir: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| ReportError::Write {
        action: "make the folder",
        path: dir.to_owned(),
        source,
    })
}

/// Removes a file, if there is one.
fn remove(path: &Path) -> Result<(), ReportError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ReportError::Write { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Puts `content` at `path` by way of a file beside it: a rename within a folder is atomic.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let temporary = temporary(path);
    write_through(&temporary, content).and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        // The error that counts is the first one, and a file that stays behind is hidden and harmless.
        let _ = fs::remove_file(&temporary);
        ReportError::Write { action: "write", path: path.to_owned(), source }
    })
}

/// Writes a new file down to the disk, as a rename may reach it before the content does.
fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A hidden name beside `path` that no other thread or process uses.
fn temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{figures, head_to_head};

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let mut report = head_to_head();
        report.rows[1].notes.push("a note".into());
        report.rows[1].checkpoint = Some("checkpoints/triplet-1".into());
        write(&report, &Figures::default(), &out).unwrap();
        assert_eq!(names(&out), ["index.html", "report.csv", "report.json", "report.md"]);
        assert_eq!(read_figures(&out).unwrap(), Figures::default());
        let mut found = read(&out).unwrap();
        assert_eq!(found.rows, report.rows);
        assert_eq!(read(&out.join("report.json")).unwrap(), found);
        // Means may lose their last bit as text; from equal rows they come out equal.
        found.summarize();
        report.summarize();
        assert_eq!(found, report);
    }

    #[test]
    fn pictures_lie_beside_the_report() {
        let dir = tempfile::tempdir().unwrap();
        write(&head_to_head(), &figures(), dir.path()).unwrap();
        assert!(names(dir.path()).contains(&"figures.json".to_owned()));
        assert_eq!(read_figures(dir.path()).unwrap(), figures());
        assert_eq!(read_figures(&dir.path().join("report.json")).unwrap(), figures());
        write(&head_to_head(), &Figures::default(), dir.path()).unwrap();
        assert_eq!(read_figures(dir.path()).unwrap(), Figures::default());
        fs::write(dir.path().join("figures.json"), "{").unwrap();
        let error = read_figures(dir.path()).unwrap_err().to_string();
        assert!(error.contains("figures.json is damaged"), "{error}");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        fs::write(&path, "a much longer text than the new one").unwrap();
        // A reader that holds the old file open keeps the old text: the new one is another file.
        let mut old = File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(io::read_to_string(&mut old).unwrap(), "a much longer text than the new one");
        assert_eq!(names(dir.path()), ["report.json"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_files() {
        let dir = tempfile::tempdir().unwrap();
        // A folder in the place of a file cannot be replaced by a rename.
        fs::create_dir_all(dir.path().join("report.csv/full")).unwrap();
        let error = write(&head_to_head(), &Figures::default(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("report.csv") && error.contains("--out"), "{error}");
        assert_eq!(names(dir.path()), ["index.html", "report.csv", "report.json", "report.md"]);
    }

    #[test]
    fn writing_is_checked_before() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new");
        check_writable(&out).unwrap();
        assert!(names(&out).is_empty());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = check_writable(&file).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the folder") && error.ends_with("choose another with --out"), "{error}");
    }

    #[test]
    fn bad_files_are_named_with_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        let error = |text: &str| {
            fs::write(&path, text).unwrap();
            read(dir.path()).unwrap_err()
        };
        assert!(matches!(read(dir.path()), Err(ReportError::Read { .. })));
        let text = error("{ \"schema\": 2, \"rows\": 7 }").to_string();
        assert!(text.contains("report.json has schema 2, this version reads schema 1"), "{text}");
        let text = error("{ \"schema\": 1,\n  oops }").to_string();
        assert!(text.contains("report.json is damaged") && text.contains("line 2"), "{text}");
        let text = error("{ \"schema\": 1 }").to_string();
        assert!(text.contains("missing field"), "{text}");
        assert!(matches!(error("[]"), ReportError::Malformed { .. }));
        assert!(matches!(error("{}"), ReportError::Malformed { .. }));
    }
}
