//! Retrieval scores against pytorch-metric-learning, Open Metric Learning's ranking, and a naive full sort.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{golden, labels, matrix, noise};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// Mean of (precision at 1, R-precision, MAP@R, MAP, MRR).
fn summary(scores: &RetrievalScores) -> [f64; 5] {
    [scores.recall_at[0].1, scores.r_precision, scores.map_at_r, scores.mean_average_precision, scores.mrr]
}

/// The definitions, by sorting everything in `f64`.
fn naive(
    queries: &Matrix,
    query_labels: &[usize],
    references: &Matrix,
    reference_labels: &[usize],
    exclude_self: bool,
) -> PerQuery {
    let mut scores = PerQuery::default();
    for (i, q) in queries.iter_rows().enumerate() {
        let mut order: Vec<(f64, usize)> = references
            .iter_rows()
            .enumerate()
            .filter(|&(j, _)| !(exclude_self && i == j))
            .map(|(j, r)| (q.iter().zip(r).map(|(a, b)| f64::from(a - b).powi(2)).sum(), j))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let hits: Vec<bool> = order.iter().map(|&(_, j)| reference_labels[j] == query_labels[i]).collect();
        let relevant = hits.iter().filter(|&&hit| hit).count();
        if relevant == 0 {
            scores.lone.push(i);
            continue;
        }
        let precision = |at: usize| hits[..=at].iter().filter(|&&hit| hit).count() as f64 / (at + 1) as f64;
        let average = |depth: usize| (0..depth).filter(|&at| hits[at]).map(precision).sum::<f64>() / relevant as f64;
        scores.query.push(i);
        scores.first_rank.push(hits.iter().position(|&hit| hit).unwrap() as u32 + 1);
        scores.r_precision.push(hits[..relevant].iter().filter(|&&hit| hit).count() as f64 / relevant as f64);
        scores.map_at_r.push(average(relevant));
        scores.average_precision.push(average(hits.len()));
    }
    scores
}

fn assert_same(found: &PerQuery, expected: &PerQuery) {
    assert_eq!((&found.query, &found.lone), (&expected.query, &expected.lone));
    assert_eq!(found.first_rank, expected.first_rank);
    let pairs = [
        (&found.r_precision, &expected.r_precision),
        (&found.map_at_r, &expected.map_at_r),
        (&found.average_precision, &expected.average_precision),
    ];
    for (found, expected) in pairs {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(&a, &b)| close(a, b)));
    }
}

#[test]
fn matches_pytorch_metric_learning() {
    let file = golden("metric.json");
    let fixture = &file["retrieval"];
    let (queries, query_labels) = (matrix(&fixture["query"]), labels(&fixture["query_labels"]));
    let (gallery, gallery_labels) = (matrix(&fixture["gallery"]), labels(&fixture["gallery_labels"]));
    let cases =
        [("query_against_gallery", Some((&gallery, gallery_labels.as_slice()))), ("query_against_itself", None)];
    for (name, references) in cases {
        let found = retrieval(&queries, &query_labels, references, Distance::Euclidean, &[1]).unwrap();
        let names = [
            "precision_at_1",
            "r_precision",
            "mean_average_precision_at_r",
            "mean_average_precision",
            "mean_reciprocal_rank",
        ];
        for (value, key) in summary(&found).into_iter().zip(names) {
            let expected = fixture[name][key].as_f64().unwrap();
            assert!(close(value, expected), "{name} {key}: {value} instead of {expected}");
        }
        assert_eq!((found.queries, found.lone_queries), (60, 0));
    }
}

/// One query from a relevance row; `relevant` may exceed what the row shows.
fn from_row(row: &[u8], relevant: usize) -> PerQuery {
    let ranks: Vec<u32> = (1u32..).zip(row).filter(|&(_, &hit)| hit == 1).map(|(rank, _)| rank).collect();
    let mut scores = PerQuery::default();
    scores.push(0, &ranks, relevant);
    scores
}

