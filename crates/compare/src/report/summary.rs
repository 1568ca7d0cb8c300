//! Means over seeds.

use super::{Row, estimate::Estimate, format::within, groups::groups};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Mean of one score or cost of one method over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the method.
    pub method: String,
    /// Name of the score, or `train_seconds`, `images_per_second`, `peak_memory_bytes`.
    pub metric: String,
    /// Mean over seeds.
    pub mean: f64,
    /// Lower end of the Student-t 95 % interval over seeds, cut to the values that there are; absent with one seed, and
    /// where the seeds all say the same.
    pub ci95_low: Option<f64>,
    /// Upper end, in the same way.
    pub ci95_high: Option<f64>,
    /// Seeds that have this score.
    pub seeds: usize,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Values of the settings that a sweep varies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, f64>,
}

/// Every score and cost of every method that came to its end.
pub(super) fn summarize(rows: &[Row]) -> Vec<Summary> {
    let mut summaries = Vec::new();
    for group in groups(rows) {
        for metric in group.metrics() {
            let values: Vec<f64> = group.values(metric).into_values().collect();
            let Some(Estimate { mean, interval, seeds, .. }) = Estimate::of(&values) else { continue };
            let interval = interval.map(|(low, high)| within(metric, low, high));
            summaries.push(Summary {
                method: group.method.to_owned(),
                metric: metric.to_owned(),
                mean,
                ci95_low: interval.map(|(low, _)| low),
                ci95_high: interval.map(|(_, high)| high),
                seeds,
                run: group.run.to_owned(),
                axes: group.axes.clone(),
            });
        }
    }
    summaries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm,
        fixtures::{at, seeds},
    };

    const SCORE: &str = "retrieval.seen.map_at_r";

    fn of<'a>(summaries: &'a [Summary], method: &str, metric: &str) -> Vec<&'a Summary> {
        summaries.iter().filter(|summary| summary.method == method && summary.metric == metric).collect()
    }

    #[test]
    fn values_by_hand() {
        let mut rows = seeds("triplet", Paradigm::Metric, SCORE, &[0.80, 0.82, 0.84]);
        rows.extend(seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5]));
        rows[2].cost.peak_memory_bytes = Some(1024);
        let summaries = summarize(&rows);

        let [triplet] = of(&summaries, "triplet", SCORE)[..] else { panic!("{summaries:?}") };
        assert!((triplet.mean - 0.82).abs() < 1e-12);
        assert!((triplet.ci95_low.unwrap() - 0.770_317).abs() < 1e-6);
        assert!((triplet.ci95_high.unwrap() - 0.869_683).abs() < 1e-6);
        assert_eq!(triplet.seeds, 3);

        let [simclr] = of(&summaries, "simclr", SCORE)[..] else { panic!("{summaries:?}") };
        assert_eq!((simclr.mean, simclr.ci95_low, simclr.ci95_high, simclr.seeds), (0.5, None, None, 1));

        let [seconds] = of(&summaries, "triplet", "train_seconds")[..] else { panic!("{summaries:?}") };
        assert_eq!((seconds.mean, seconds.ci95_low, seconds.ci95_high), (2.0, None, None));
        let [memory] = of(&summaries, "triplet", "peak_memory_bytes")[..] else { panic!("{summaries:?}") };
        assert_eq!((memory.mean, memory.seeds), (1024.0, 1));
        assert!(of(&summaries, "simclr", "peak_memory_bytes").is_empty());
    }

    #[test]
    fn settings_of_a_sweep_are_not_averaged() {
        let mut rows = at("labels", 0.1, seeds("triplet", Paradigm::Metric, SCORE, &[0.2, 0.4]));
        rows.extend(at("labels", 1.0, seeds("triplet", Paradigm::Metric, SCORE, &[0.6, 0.8])));
        let summaries = summarize(&rows);
        let means: Vec<_> = of(&summaries, "triplet", SCORE).iter().map(|s| (s.axes["labels"], s.mean)).collect();
        assert_eq!(means.len(), 2);
        assert!(means[0].0 == 0.1 && (means[0].1 - 0.3).abs() < 1e-12, "{means:?}");
        assert!(means[1].0 == 1.0 && (means[1].1 - 0.7).abs() < 1e-12, "{means:?}");
    }
}
