//! The trials of a search, one JSON line each, on the disk as soon as they are done.

use super::{measure::Scores, propose::Origin, subject::Settings};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Name of the file in the folder of a search.
pub const FILE: &str = "trials.jsonl";

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The method whose settings were tried.
    pub method: String,
    /// Its number among the method's trials, from 1.
    pub trial: usize,
    /// Where the settings come from.
    pub origin: Origin,
    /// The settings by their path below the method's table.
    pub settings: Settings,
    /// What they are worth; none if the trial failed.
    pub value: Option<f64>,
    /// The scores on every fold.
    pub folds: Vec<Scores>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Time it took.
    pub seconds: f64,
}

/// The file and what stands in it.
#[derive(Debug)]
pub struct Journal {
    /// The trials, in the order in which they were made.
    pub trials: Vec<Trial>,
    file: File,
    path: PathBuf,
}

impl Journal {
    /// An empty journal in `dir`.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub fn create(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let file = match File::options().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| {
                    let dir = dir.display();
                    format!("{dir} holds a search already: go on with it by --resume {dir}, or choose another --out")
                });
            }
            file => file.with_context(|| format!("cannot write {}", path.display()))?,
        };
        Ok(Self { trials: Vec::new(), file, path })
    }

    /// The journal in `dir`, empty if there is none yet. A last line that was cut off while it was written is dropped,
    /// which the second value tells.
    ///
    /// # Errors
    /// When it cannot be read or written, or another line is damaged.
    pub fn open(dir: &Path) -> anyhow::Result<(Self, bool)> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let mut trials = Vec::new();
        for (number, line) in text[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            let trial: Trial = serde_json::from_slice(line)
                .with_context(|| format!("line {} of {} is damaged", number + 1, path.display()))?;
            trials.push(trial);
        }
        let writable = || format!("cannot write {}", path.display());
        let file = File::options().append(true).create(true).open(&path).with_context(writable)?;
        if whole < text.len() {
            file.set_len(whole as u64).with_context(writable)?;
        }
        Ok((Self { trials, file, path }, whole < text.len()))
    }

    /// Writes a trial down. What is kept is what a later reading of the file gives, so that a search does not depend on
    /// whether it was stopped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, trial: &Trial) -> anyhow::Result<&Trial> {
        let line = serde_json::to_string(trial)? + "\n";
        let read: Trial = serde_json::from_str(&line)?;
        ensure!(read.trial == trial.trial && read.value.is_some() == trial.value.is_some(), "not a number: {trial:?}");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.trials.push(read);
        Ok(self.trials.last().expect("it was just put there"))
    }

    /// The trials of one method, in their order.
    pub fn of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Trial> {
        self.trials.iter().filter(move |trial| trial.method == method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Value;

    fn trial(number: usize) -> Trial {
        let settings = [
            ("optimizer.learning_rate".to_owned(), Value::Float(0.1 + 0.2 / number as f64)),
            ("settings.queue".to_owned(), Value::Integer(4096)),
            ("settings.mining".to_owned(), Value::String("all".into())),
            ("settings.momentum_schedule".to_owned(), Value::Boolean(true)),
        ];
        Trial {
            method: "moco".into(),
            trial: number,
            origin: Origin::Tpe,
            settings: settings.into(),
            value: (number % 2 == 1).then_some(0.75),
            folds: vec![Scores { retrieval: 0.5, transfer: 1.0 }],
            failure: number.is_multiple_of(2).then(|| "the loss is NaN\nat step 3".into()),
            seconds: 1.5,
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_a_torn_line_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(dir.path()).unwrap();
        for number in 1..=3 {
            assert_eq!(journal.append(&trial(number)).unwrap().trial, number);
        }
        let before = journal.trials.clone();
        drop(journal);
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert_eq!(Journal::open(dir.path()).unwrap().0.trials, before);

        // Cut anywhere inside the last line, its end included.
        let second = text.match_indices('\n').nth(1).unwrap().0 + 1;
        for cut in [second + 1, second + 40, text.len() - 1] {
            fs::write(&path, &text.as_bytes()[..cut]).unwrap();
            let (mut journal, torn) = Journal::open(dir.path()).unwrap();
            assert!(torn && journal.trials == before[..2], "{cut}");
            journal.append(&trial(3)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(!Journal::open(dir.path()).unwrap().1);
    }

    #[test]
    fn a_journal_is_not_overwritten_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        Journal::create(dir.path()).unwrap().append(&trial(1)).unwrap();
        let refused = format!("{:#}", Journal::create(dir.path()).unwrap_err());
        assert!(refused.contains("--resume"), "{refused}");
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{}}\n{text}")).unwrap();
        let damaged = format!("{:#}", Journal::open(dir.path()).unwrap_err());
        assert!(damaged.contains("line 2"), "{damaged}");
    }

    #[test]
    fn a_folder_without_a_journal_begins_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, torn) = Journal::open(dir.path()).unwrap();
        assert!(!torn && journal.trials.is_empty());
        journal.append(&trial(1)).unwrap();
        assert_eq!(journal.of("moco").count(), 1);
        assert_eq!(journal.of("simclr").count(), 0);
        let nothing = Trial { value: Some(f64::NAN), ..trial(2) };
        assert!(journal.append(&nothing).is_err());
    }
}