/// pytorch-metric-learning, tests/utils/test_calculate_accuracies.py: rankings of five neighbours, seen in part.
#[test]
fn matches_the_partial_rankings_of_pytorch_metric_learning() {
    // Rows for the query labels 1 1 2 3 4 (the sixth has no hit among its five neighbours).
    let rows: [[u8; 5]; 5] = [[0, 1, 1, 0, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [1, 0, 1, 0, 1], [0, 0, 1, 0, 0]];
    let relevant = [3, 3, 5, 4, 5];
    let r_precision = [2.0 / 3.0, 2.0 / 3.0, 0.2, 0.5, 0.2];
    let third = 2.0 / 3.0;
    let map_at_r = [(0.5 + third) / 3.0, (1.0 + third) / 3.0, 0.2 / 5.0, (1.0 + third) / 4.0, (1.0 / 3.0) / 5.0];
    let map =
        [(0.5 + third) / 3.0, (1.0 + third + 0.75) / 3.0, 0.2 / 5.0, (1.0 + third + 0.6) / 4.0, (1.0 / 3.0) / 5.0];
    let mrr = [0.5, 1.0, 0.2, 1.0, 1.0 / 3.0];
    for i in 0..5 {
        let scores = from_row(&rows[i], relevant[i]);
        assert!(close(scores.r_precision[0], r_precision[i]), "R-precision of {i}");
        assert!(close(scores.map_at_r[0], map_at_r[i]), "MAP@R of {i}");
        assert!(close(scores.average_precision[0], map[i]), "MAP of {i}");
        assert!(close(scores.reciprocal_rank()[0], mrr[i]), "MRR of {i}");
    }
}

/// Open Metric Learning's exact relevance rows, with pytorch-metric-learning's definitions.
#[test]
fn matches_exact_relevance_rows() {
    let rows: [[u8; 5]; 6] =
        [[1, 1, 0, 1, 0], [1, 0, 0, 1, 1], [0, 1, 1, 0, 1], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0]];
    let mut all = PerQuery::default();
    for row in &rows {
        all.append(from_row(row, row.iter().map(|&hit| usize::from(hit)).sum()));
    }
    let scores = all.means(&[1, 2, 3, 4]).unwrap();
    assert_eq!(scores.recall_at, [(1, 3.0 / 6.0), (2, 4.0 / 6.0), (3, 5.0 / 6.0), (4, 1.0)]);
    assert!(close(scores.r_precision, 0.5));
    assert!((scores.map_at_r - 0.416_667).abs() < 1e-6);
    assert!((scores.mean_average_precision - 0.655_556).abs() < 1e-6);
    assert!((scores.mrr - 0.680_556).abs() < 1e-6);
}

/// pytorch-metric-learning, case 2: the references begin with the queries; ties are by index.
#[test]
fn matches_references_that_begin_with_the_queries() {
    let queries = Matrix::from_fn(10, 1, |i, _| i as f32);
    let references = Matrix::from_fn(20, 1, |i, _| if i < 10 { i as f32 } else { i as f32 - 9.5 });
    let query_labels: Vec<usize> = (0..10).collect();
    let reference_labels: Vec<usize> = (0..20).map(|i| if i < 10 { i } else { 1 }).collect();
    let q = Prepared::new("queries", &queries, Distance::Euclidean).unwrap();
    let r = Prepared::new("references", &references, Distance::Euclidean).unwrap();
    let pair = Pair::new(&q, &r, Distance::Euclidean, true).unwrap();
    let scores = score_queries(&pair, &query_labels, &reference_labels).means(&[1]).unwrap();
    let terms =
        [1.0, 1.0, 3.0 / 5.0, 4.0 / 7.0, 5.0 / 9.0, 6.0 / 11.0, 7.0 / 13.0, 8.0 / 15.0, 9.0 / 17.0, 10.0 / 19.0];
    let sum = |count: usize| terms[..count].iter().sum::<f64>() / 10.0;
    let expected = [1.0, 0.5, sum(5), sum(10), 1.0];
    assert!(summary(&scores).into_iter().zip(expected).all(|(a, b)| close(a, b)), "{scores:?}");
    assert_eq!((scores.queries, scores.lone_queries), (1, 9));
}

