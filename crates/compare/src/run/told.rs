//! Statements about images in place of their classes: drawn from the classes, or read from a file.

use super::{
    config::Config,
    method::{Linear, MethodSettings},
    statements::learner,
    supervision::{Constraints, Unsaid},
    taught::Taught,
};
use anyhow::{Context, bail, ensure};
use metric::{
    mahalanobis::Fitted,
    weak::{Chunks, Pairs, Quadruplets, Triplets, Weak, WeakKind},
};
use nearfar_core::{
    data::{Dataset, Inputs},
    matrix::Matrix,
};
use std::{collections::BTreeSet, path::Path};

/// Images of a chunk that is drawn, as in metric-learn.
const CHUNK: usize = 2;

/// The statements that methods learn from, about rows of the labelled images.
#[derive(Debug)]
pub struct Told {
    /// What was said.
    pub weak: Weak,
    /// How many statements.
    pub count: usize,
    /// Their number and source, in words.
    pub note: String,
    /// Their classes, where what was not said is taken as different.
    classes: Option<Taught>,
}

impl Told {
    /// What the settings ask for; nothing where methods are told the classes. `numbers` has the row of every labelled
    /// image in the data as they came, of which there are `rows`.
    pub fn new(config: &Config, labelled: &Dataset, numbers: &[usize], rows: usize) -> anyhow::Result<Option<Self>> {
        let Some(kind) = config.supervision.weak() else { return Ok(None) };
        let mut told = match &config.constraints {
            Some(Constraints::File(path)) => Self::from_file(kind, path, numbers, rows, config.unsaid)?,
            Some(Constraints::Count(count)) => Self::drawn(kind, *count, labelled, config.split_seed())?,
            None => Self::drawn(kind, default_count(kind, labelled.len()), labelled, config.split_seed())?,
        };
        if config.unsaid == Unsaid::Different {
            let taught = Taught::new(&told.weak, labelled).context("--unsaid different")?;
            told.note = format!("{}; {}", told.note, taught.note);
            told.classes = Some(taught);
        }
        Ok(Some(told))
    }

    /// The classes that the statements make, if they are to.
    pub fn classes(&self) -> Option<&Taught> {
        self.classes.as_ref()
    }

    fn drawn(kind: WeakKind, count: usize, labelled: &Dataset, seed: u64) -> anyhow::Result<Self> {
        let labels: Vec<Option<usize>> =
            labelled.labels_for("drawing constraints")?.iter().copied().map(Some).collect();
        let seed = seed.wrapping_add(4); // the splits have those before it
        let weak = match kind {
            WeakKind::Pairs => {
                // As many of each kind, the odd one of one class.
                let Pairs { mut pairs, mut same } = Pairs::from_labels(&labels, count.div_ceil(2), seed)?;
                pairs.truncate(count);
                same.truncate(count);
                Weak::Pairs(Pairs { pairs, same })
            }
            WeakKind::Triplets => Weak::Triplets(Triplets::from_labels(&labels, count, seed)?),
            WeakKind::Quadruplets => Weak::Quadruplets(Quadruplets::from_labels(&labels, count, seed)?),
            WeakKind::Chunks => Weak::Chunks(Chunks::from_labels(&labels, count, CHUNK, seed)?),
        };
        let count = statements(&weak);
        let note = format!("trained on {count} {} drawn from the labels of {} images", kind.name(), labels.len());
        Ok(Self { weak, count, note, classes: None })
    }

