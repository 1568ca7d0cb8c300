//! Small samples of a row's embeddings for the pictures of the page, taken while it is scored.

use super::thumbnails::thumbnails;
use crate::report::{Confused, FigureSet, MethodFigures, Query, Shown, Similarities};
use metric::mahalanobis::{Keep, MahalanobisError, Pca};
use nearfar_core::{
    data::{Dataset, split},
    matrix::Matrix,
};
use nearfar_eval::{Distance, EvalError, PerQuery, TsneConfig, nearest, singular_values, tsne};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Items of a map.
const POINTS: usize = 250;
/// Neighbours shown for a query.
const NEIGHBORS: usize = 7;
/// Queries whose nearest neighbour says which classes are confused.
const CHECKED: usize = 1_000;
/// Pairs of classes named as confused.
const CONFUSED: usize = 5;
/// Bins of a histogram of similarities.
const BINS: usize = 40;
/// Singular values kept.
const VALUES: usize = 64;

/// The pictures of one method from the features `[n, d]` of a test part: the items shown, which are stratified by class
/// and the same in every run, and what the method makes of them. `ranked` are the retrieval scores behind a gallery;
/// `unseen` says that the classes were kept from training.
pub fn pictures(
    test: &Dataset,
    features: &Matrix,
    distance: Distance,
    ranked: Option<&PerQuery>,
    unseen: bool,
) -> anyhow::Result<(FigureSet, MethodFigures)> {
    let labels = test.labels_for("the pictures of the page")?;
    let (items, checked) = (split::subset(test, POINTS, 0).0, split::subset(test, CHECKED, 1).0);
    let points: Vec<Shown> = items.iter().map(|item| Shown { item: *item, class: labels[*item] }).collect();
    let sample = features.select(&items);
    let sample = if distance == Distance::Cosine { sample.normalized_rows() } else { sample };
    let (map, explained) = map(&sample)?;
    let method = MethodFigures {
        tsne: neighborhoods(&sample, &map)?,
        map,
        explained,
        spectrum: spectrum(&sample)?,
        similarities: similarities(&sample, &points, distance),
        gallery: ranked.map_or(Ok(Vec::new()), |ranked| gallery(features, labels, distance, ranked, unseen))?,
        confused: confused(features, labels, distance, &checked)?,
        ..MethodFigures::default()
    };
    let shown = method.gallery.iter().flat_map(|query| query.neighbors.iter().chain([&query.query]));
    let items: BTreeSet<usize> = points.iter().chain(shown).map(|shown| shown.item).collect();
    let set = FigureSet {
        unseen,
        classes: test.class_names.clone(),
        thumbnails: thumbnails(test, &items.into_iter().collect::<Vec<_>>())?,
        points,
        ..FigureSet::default()
    };
    Ok((set, method))
}

/// The first two principal components of each row and their shares of the variance; nothing where the rows vary in
/// fewer directions.
fn map(sample: &Matrix) -> Result<(Vec<[f32; 2]>, Vec<f64>), MahalanobisError> {
    let pca = match Pca::fit(sample, Keep::Count(2)) {
        Err(MahalanobisError::RankTooLow { .. }) => return Ok((Vec::new(), Vec::new())),
        pca => pca?,
    };
    let points = pca.transform(sample)?.iter_rows().map(|row| [row[0], row[1]]).collect();
    Ok((points, pca.explained_variance_ratio()))
}

/// The rows by t-SNE from their places in `map`; nothing where that is empty or there are fewer than four.
fn neighborhoods(sample: &Matrix, map: &[[f32; 2]]) -> Result<Vec<[f32; 2]>, EvalError> {
    let config = TsneConfig::default();
    let perplexity = config.perplexity.min((map.len() as f64 - 1.0) / 3.0);
    if perplexity < 1.0 {
        return Ok(Vec::new());
    }
    let found = tsne(sample, map, &TsneConfig { perplexity, ..config })?;
    Ok(found.points.iter().map(|point| point.map(|value| value as f32)).collect())
}

/// The largest singular values over the first.
fn spectrum(sample: &Matrix) -> Result<Vec<f64>, EvalError> {
    let values = singular_values(sample)?;
    let largest = values.first().copied().unwrap_or(0.0);
    Ok(if largest > 0.0 { values.iter().take(VALUES).map(|value| value / largest).collect() } else { Vec::new() })
}

