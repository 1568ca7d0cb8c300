//! What the pictures of the page need: small samples of the embeddings, kept in `figures.json` beside the report.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Not};

/// The pictures of one report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// One for each run and part of its test items.
    pub sets: Vec<FigureSet>,
}

/// The pictures of one run on seen or on unseen classes: every method on the same test items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FigureSet {
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Whether the items are of classes that were kept from training.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub unseen: bool,
    /// Names of the classes that items are of.
    pub classes: Vec<String>,
    /// The items of every map, in the order of its points.
    pub points: Vec<Shown>,
    /// Small pictures by item; none where the data are rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thumbnails: BTreeMap<usize, Png>,
    /// One for each method, from its first seed.
    pub methods: Vec<MethodFigures>,
}

/// The pictures of one method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodFigures {
    /// Name of the method.
    pub method: String,
    /// Seed of the row that they show.
    pub seed: u64,
    /// First two principal components of the points; empty where the embeddings vary in fewer directions.
    pub map: Vec<[f32; 2]>,
    /// The points by t-SNE; empty where there are no components to start from.
    #[serde(default)]
    pub tsne: Vec<[f32; 2]>,
    /// Shares of the points' variance along the two.
    pub explained: Vec<f64>,
    /// Singular values of the points' embeddings over the largest one, falling.
    pub spectrum: Vec<f64>,
    /// How similar pairs of points are.
    pub similarities: Option<Similarities>,
    /// Queries with their nearest neighbours.
    pub gallery: Vec<Query>,
    /// Classes whose nearest neighbours are of another class, the most frequent first.
    pub confused: Vec<Confused>,
}

/// Histograms of the similarity of pairs of one class and of pairs of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Similarities {
    /// What is counted.
    pub measure: String,
    /// Left end of the first bin.
    pub low: f64,
    /// Right end of the last bin.
    pub high: f64,
    /// Share of the pairs of one class in each bin.
    pub positives: Vec<f64>,
    /// Share of the pairs of two classes in each bin.
    pub negatives: Vec<f64>,
}

/// One query with its nearest neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Where it stands among all queries: `best`, `median` or `worst`.
    pub place: String,
    /// Its average precision at R.
    pub score: f64,
    /// The query.
    pub query: Shown,
    /// Its neighbours, nearest first.
    pub neighbors: Vec<Shown>,
}

/// A test item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its index.
    pub item: usize,
    /// Its class, an index into [`FigureSet::classes`].
    pub class: usize,
}

/// Queries of one class whose nearest neighbour is of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confused {
    /// Class of the queries.
    pub class: usize,
    /// Class of their nearest neighbours.
    pub taken_for: usize,
    /// Such queries.
    pub count: usize,
    /// Queries of the class that were looked at.
    pub of: usize,
}

/// A PNG file in base64. Only that: it is put into the page as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Png(String);

impl Png {
    /// Wraps the bytes of a PNG file.
    pub fn new(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// The file in base64.
    pub fn base64(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Png {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(&text)?;
        Ok(Self(text))
    }
}

impl From<Png> for String {
    fn from(png: Png) -> Self {
        png.0
    }
}

impl Figures {
    /// Puts in the pictures of a method, in place of those that it had. `frame` is the set without its methods; a set
    /// of the same run and part on other items is one that no row belongs to any more.
    pub fn insert(&mut self, frame: FigureSet, method: MethodFigures) {
        let fits = |set: &FigureSet| (&set.classes, &set.points) == (&frame.classes, &frame.points);
        let same_part = |set: &FigureSet| (&set.run, set.unseen) == (&frame.run, frame.unseen);
        self.sets.retain(|set| !same_part(set) || fits(set));
        let at = match self.sets.iter().position(same_part) {
            Some(at) => at,
            None => {
                self.sets.push(FigureSet { methods: Vec::new(), thumbnails: BTreeMap::new(), ..frame.clone() });
                self.sets.len() - 1
            }
        };
        let set = &mut self.sets[at];
        set.thumbnails.extend(frame.thumbnails);
        set.methods.retain(|own| own.method != method.method);
        set.methods.push(method);
    }

    /// The pictures under other labels of their runs, for a joined report.
    pub(super) fn relabelled(self, label: impl Fn(&str) -> Option<String>) -> Vec<FigureSet> {
        self.sets.into_iter().filter_map(|set| Some(FigureSet { run: label(&set.run)?, ..set })).collect()
    }
}

impl FigureSet {
    /// Name of a class; a file may name one that is not there.
    pub(super) fn class(&self, class: usize) -> &str {
        self.classes.get(class).map_or("?", String::as_str)
    }

    /// Class of the page's style sheet that shows an item; `number` is the place of this set in the page. Empty where
    /// there is no picture.
    pub(super) fn thumbnail(&self, number: usize, item: usize) -> String {
        if self.thumbnails.contains_key(&item) { format!("t{number}-{item}") } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::figures;

    #[test]
    fn a_method_is_replaced_and_its_thumbnails_stay() {
        let mut all = Figures::default();
        let set = figures().sets.remove(0);
        let frame = FigureSet { methods: Vec::new(), ..set.clone() };
        for seed in [1, 2] {
            all.insert(frame.clone(), MethodFigures { method: "triplet".into(), seed, ..MethodFigures::default() });
        }
        all.insert(frame.clone(), MethodFigures { method: "simclr".into(), ..MethodFigures::default() });
        let seeds: Vec<_> = all.sets[0].methods.iter().map(|own| (own.method.as_str(), own.seed)).collect();
        assert_eq!(seeds, [("triplet", 2), ("simclr", 0)]);
        assert_eq!((all.sets.len(), &all.sets[0].thumbnails), (1, &set.thumbnails));
        // Another part of the test items has pictures of its own.
        let unseen = FigureSet { unseen: true, points: Vec::new(), ..frame.clone() };
        all.insert(unseen, MethodFigures { method: "simclr".into(), ..MethodFigures::default() });
        assert_eq!(all.sets.iter().map(|set| set.methods.len()).collect::<Vec<_>>(), [2, 1]);
        // The same run on other items starts anew.
        let other = FigureSet { points: frame.points[1..].to_vec(), ..frame };
        all.insert(other, MethodFigures { method: "moco".into(), ..MethodFigures::default() });
        let kept: Vec<_> = all.sets.iter().map(|set| (set.unseen, set.methods.len())).collect();
        assert_eq!(kept, [(true, 1), (false, 1)]);
    }

    #[test]
    fn only_base64_is_a_picture() {
        let png: Png = serde_json::from_str(r#""AAEC""#).unwrap();
        assert_eq!(png, Png::new(&[0, 1, 2]));
        assert_eq!(serde_json::to_string(&png).unwrap(), r#""AAEC""#);
        assert!(serde_json::from_str::<Png>(r#""\"></style>""#).is_err());
    }
}