/// pytorch-metric-learning, case 3.
#[test]
fn matches_one_misplaced_query() {
    let queries = Matrix::from_fn(10, 1, |i, _| if i == 9 { 100.0 } else { i as f32 });
    let references = Matrix::from_fn(10, 1, |i, _| if i == 0 { -100.0 } else { i as f32 });
    let query_labels: Vec<usize> = (0..10).map(|i| usize::from(i == 9)).collect();
    let reference_labels: Vec<usize> = (0..10).map(|i| usize::from(i == 0)).collect();
    let found =
        retrieval(&queries, &query_labels, Some((&references, reference_labels.as_slice())), Distance::Euclidean, &[1])
            .unwrap();
    let expected = [0.9, 0.9, 0.9, 0.91];
    assert!(summary(&found).into_iter().zip(expected).all(|(a, b)| close(a, b)), "{found:?}");
}

#[test]
fn counts_lone_queries_and_rejects_all_lone() {
    let queries = Matrix::from_fn(7, 1, |i, _| i as f32);
    let references = Matrix::from_fn(9, 1, |i, _| i as f32);
    let (query_labels, reference_labels) = ([0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 2, 2, 3, 4, 5]);
    let found = retrieval_per_query(
        &queries,
        &query_labels,
        Some((&references, reference_labels.as_slice())),
        Distance::Euclidean,
    );
    assert_eq!(found.unwrap().lone, [6]);
    let own = retrieval_per_query(&references, &reference_labels, None, Distance::Euclidean).unwrap();
    assert_eq!((own.lone, own.query), (vec![3, 6, 7, 8], vec![0, 1, 2, 4, 5]));
    assert_eq!(
        retrieval(&queries, &query_labels, None, Distance::Euclidean, &[1]),
        Err(EvalError::NoRelevant { queries: 7 })
    );
}

#[test]
fn rejects_bad_cutoffs_and_shapes() {
    let points = Matrix::from_fn(4, 2, |i, j| (i + j) as f32);
    let run = |labels: &[usize], ks: &[usize]| retrieval(&points, labels, None, Distance::Cosine, ks);
    assert_eq!(run(&[0, 0, 1, 1], &[4]), Err(EvalError::TooManyNeighbors { k: 4, available: 3 }));
    assert!(matches!(run(&[0, 0, 1, 1], &[0]), Err(EvalError::Setting { name: "ks", .. })));
    assert_eq!(run(&[0, 0, 1], &[1]), Err(EvalError::LabelCount { what: "queries", rows: 4, labels: 3 }));
}

#[test]
fn many_relevant_references_and_skewed_keys_keep_exact_ranks() {
    // One far outlier squeezes all other keys into a single cell of the table.
    let points = Matrix::from_fn(700, 3, |i, j| if i == 650 { 4096.0 } else { (noise(i * 3 + j) * 4.0).round() });
    let classes: Vec<usize> = (0..700).map(|i| i % 2).collect();
    let found = retrieval_per_query(&points, &classes, None, Distance::Euclidean).unwrap();
    assert_same(&found, &naive(&points, &classes, &points, &classes, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// On a grid all arithmetic is exact and ties abound: values equal those of a full sort.
    #[test]
    fn matches_a_full_sort(
        queries in 2usize..60, references in 2usize..150, cols in 1usize..4, classes in 1usize..6, seed in 0usize..1000,
        own in any::<bool>(),
    ) {
        let grid = |i: usize, j: usize| (noise(seed * 10_000 + i * 4 + j) * 3.0).round();
        let label = |i: usize| (noise(seed * 77_777 + i + 500_000).abs() * classes as f32) as usize;
        let q = Matrix::from_fn(queries, cols, grid);
        let q_labels: Vec<usize> = (0..queries).map(label).collect();
        let r = Matrix::from_fn(references, cols, |i, j| grid(i + 1000, j));
        let r_labels: Vec<usize> = (0..references).map(|i| label(i + 1000)).collect();
        let (found, expected) = if own {
            (retrieval_per_query(&q, &q_labels, None, Distance::Euclidean), naive(&q, &q_labels, &q, &q_labels, true))
        } else {
            let references = Some((&r, r_labels.as_slice()));
            let found = retrieval_per_query(&q, &q_labels, references, Distance::Euclidean);
            (found, naive(&q, &q_labels, &r, &r_labels, false))
        };
        match found {
            Ok(found) => assert_same(&found, &expected),
            Err(error) => {
                prop_assert_eq!(error, EvalError::NoRelevant { queries });
                prop_assert!(expected.query.is_empty());
            }
        }
    }
}
