//! The setting at which the methods of a sweep stand for themselves.

use super::{
    Row,
    axis::{LABELS, NOISE},
};
use std::collections::{BTreeMap, BTreeSet};

/// The usual settings of a run's methods: one value for each axis, the same for all of them, so that no two are compared at
/// different ones.
pub(super) struct Usual<'a> {
    of_method: BTreeMap<&'a str, &'a BTreeMap<String, f64>>,
}

impl<'a> Usual<'a> {
    /// From the finished rows of a run. Of the values that most methods have it takes, axis by axis, the most labels, the
    /// least noise, and else the middle one, as one sweeps around the usual value.
    pub fn of(rows: &[&'a Row]) -> Self {
        let mut rows: Vec<&'a Row> = rows.to_vec();
        let mut axes: Vec<&str> = rows.iter().flat_map(|row| row.axes.keys().map(String::as_str)).collect();
        // Labels first: they say most of what a row is worth.
        axes.sort_by_key(|axis| (*axis != LABELS, *axis != NOISE, *axis));
        axes.dedup();
        for axis in axes {
            let usual = value(&rows, axis);
            rows.retain(|row| row.axes.get(axis).is_none_or(|own| Some(*own) == usual));
        }
        let mut of_method: BTreeMap<&str, &BTreeMap<String, f64>> = BTreeMap::new();
        for row in rows {
            // Rows of a run without a sweep lie on fewer axes: they are what the sweep varies.
            let own = of_method.entry(&row.method).or_insert(&row.axes);
            if row.axes.len() < own.len() {
                *own = &row.axes;
            }
        }
        Self { of_method }
    }

    /// Whether rows of this method and these settings stand for it. A method that was not measured at the usual value has
    /// none.
    pub fn holds(&self, method: &str, axes: &BTreeMap<String, f64>) -> bool {
        self.of_method.get(method).is_some_and(|own| *own == axes)
    }
}

/// The usual value on an axis among the rows.
fn value(rows: &[&Row], axis: &str) -> Option<f64> {
    let mut methods: Vec<(f64, BTreeSet<&str>)> = Vec::new();
    for row in rows {
        let Some(own) = row.axes.get(axis).copied() else { continue };
        match methods.iter_mut().find(|(value, _)| *value == own) {
            Some((_, known)) => _ = known.insert(&row.method),
            None => methods.push((own, BTreeSet::from([row.method.as_str()]))),
        }
    }
    let most = methods.iter().map(|(_, own)| own.len()).max()?;
    let mut values: Vec<f64> = methods.iter().filter(|(_, own)| own.len() == most).map(|(value, _)| *value).collect();
    values.sort_by(f64::total_cmp);
    match axis {
        LABELS => values.last().copied(),
        NOISE => values.first().copied(),
        _ => values.get(values.len() / 2).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm,
        fixtures::{at, seeds},
    };

    fn rows(method: &str, values: &[f64], axis: &str) -> Vec<Row> {
        let one = |value: &f64| at(axis, *value, seeds(method, Paradigm::Metric, "transfer.seen.knn", &[0.5]));
        values.iter().flat_map(one).collect()
    }

    fn usual(rows: &[Row]) -> Vec<(&str, Vec<f64>)> {
        let rows: Vec<&Row> = rows.iter().collect();
        let usual = Usual::of(&rows);
        let own = rows.into_iter().filter(|row| usual.holds(&row.method, &row.axes));
        own.map(|row| (row.method.as_str(), row.axes.values().copied().collect())).collect()
    }

    #[test]
    fn most_labels_least_noise_and_the_middle() {
        let alone = |values: &[f64], axis: &str| usual(&rows("a", values, axis)).remove(0).1;
        assert_eq!(alone(&[1.0, 0.1, 0.5], "labels"), [1.0]);
        assert_eq!(alone(&[256.0, 64.0, 128.0], "batch"), [128.0]);
        assert_eq!(alone(&[0.4, 0.0, 0.2], "noise"), [0.0]);
        // Along one axis the other stands still.
        let both = at("labels", 1.0, rows("a", &[64.0, 512.0, 128.0], "batch"));
        assert_eq!(usual(&[both, at("labels", 0.1, rows("a", &[256.0], "batch"))].concat()), [("a", vec![128.0, 1.0])]);
        assert!(usual(&[]).is_empty());
    }

    /// A run and a sweep of it that are joined: each method stands once.
    #[test]
    fn rows_without_the_axis_stand_for_their_method() {
        let mut joined = at("labels", 1.0, rows("a", &[256.0], "batch"));
        joined.extend(at("noise", 0.0, joined.clone()));
        joined.extend(at("noise", 0.4, joined[..1].to_vec()));
        joined.extend(at("noise", 0.0, at("labels", 1.0, rows("b", &[256.0], "batch"))));
        assert_eq!(usual(&joined), [("a", vec![256.0, 1.0]), ("b", vec![256.0, 1.0, 0.0])]);
        let mut plain = rows("a", &[1.0, 0.1], "labels");
        plain.extend(seeds("a", Paradigm::Metric, "transfer.seen.knn", &[0.5]));
        assert_eq!(usual(&plain), [("a", vec![])]);
    }

    /// No method stands at a value at which others were not measured.
    #[test]
    fn all_methods_stand_at_one_value() {
        let mut all = rows("a", &[0.1, 0.5], "labels");
        all.extend(rows("b", &[0.1, 0.5, 1.0], "labels"));
        assert_eq!(usual(&all), [("a", vec![0.5]), ("b", vec![0.5])]);
        all.extend(rows("c", &[0.1], "labels"));
        assert_eq!(usual(&all), [("a", vec![0.1]), ("b", vec![0.1]), ("c", vec![0.1])]);
        all.extend(rows("d", &[1.0], "labels"));
        assert_eq!(usual(&all).len(), 3, "d was not measured there");
    }
}