/// Histograms over all pairs of the sample, whose rows have length 1 for the cosine; `None` if all pairs are of one
/// kind or at one place.
fn similarities(sample: &Matrix, points: &[Shown], distance: Distance) -> Option<Similarities> {
    let pair = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        match distance {
            Distance::Cosine => pairs.map(|(a, b)| a * b).sum(),
            Distance::Euclidean => pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
        }
    };
    let mut values: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for (i, point) in points.iter().enumerate() {
        for (j, other) in points[..i].iter().enumerate() {
            let different = usize::from(point.class != other.class);
            values[different].push(pair(sample.row(i), sample.row(j)));
        }
    }
    let farthest = values.iter().flatten().fold(0.0f64, |most, value| most.max(*value));
    let (measure, low, high) = match distance {
        Distance::Cosine => ("cosine similarity", -1.0, 1.0),
        Distance::Euclidean => ("distance", 0.0, farthest),
    };
    if values.iter().any(Vec::is_empty) || high <= low {
        return None;
    }
    let histogram = |values: &[f64]| {
        let mut shares = vec![0.0; BINS];
        for value in values {
            let bin = ((value - low) / (high - low) * BINS as f64) as usize;
            shares[bin.min(BINS - 1)] += 1.0 / values.len() as f64;
        }
        shares
    };
    let [positives, negatives] = [histogram(&values[0]), histogram(&values[1])];
    Some(Similarities { measure: measure.to_owned(), low, high, positives, negatives })
}

/// The two best, the two middle and the two worst queries with their nearest neighbours; of unseen classes one each, as the
/// page has room for so many pictures.
fn gallery(
    features: &Matrix,
    labels: &[usize],
    distance: Distance,
    ranked: &PerQuery,
    unseen: bool,
) -> Result<Vec<Query>, EvalError> {
    let mut order: Vec<usize> = (0..ranked.query.len()).collect();
    order.sort_by(|a, b| ranked.map_at_r[*b].total_cmp(&ranked.map_at_r[*a]).then(a.cmp(b)));
    let (middle, last) = (order.len() / 2, order.len().saturating_sub(1));
    let (best, worst) = ([("best", 0), ("best", 1)], [("worst", last.saturating_sub(1)), ("worst", last)]);
    let places = if unseen {
        vec![best[0], ("median", middle), worst[1]]
    } else {
        vec![best[0], best[1], ("median", middle), ("median", middle + 1), worst[0], worst[1]]
    };
    let mut chosen: Vec<(usize, &str)> = Vec::new();
    for (place, at) in places {
        // Where there are few queries, a place may be missing or be another's.
        let Some(query) = order.get(at) else { continue };
        if chosen.iter().all(|(known, _)| known != query) {
            chosen.push((*query, place));
        }
    }
    let items: Vec<usize> = chosen.iter().map(|(at, _)| ranked.query[*at]).collect();
    let found = others(features, &items, NEIGHBORS, distance)?;
    let shown = |item: usize| Shown { item, class: labels[item] };
    let query = |((at, place), neighbors): (&(usize, &str), Vec<usize>)| Query {
        place: (*place).to_owned(),
        score: ranked.map_at_r[*at],
        query: shown(ranked.query[*at]),
        neighbors: neighbors.into_iter().map(shown).collect(),
    };
    Ok(chosen.iter().zip(found).map(query).collect())
}

/// Classes whose queries among `checked` have a nearest neighbour of another class, the most frequent pairs first.
fn confused(
    features: &Matrix,
    labels: &[usize],
    distance: Distance,
    checked: &[usize],
) -> Result<Vec<Confused>, EvalError> {
    let mut of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut pairs: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (item, neighbors) in checked.iter().zip(others(features, checked, 1, distance)?) {
        *of.entry(labels[*item]).or_default() += 1;
        if let Some(neighbor) = neighbors.first().filter(|neighbor| labels[**neighbor] != labels[*item]) {
            *pairs.entry((labels[*item], labels[*neighbor])).or_default() += 1;
        }
    }
    let mut found: Vec<Confused> = pairs
        .into_iter()
        .map(|((class, taken_for), count)| Confused { class, taken_for, count, of: of[&class] })
        .collect();
    found.sort_by_key(|pair| Reverse(pair.count));
    found.truncate(CONFUSED);
    Ok(found)
}

