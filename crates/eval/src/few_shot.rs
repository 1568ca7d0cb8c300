//! Few-shot classification by prototypes: how little data does a new class need?
//!
//! An episode draws a few classes ("ways"), a few labelled rows of each ("shots") and other rows to classify
//! ("queries"). A class's prototype is the mean of its shots; a query goes to the nearest prototype by squared
//! Euclidean distance (Snell et al. 2017, "Prototypical Networks for Few-shot Learning"). Rows are divided by their
//! norm first.

use nearfar_core::matrix::Matrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::labels::Classes;
use crate::rows::{check_labelled, unit_rows};

/// Settings of the episodes. The defaults are the protocol of Ericsson et al. 2021 ("How Well Do Self-Supervised Models
/// Transfer?"): 5 ways, 5 shots, 15 queries, 600 episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FewShotConfig {
    /// Most classes in an episode, at least 2; capped at the classes that there are. Default 5.
    pub ways: usize,
    /// Labelled rows of each class, at least 1. Default 5.
    pub shots: usize,
    /// Rows of each class to classify, at least 1. Default 15.
    pub queries: usize,
    /// Episodes, at least 2. Default 600.
    pub episodes: usize,
    /// Seed of the draws; each episode has its own stream. Default 0.
    pub seed: u64,
}

impl Default for FewShotConfig {
    fn default() -> Self {
        Self { ways: 5, shots: 5, queries: 15, episodes: 600, seed: 0 }
    }
}

/// Accuracy over episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FewShot {
    /// Mean share of queries classified right, in `[0, 1]`.
    pub accuracy: f64,
    /// Half width of the 95 % interval over episodes: 1.96 sample deviations / sqrt(episodes).
    pub ci95: f64,
    /// Classes in each episode.
    pub ways: usize,
    /// Labelled rows of each class.
    pub shots: usize,
    /// Rows of each class that were classified.
    pub queries: usize,
    /// Episodes drawn.
    pub episodes: usize,
}

/// Accuracy of nearest prototypes on random episodes from `features` `[n, d]` with their classes.
///
/// The result depends on the seed alone, not on threads; distances that tie go to the class drawn first.
///
/// # Errors
/// When features are empty or not finite, labels do not fit, a setting is out of range, there are fewer than two
/// classes, or a class has fewer than `shots + queries` rows.
pub fn few_shot(features: &Matrix, labels: &[usize], config: &FewShotConfig) -> Result<FewShot, EvalError> {
    check_labelled("features", features, labels)?;
    let minima = [
        ("ways", config.ways, 2, "at least 2"),
        ("shots", config.shots, 1, "at least 1"),
        ("queries", config.queries, 1, "at least 1"),
        ("episodes", config.episodes, 2, "at least 2"),
    ];
    for (name, value, least, expected) in minima {
        if value < least {
            return Err(EvalError::setting(name, value, expected));
        }
    }
    let classes = Classes::new(labels);
    if classes.count() < 2 {
        return Err(EvalError::TooFewClasses { what: "few-shot episodes", needed: 2, got: classes.count() });
    }
    let needed = config.shots.saturating_add(config.queries);
    if let Some(short) = classes.rows.iter().position(|rows| rows.len() < needed) {
        let (class, got) = (classes.labels[short], classes.rows[short].len());
        return Err(EvalError::TooFewRows { what: "few-shot episodes", class, needed, got });
    }
    let config = FewShotConfig { ways: config.ways.min(classes.count()), ..*config };
    let unit = unit_rows(features);
    let accuracies: Vec<f64> = (0..config.episodes)
        .into_par_iter()
        .map(|episode| episode_accuracy(&unit, &classes, &config, episode))
        .collect();
    let episodes = config.episodes as f64;
    let accuracy = accuracies.iter().sum::<f64>() / episodes;
    let variance = accuracies.iter().map(|a| (a - accuracy) * (a - accuracy)).sum::<f64>() / (episodes - 1.0);
    Ok(FewShot {
        accuracy,
        ci95: 1.96 * (variance / episodes).sqrt(),
        ways: config.ways,
        shots: config.shots,
        queries: config.queries,
        episodes: config.episodes,
    })
}

fn episode_accuracy(unit: &Matrix, classes: &Classes, config: &FewShotConfig, episode: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(episode as u64);
    let mut all: Vec<usize> = (0..classes.count()).collect();
    let rows: Vec<Vec<u32>> = draw(&mut all, config.ways, &mut rng)
        .iter()
        .map(|&class| draw(&mut classes.rows[class].clone(), config.shots + config.queries, &mut rng).to_vec())
        .collect();
    let prototypes: Vec<Vec<f64>> = rows.iter().map(|rows| prototype(unit, &rows[..config.shots])).collect();
    let mut hits = 0usize;
    for (class, rows) in rows.iter().enumerate() {
        for &row in &rows[config.shots..] {
            hits += usize::from(closest(&prototypes, unit.row(row as usize)) == class);
        }
    }
    hits as f64 / (config.ways * config.queries) as f64
}

