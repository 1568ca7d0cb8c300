//! Classes that statements make, where what was not said is taken as different.

use super::method::{Linear, MethodSettings};
use metric::{
    mahalanobis::{Fitted, Itml, Learner, Lsml, Mmc, Sdml},
    weak::{Chunks, Weak},
};
use nearfar_core::{data::Dataset, matrix::Matrix};
use std::collections::BTreeMap;

/// Images that statements make classes of.
#[derive(Debug)]
pub struct Taught {
    /// Their places among the labelled images, rising.
    pub rows: Vec<usize>,
    /// The images, with these classes in place of their own.
    pub data: Dataset,
    /// How many there are, and how often they are false, in words.
    pub note: String,
}

impl Taught {
    /// From what was said about the images `labelled`.
    pub fn new(said: &Weak, labelled: &Dataset) -> anyhow::Result<Self> {
        let (rows, data) = said.as_classes(labelled.len())?.dataset(labelled)?;
        let truth = labelled.labels_for("counting what is false")?;
        let truth: Vec<usize> = rows.iter().map(|&row| truth[row]).collect();
        let share = share_of_one_class(data.labels_for("counting what is false")?, &truth);
        let note = format!(
            "what was not said to belong together taken as different: {} classes of {} images; of the pairs of images \
             taken as different, {:.1} % are of one class",
            data.class_names.len(),
            rows.len(),
            100.0 * share
        );
        Ok(Self { rows, data, note })
    }

    /// Learns a Mahalanobis metric on features `rows` of the labelled images.
    ///
    /// Learners of pairs draw as many of each kind as the classes hold of one: their own number grows with the square of
    /// the number of classes, which here are many and small.
    pub fn fit(&self, settings: &MethodSettings, metric: Linear, rows: &Matrix) -> anyhow::Result<Fitted> {
        let (x, labels) = (rows.select(&self.rows), self.data.labels_for("a Mahalanobis learner")?);
        let usual = 20 * self.data.class_names.len().pow(2);
        let together = pairs_within(labels.iter()).min(usual);
        let most = |own: Option<usize>| own.or(Some(together));
        let MethodSettings { itml, mmc, sdml, lsml, .. } = settings;
        let fitted = match metric {
            Linear::Rca => settings.rca.fit_chunks(&x, &Chunks(labels.iter().copied().map(Some).collect())),
            Linear::Itml => Itml { constraints: most(itml.constraints), ..itml.clone() }.fit(&x, labels),
            Linear::Mmc => Mmc { constraints: most(mmc.constraints), ..*mmc }.fit(&x, labels),
            Linear::Sdml => Sdml { constraints: most(sdml.constraints), ..*sdml }.fit(&x, labels),
            Linear::Lsml => Lsml { constraints: most(lsml.constraints), ..*lsml }.fit(&x, labels),
            other => settings.learner(other).fit(&x, labels),
        };
        Ok(fitted?)
    }
}

/// Pairs of entries with the same key.
fn pairs_within<K: Ord>(keys: impl Iterator<Item = K>) -> usize {
    let mut sizes: BTreeMap<K, usize> = BTreeMap::new();
    keys.for_each(|key| *sizes.entry(key).or_default() += 1);
    sizes.values().map(|size| size * (size - 1) / 2).sum()
}

/// Of the pairs of images of two chunks, the share that is of one class.
fn share_of_one_class(chunks: &[usize], classes: &[usize]) -> f64 {
    let all = chunks.len() * chunks.len().saturating_sub(1) / 2;
    let between = all - pairs_within(chunks.iter());
    let alike = pairs_within(classes.iter()) - pairs_within(chunks.iter().zip(classes));
    alike as f64 / between.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::data::Inputs;

    #[test]
    fn pairs_between_chunks_are_counted() {
        // Chunks a a b b c, classes 0 0 0 1 1: of eight pairs between chunks, a-b twice and b-c once are of one class.
        let share = share_of_one_class(&[0, 0, 1, 1, 2], &[0, 0, 0, 1, 1]);
        assert!((share - 3.0 / 8.0).abs() < 1e-12, "{share}");
        assert_eq!(share_of_one_class(&[0, 0], &[1, 1]), 0.0);
    }

    /// Every learner learns from classes of ten images, whatever it is made for.
    #[test]
    fn every_learner_learns_from_classes_that_statements_make() {
        let value = |i: usize, j: usize| (i % 3) as f32 * [4.0, 1.0][j] + ((i * (37 + 6 * j)) % 23) as f32 * 0.1;
        let rows = Matrix::from_fn(33, 2, value);
        let data = Dataset {
            name: "t".into(),
            inputs: Inputs::Rows(rows.clone()),
            labels: Some((0..33).map(|i| i % 3).collect()),
            class_names: ["a", "b", "c"].map(Into::into).to_vec(),
            groups: None,
        };
        // The first three images are in no chunk.
        let said = Weak::Chunks(Chunks((0..33).map(|i| (i >= 3).then_some(i % 3)).collect()));
        let taught = Taught::new(&said, &data).unwrap();
        assert_eq!((taught.rows.len(), taught.rows[0]), (30, 3));
        assert!(taught.note.contains("3 classes of 30 images") && taught.note.contains(" 0.0 %"), "{}", taught.note);
        let mut settings = MethodSettings::default();
        for metric in [
            Linear::Lmnn,
            Linear::Nca,
            Linear::Mlkr,
            Linear::Itml,
            Linear::Rca,
            Linear::Mmc,
            Linear::Lsml,
            Linear::Sdml,
            Linear::Scml,
        ] {
            let fitted = taught.fit(&settings, metric, &rows).unwrap_or_else(|e| panic!("{metric:?}: {e:#}"));
            assert!(fitted.model.matrix().iter().all(|v| v.is_finite()), "{metric:?}");
        }
        settings.lmnn.neighbors = 10;
        let message = taught.fit(&settings, Linear::Lmnn, &rows).unwrap_err().to_string();
        assert!(message.contains("lower `neighbors` to at most 9"), "{message}");
    }
}
