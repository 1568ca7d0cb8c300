//! Reports that the tests share.

use super::{
    Budget, Confused, Cost, DatasetInfo, FigureSet, Figures, MethodFigures, Paradigm, Png, Query, Report, Row, Shown,
    Similarities, Status, Tuned, TunedSetting, Tuning,
};
use std::collections::BTreeMap;

/// A finished row with these scores.
pub(super) fn row(method: &str, paradigm: Paradigm, seed: u64, scores: &[(&str, f64)]) -> Row {
    Row {
        method: method.into(),
        paradigm,
        seed,
        labels_used: if paradigm == Paradigm::Metric { 600 } else { 0 },
        scores: scores.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        cost: Cost {
            train_seconds: 2.0,
            images_per_second: 300.0,
            peak_memory_bytes: None,
            steps: 10,
            images_seen: 640,
        },
        run: String::new(),
        axes: BTreeMap::new(),
        status: Status::Ok,
        notes: Vec::new(),
        checkpoint: None,
        curve: Vec::new(),
        monitors: BTreeMap::new(),
        bootstrap: BTreeMap::new(),
        parts: BTreeMap::new(),
    }
}

/// Rows of one method, one seed after the other from 1, for one score.
pub(super) fn seeds(method: &str, paradigm: Paradigm, score: &str, values: &[f64]) -> Vec<Row> {
    (1..).zip(values).map(|(seed, value)| row(method, paradigm, seed, &[(score, *value)])).collect()
}

/// A stream of nearly normal values with deviation 1: sums of twelve evenly spread ones.
pub(super) fn normal() -> impl FnMut() -> f64 {
    let mut state = 1u64;
    move || {
        let mut even = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..12).map(|_| even()).sum::<f64>() - 6.0
    }
}

/// The same rows at a value of an axis.
pub(super) fn at(axis: &str, value: f64, mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.axes.insert(axis.into(), value);
    }
    rows
}

/// A baseline, two metric and two contrastive methods, three seeds, on a data set with a hostile name. Not summarised.
pub(super) fn head_to_head() -> Report {
    let methods = [
        ("pixels", Paradigm::Baseline, 0.30, 0.40),
        ("triplet", Paradigm::Metric, 0.80, 0.50),
        ("siamese", Paradigm::Metric, 0.70, 0.45),
        ("simclr", Paradigm::Contrastive, 0.50, 0.70),
        ("moco", Paradigm::Contrastive, 0.45, 0.65),
    ];
    let mut rows = Vec::new();
    for (method, paradigm, retrieval, transfer) in methods {
        // The families differ by other amounts in other seeds.
        let shifts = if paradigm == Paradigm::Contrastive { [0.0, -0.01, 0.01] } else { [-0.01, 0.0, 0.01] };
        for (seed, shift) in (1..).zip(shifts) {
            // Two digits, which every JSON parser brings back exactly.
            let shifted = |score: f64| ((score + shift) * 100.0).round() / 100.0;
            let scores =
                [("retrieval.seen.map_at_r", shifted(retrieval)), ("transfer.unseen.linear_probe", shifted(transfer))];
            rows.push(row(method, paradigm, seed, &scores));
        }
    }
    Report {
        version: "0.1.0".into(),
        command: "compare run --seeds 3".into(),
        backend: "flex".into(),
        device: "CPU".into(),
        dataset: DatasetInfo {
            name: "<script>alert('x')</script> & | \"shapes\"".into(),
            classes: 10,
            seen_classes: 7,
            unseen_classes: 3,
            train: 600,
            validation: 100,
            test: 300,
            unseen_class_names: vec!["cat".into(), "<script>dog".into(), "ship".into()],
            ..DatasetInfo::default()
        },
        budget: Budget { epochs: 2, steps: 20, images_seen: 1200, batch: 64 },
        encoder: "conv4".into(),
        settings: serde_json::json!({ "data": { "images": 1000 }, "methods": ["triplet", "simclr"], "lr": 0.5 })
            .as_object()
            .cloned()
            .unwrap_or_default(),
        rows,
        ..Report::default()
    }
}

/// The search of one method and one setting.
pub(super) fn tuning() -> Tuning {
    let setting = TunedSetting {
        name: "optimizer.learning_rate".into(),
        prior: "log-uniform, 0.0001 to 0.01".into(),
        given: "0.001".into(),
        chosen: "0.004".into(),
    };
    let tuned = Tuned {
        method: "simclr".into(),
        trials: 20,
        failed: 0,
        given: Some(0.5),
        best: Some(0.625),
        best_trial: Some(7),
        settings: vec![setting],
    };
    Tuning { statement: vec!["Equal effort: every method has 20 trials.".into()], methods: vec![tuned] }
}

/// The pictures of two methods of [`head_to_head`].
pub(super) fn figures() -> Figures {
    let points: Vec<Shown> = [(3, 0), (7, 1), (9, 0)].map(|(item, class)| Shown { item, class }).into();
    let method = |name: &str| MethodFigures {
        method: name.into(),
        seed: 1,
        map: vec![[0.5, -0.25], [-1.0, 0.5], [0.25, 0.0]],
        tsne: vec![[4.0, 0.0], [-8.0, 1.0], [4.0, -1.0]],
        explained: vec![0.6, 0.25],
        spectrum: vec![1.0, 0.5, 0.05],
        similarities: Some(Similarities {
            measure: "cosine similarity".into(),
            low: -1.0,
            high: 1.0,
            positives: vec![0.0, 0.1, 0.3, 0.6],
            negatives: vec![0.6, 0.3, 0.1, 0.0],
        }),
        gallery: vec![Query {
            place: "worst".into(),
            score: 0.5,
            query: points[0],
            neighbors: vec![points[1], points[2]],
        }],
        confused: vec![Confused { class: 0, taken_for: 1, count: 3, of: 12 }],
    };
    let thumbnails = [(3, Png::new(&[1, 2, 3])), (7, Png::new(&[4, 5, 6]))].into();
    Figures {
        sets: vec![FigureSet {
            run: String::new(),
            unseen: false,
            classes: vec!["cat".into(), "<script>dog".into()],
            methods: ["triplet", "simclr"].map(method).into(),
            points: points.clone(),
            thumbnails,
        }],
    }
}