/// The `k` nearest other rows of each row in `items`, or all others if they are fewer.
fn others(features: &Matrix, items: &[usize], k: usize, distance: Distance) -> Result<Vec<Vec<usize>>, EvalError> {
    // One more than asked for: a row is near itself, but copies of it may come before it.
    let found = nearest(&features.select(items), features, (k + 1).min(features.rows()), distance, false)?;
    let of = |(i, item): (usize, &usize)| {
        let others = found.indices_of(i).iter().map(|index| *index as usize).filter(|index| index != item);
        others.take(k).collect::<Vec<usize>>()
    };
    Ok(items.iter().enumerate().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::data::Inputs;
    use nearfar_eval::retrieval_per_query;

    /// Two classes of grey images on two lines of features, and one item of class 0 on the wrong line.
    fn data() -> (Dataset, Matrix) {
        let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
        let features = Matrix::from_fn(40, 3, |i, j| {
            let line = if i == 0 { 1 } else { i % 2 };
            if j == line { 1.0 } else { 0.01 * ((i * 7 + j * 3) % 11) as f32 }
        });
        let inputs = Inputs::Images {
            pixels: (0..40 * 64 * 2).map(|p| (p % 251) as u8).collect(),
            channels: 1,
            height: 16,
            width: 8,
        };
        let dataset = Dataset {
            name: "t".into(),
            inputs,
            labels: Some(labels),
            class_names: vec!["even".into(), "odd".into()],
            groups: None,
        };
        (dataset, features)
    }

    #[test]
    fn pictures_of_a_small_set() {
        let (test, features) = data();
        let labels = test.labels.clone().unwrap();
        let ranked = retrieval_per_query(&features, &labels, None, Distance::Cosine).unwrap();
        let (set, found) = pictures(&test, &features, Distance::Cosine, Some(&ranked), false).unwrap();
        assert_eq!((found.map.len(), found.explained.len(), found.spectrum.len()), (40, 2, 3));
        assert!(found.tsne.len() == 40 && found.tsne.iter().flatten().all(|value| value.is_finite()));
        assert!(found.explained[0] > 0.9 && found.spectrum[0] == 1.0, "{found:?}");
        let places: Vec<_> = found.gallery.iter().map(|query| query.place.as_str()).collect();
        assert_eq!(places, ["best", "best", "median", "median", "worst", "worst"]);
        let worst = &found.gallery[5];
        assert_eq!((worst.query.item, worst.neighbors.len()), (0, NEIGHBORS));
        assert!(worst.neighbors.iter().all(|neighbor| neighbor.class == 1 && neighbor.item != 0));
        let first = Confused { class: 0, taken_for: 1, count: 1, of: 20 };
        assert!(found.confused.contains(&first), "{:?}", found.confused);
        let similarities = found.similarities.as_ref().unwrap();
        for shares in [&similarities.positives, &similarities.negatives] {
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        assert_eq!((set.points.len(), set.thumbnails.len(), set.classes.len(), set.unseen), (40, 40, 2, false));
        let (_, found) = pictures(&test, &features, Distance::Cosine, Some(&ranked), true).unwrap();
        let places: Vec<_> = found.gallery.iter().map(|query| query.place.as_str()).collect();
        assert_eq!((places, found.gallery[2].query.item), (vec!["best", "median", "worst"], 0));
    }

    #[test]
    fn a_collapsed_embedding_has_no_map() {
        let (test, _) = data();
        let flat = Matrix::from_fn(40, 3, |_, _| 1.0);
        let (set, found) = pictures(&test, &flat, Distance::Cosine, None, true).unwrap();
        assert!(found.map.is_empty() && found.tsne.is_empty() && found.gallery.is_empty() && set.unseen);
        assert_eq!(found.spectrum.len(), 3);
    }

    #[test]
    fn a_learnt_distance_is_shown_as_such() {
        let (test, features) = data();
        let (_, found) = pictures(&test, &features, Distance::Euclidean, None, false).unwrap();
        let found = found.similarities.unwrap();
        assert_eq!((found.measure.as_str(), found.low), ("distance", 0.0));
        assert!(found.high > 1.0);
    }
}