    fn from_file(kind: WeakKind, path: &Path, numbers: &[usize], rows: usize, unsaid: Unsaid) -> anyhow::Result<Self> {
        let (all, weak) = match kind {
            WeakKind::Pairs => {
                let all = Pairs::from_csv(path)?;
                let within = Weak::Pairs(all.within(numbers));
                (Weak::Pairs(all), within)
            }
            WeakKind::Triplets => {
                let all = Triplets::from_csv(path)?;
                let within = Weak::Triplets(all.within(numbers));
                (Weak::Triplets(all), within)
            }
            WeakKind::Quadruplets => {
                let all = Quadruplets::from_csv(path)?;
                let within = Weak::Quadruplets(all.within(numbers));
                (Weak::Quadruplets(all), within)
            }
            WeakKind::Chunks => {
                let all = Chunks::from_csv(path, rows)?;
                let within = Weak::Chunks(all.within(numbers));
                (Weak::Chunks(all), within)
            }
        };
        let (kind, file) = (kind.name(), path.display());
        all.validate(rows).with_context(|| format!("--constraints {file}"))?;
        if unsaid == Unsaid::Different {
            // A contradiction is named by the rows of the file.
            all.as_classes(rows).with_context(|| format!("--constraints {file}"))?;
        }
        let (count, given) = (statements(&weak), statements(&all));
        ensure!(
            count > 0,
            "--constraints {file}: none of its {given} {kind} lies within the {} images that methods may train on; the \
             others are held out for scoring (rows are counted from 0 in the order of the data)",
            numbers.len()
        );
        let rest = if count < given { "; the others name images that are held out" } else { "" };
        let note = format!("trained on {count} of the {given} {kind} in {file}{rest}");
        Ok(Self { weak, count, note, classes: None })
    }

    /// Learns a Mahalanobis metric on features `rows` of the labelled images.
    pub fn fit(&self, settings: &MethodSettings, metric: Linear, rows: &Matrix) -> anyhow::Result<Fitted> {
        match (&self.classes, learner(settings, metric)) {
            (Some(taught), _) => taught.fit(settings, metric, rows),
            (None, Some(learner)) => Ok(learner.fit_weak(rows, &self.weak)?),
            (None, None) => bail!("this learner cannot learn from {}", self.weak.kind().name()),
        }
    }
}

/// One statement an image; of chunks as many as use half of the images.
fn default_count(kind: WeakKind, images: usize) -> usize {
    if kind == WeakKind::Chunks { (images / (2 * CHUNK)).max(1) } else { images.max(2) }
}

/// Statements counted; chunks of a single image are none.
fn statements(weak: &Weak) -> usize {
    match weak {
        Weak::Pairs(pairs) => pairs.pairs.len(),
        Weak::Triplets(triplets) => triplets.0.len(),
        Weak::Quadruplets(quadruplets) => quadruplets.0.len(),
        Weak::Chunks(chunks) => {
            let mut seen = BTreeSet::new();
            let again = chunks.0.iter().flatten().filter(|chunk| !seen.insert(**chunk));
            again.collect::<BTreeSet<_>>().len()
        }
    }
}