/// The first `count` of a shuffle of the items.
fn draw<'a, T>(items: &'a mut [T], count: usize, rng: &mut ChaCha8Rng) -> &'a [T] {
    for at in 0..count {
        // Drawn as 64 bits, so that the width of `usize` cannot change the sequence.
        let other = rng.random_range(at as u64..items.len() as u64) as usize;
        items.swap(at, other);
    }
    &items[..count]
}

/// The mean of the rows `shots`.
pub(crate) fn prototype(unit: &Matrix, shots: &[u32]) -> Vec<f64> {
    let mut mean = vec![0.0f64; unit.cols()];
    for &row in shots {
        mean.iter_mut().zip(unit.row(row as usize)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    mean.iter_mut().for_each(|sum| *sum /= shots.len() as f64);
    mean
}

/// Position of the prototype nearest to the row, the first of equals.
pub(crate) fn closest(prototypes: &[Vec<f64>], row: &[f32]) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (class, prototype) in prototypes.iter().enumerate() {
        let square: f64 = prototype.iter().zip(row).map(|(p, &x)| (p - f64::from(x)) * (p - f64::from(x))).sum();
        if square < best.0 {
            best = (square, class);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, noise};

    #[test]
    fn separated_classes_are_solved_and_the_ways_are_stated() {
        let (features, labels) = blobs(20, 6, 0.2);
        let config = FewShotConfig { episodes: 50, ..FewShotConfig::default() };
        let found = few_shot(&features, &labels, &config).unwrap();
        assert_eq!((found.accuracy, found.ci95), (1.0, 0.0));
        assert_eq!((found.ways, found.shots, found.queries, found.episodes), (3, 5, 15, 50));
    }

    #[test]
    fn noise_is_at_chance() {
        let features = Matrix::from_fn(400, 8, |i, j| noise(i * 8 + j));
        let labels: Vec<usize> = (0..400).map(|i| i % 10).collect();
        let found = few_shot(&features, &labels, &FewShotConfig { shots: 1, ..FewShotConfig::default() }).unwrap();
        assert!((found.accuracy - 0.2).abs() < 0.05, "{found:?}");
        assert!(found.ci95 > 0.0 && found.ci95 < 0.02, "{found:?}");
    }

    #[test]
    fn the_seed_decides() {
        let (features, labels) = blobs(25, 4, 3.0);
        let run =
            |seed| few_shot(&features, &labels, &FewShotConfig { seed, episodes: 40, ..Default::default() }).unwrap();
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn draws_are_distinct_and_cover_everything() {
        let mut seen = [false; 6];
        for stream in 0..40 {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            rng.set_stream(stream);
            let mut items = [0usize, 1, 2, 3, 4, 5];
            let drawn = draw(&mut items, 3, &mut rng).to_vec();
            let mut distinct = drawn.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 3);
            drawn.iter().for_each(|&item| seen[item] = true);
        }
        assert_eq!(seen, [true; 6]);
    }

    #[test]
    fn prototypes_are_means() {
        let unit = Matrix::new(vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0], 3, 2).unwrap();
        assert_eq!(prototype(&unit, &[0, 1]), [0.5, 0.5]);
        assert_eq!(closest(&[vec![0.5, 0.5], vec![-1.0, 0.0]], &[-0.4, 0.1]), 1);
        assert_eq!(closest(&[vec![1.0, 0.0], vec![-1.0, 0.0]], &[0.0, 0.0]), 0);
    }

    #[test]
    fn rejects_small_classes_and_bad_settings() {
        let (features, labels) = blobs(8, 3, 0.1);
        assert_eq!(
            few_shot(&features, &labels, &FewShotConfig::default()),
            Err(EvalError::TooFewRows { what: "few-shot episodes", class: 4, needed: 20, got: 8 })
        );
        let bad = FewShotConfig { shots: 0, ..FewShotConfig::default() };
        assert!(matches!(few_shot(&features, &labels, &bad), Err(EvalError::Setting { name: "shots", .. })));
        let one = vec![4; labels.len()];
        assert_eq!(
            few_shot(&features, &one, &FewShotConfig::default()),
            Err(EvalError::TooFewClasses { what: "few-shot episodes", needed: 2, got: 1 })
        );
    }
}