/// The labels of `data` with the number of each row in place of its group: it goes through the same choices of rows as
/// the data, without their size.
pub fn numbered(data: &Dataset) -> Dataset {
    Dataset {
        name: data.name.clone(),
        inputs: Inputs::Rows(Matrix::zeros(data.len(), 1)),
        labels: data.labels.clone(),
        class_names: data.class_names.clone(),
        groups: Some((0..data.len()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::supervision::Supervision;
    use std::io::Write;

    /// Ten images of three classes.
    fn data() -> Dataset {
        Dataset {
            name: "t".into(),
            inputs: Inputs::Rows(Matrix::zeros(10, 1)),
            labels: Some((0..10).map(|i| i % 3).collect()),
            class_names: ["a", "b", "c"].map(Into::into).to_vec(),
            groups: None,
        }
    }

    fn told(supervision: Supervision, constraints: Option<Constraints>) -> anyhow::Result<Option<Told>> {
        let config = Config { supervision, constraints, ..Config::default() };
        // The images are the rows 5 to 14 of 20.
        Told::new(&config, &data(), &(5..15).collect::<Vec<_>>(), 20)
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Option<Constraints>) {
        let mut file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let constraints = Some(Constraints::File(file.path().into()));
        (file, constraints)
    }

    #[test]
    fn as_many_are_drawn_as_were_asked_for_and_they_are_true() {
        let count = |count| Some(Constraints::Count(count));
        let pairs = told(Supervision::Pairs, count(9)).unwrap().unwrap();
        let Weak::Pairs(Pairs { pairs: drawn, same }) = &pairs.weak else { panic!("{pairs:?}") };
        assert_eq!((drawn.len(), pairs.count, same.iter().filter(|s| **s).count()), (9, 9, 5));
        assert!(drawn.iter().zip(same).all(|([a, b], same)| (a % 3 == b % 3) == *same));
        assert!(pairs.note.contains("9 pairs drawn from the labels of 10 images"), "{}", pairs.note);
        let chunks = told(Supervision::Chunks, count(3)).unwrap().unwrap();
        assert_eq!(chunks.count, 3);
        assert!(told(Supervision::Chunks, count(6)).unwrap_err().to_string().contains("large enough for 4"));
        assert_eq!(told(Supervision::Triplets, None).unwrap().unwrap().count, 10, "one an image");
        assert!(told(Supervision::Classes, None).unwrap().is_none());
    }

    #[test]
    fn what_was_not_said_makes_classes_and_the_note_says_how_false_they_are() {
        // Rows 5 to 14 are the images 0 to 9, of the classes 0, 1, 2, 0, 1, 2, 0, 1, 2, 0.
        let (_file, constraints) = file("row,chunk\n5,4\n8,4\n6,2\n9,2\n11,1\n14,1\n");
        let config =
            Config { supervision: Supervision::Chunks, constraints, unsaid: Unsaid::Different, ..Config::default() };
        let told = Told::new(&config, &data(), &(5..15).collect::<Vec<_>>(), 20).unwrap().unwrap();
        let taught = told.classes().expect("classes");
        assert_eq!(taught.rows, [0, 1, 3, 4, 6, 9]);
        assert_eq!(taught.data.labels().unwrap(), [2, 1, 2, 1, 0, 0]);
        assert_eq!(taught.data.class_names, ["chunk 1", "chunk 2", "chunk 4"]);
        // Chunks 1 and 4 are of class 0: 4 of the 12 pairs of images of two chunks.
        assert!(
            told.note.contains("3 classes of 6 images") && told.note.contains("33.3 % are of one class"),
            "{}",
            told.note
        );
        let unknown = Config { unsaid: Unsaid::Unknown, ..config };
        let told = Told::new(&unknown, &data(), &(5..15).collect::<Vec<_>>(), 20).unwrap().unwrap();
        assert!(told.classes().is_none());
    }

    #[test]
    fn chains_of_pairs_make_classes_or_contradict_themselves() {
        let told = |text: &str| {
            let (_file, constraints) = file(text);
            let config =
                Config { supervision: Supervision::Pairs, constraints, unsaid: Unsaid::Different, ..Config::default() };
            Told::new(&config, &data(), &(5..15).collect::<Vec<_>>(), 20)
        };
        let found = told("a,b,same\n5,8,1\n11,8,1\n6,5,0\n").unwrap().unwrap();
        let taught = found.classes().expect("classes");
        assert_eq!((taught.rows.as_slice(), taught.data.labels().unwrap()), (&[0, 1, 3, 6][..], &[0, 1, 0, 0][..]));
        let message = format!("{:#}", told("a,b,same\n5,8,1\n11,8,1\n11,5,0\n").unwrap_err());
        assert!(message.contains("pair 2 (from 0) says that the rows 11 and 5"), "{message}");
    }

    #[test]
    fn statements_about_held_out_images_are_left_out() {
        let (_file, pairs) = file("a,b,same\n5,14,1\n4,5,0\n6,7,0\n");
        let found = told(Supervision::Pairs, pairs).unwrap().unwrap();
        assert_eq!(found.weak, Weak::Pairs(Pairs { pairs: vec![[0, 9], [1, 2]], same: vec![true, false] }));
        assert!(found.note.contains("2 of the 3 pairs") && found.note.contains("held out"), "{}", found.note);
        let (_file, chunks) = file("row,chunk\n5,0\n6,0\n7,1\n19,1\n");
        let found = told(Supervision::Chunks, chunks).unwrap().unwrap();
        assert_eq!(found.count, 1, "the second chunk has one image left");
        let (_file, outside) = file("anchor,positive,negative\n0,1,2\n");
        let message = told(Supervision::Triplets, outside).unwrap_err().to_string();
        assert!(message.contains("none of its 1 triplets lies within the 10 images"), "{message}");
        let (_file, beyond) = file("a,b,c,d\n5,6,7,20\n");
        let message = format!("{:#}", told(Supervision::Quadruplets, beyond).unwrap_err());
        assert!(message.contains("names row 20, but the data have 20 rows"), "{message}");
    }
}
