//! What holds for every loss: nothing to learn costs nothing, degenerate rows keep gradients finite, and neither the
//! order of a batch nor the scale of normalised embeddings matters.

mod common;

use common::{Loss, Rows, devices, evaluate, tensor};
use metric::{
    Distance, Pairwise, Reducer,
    losses::{Contrastive, SupCon, TripletMargin},
};
use proptest::prelude::*;

const NORMALIZED: [Distance; 3] = [
    Distance::Euclidean { normalized: true, squared: false },
    Distance::Euclidean { normalized: true, squared: true },
    Distance::Cosine,
];
const UNNORMALIZED: Distance = Distance::Euclidean { normalized: false, squared: false };

/// Every loss on `distances`. The mean over all tuples is taken: the mean over the active ones jumps where rounding
/// moves a tuple across its hinge.
fn losses(distances: &[Distance]) -> Vec<Loss> {
    let reducer = Reducer::Mean;
    let mut losses = vec![Loss::SupCon(SupCon::default())];
    for &distance in distances {
        let [positive_margin, negative_margin] = if distance.is_inverted() { [1.0, 0.0] } else { [0.0, 1.0] };
        losses.push(Loss::Contrastive(distance, Contrastive { positive_margin, negative_margin, reducer }));
        for smooth in [false, true] {
            losses.push(Loss::Triplet(distance, TripletMargin { margin: 0.2, smooth, reducer }));
        }
    }
    losses
}

fn every_loss() -> Vec<Loss> {
    let mut distances = NORMALIZED.to_vec();
    distances.push(UNNORMALIZED);
    losses(&distances)
}

fn assert_nothing(what: &str, (value, gradient): (f32, Vec<f32>)) {
    assert_eq!(value, 0.0, "{what}");
    assert!(gradient.iter().all(|g| *g == 0.0), "{what}: {gradient:?}");
}

#[test]
fn batches_without_tuples_cost_nothing() {
    let rows = [[1.0, 2.0], [0.5, -1.0], [-3.0, 1.0]].map(Vec::from);
    for device in devices() {
        for loss in every_loss() {
            assert_nothing(&format!("one row, {loss:?}"), evaluate(&rows[..1], &device, |x| loss.of(x, &[0])));
            if !matches!(loss, Loss::Contrastive(..)) {
                let got = evaluate(&rows, &device, |x| loss.of(x, &[0, 1, 2]));
                assert_nothing(&format!("no positives, {loss:?}"), got);
            }
            if matches!(loss, Loss::Triplet(..)) {
                let got = evaluate(&rows, &device, |x| loss.of(x, &[0, 0, 0]));
                assert_nothing(&format!("no negatives, {loss:?}"), got);
            }
        }
        let nothing_mined = evaluate(&rows, &device, |x| {
            let pairwise = Pairwise::new(Distance::default(), x, &[0, 0, 1], None).unwrap();
            TripletMargin::default().forward(&pairwise, Some(&[]))
        });
        assert_nothing("no triplets", nothing_mined);
    }
}

/// The derivative of a norm has no limit at zero; a loss whose slope per distance is at most one must not show it.
#[test]
fn coincident_points_do_not_blow_the_gradient_up() {
    let (a, b) = (vec![0.3, -0.8, 0.5], vec![0.9, 0.1, -0.4]);
    let rows = [a.clone(), a.clone(), b.clone(), b, a];
    for device in devices() {
        for loss in every_loss() {
            let (value, gradient) = evaluate(&rows, &device, |x| loss.of(x, &[0, 0, 0, 1, 1]));
            assert!(value.is_finite(), "{loss:?}: {value}");
            assert!(gradient.iter().all(|g| g.abs() < 100.0), "{loss:?}: {gradient:?}");
        }
    }
}

#[test]
fn zero_rows_have_a_finite_gradient() {
    let some = [[0.0, 0.0, 0.0], [0.3, -0.8, 0.5], [0.0, 0.0, 0.0], [0.9, 0.1, -0.4]].map(Vec::from);
    let all = [[0.0; 3]; 4].map(Vec::from);
    for device in devices() {
        for loss in every_loss() {
            for (rows, labels) in [(&some, [0, 0, 1, 1]), (&some, [0, 1, 0, 1]), (&all, [0, 0, 1, 1])] {
                let (value, gradient) = evaluate(rows, &device, |x| loss.of(x, &labels));
                assert!(value.is_finite(), "{loss:?}, {labels:?}: {value}");
                assert!(gradient.iter().all(|g| g.is_finite()), "{loss:?}, {labels:?}: {gradient:?}");
            }
        }
    }
}

const BATCH: usize = 8;

/// Rows that have a direction.
fn batch() -> impl Strategy<Value = Rows> {
    let row = prop::collection::vec(-1.0..1.0f64, 4)
        .prop_filter("a row near zero", |row| row.iter().map(|v| v * v).sum::<f64>() > 0.01);
    prop::collection::vec(row, BATCH)
}

fn labels() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..3, BATCH)
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..BATCH).collect::<Vec<_>>()).prop_shuffle()
}

fn equal(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * (1.0 + a.abs())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn the_order_of_a_batch_does_not_matter(rows in batch(), labels in labels(), order in order()) {
        let shuffled: Rows = order.iter().map(|i| rows[*i].clone()).collect();
        let shuffled_labels: Vec<usize> = order.iter().map(|i| labels[*i]).collect();
        for device in devices() {
            for loss in every_loss() {
                let before = loss.of(tensor(&rows, &device), &labels).into_scalar::<f32>();
                let after = loss.of(tensor(&shuffled, &device), &shuffled_labels).into_scalar::<f32>();
                prop_assert!(equal(before, after), "{loss:?}: {before} {after}");
            }
        }
    }

    #[test]
    fn the_scale_of_normalised_embeddings_does_not_matter(
        rows in batch(), labels in labels(), scale in 0.1..10.0f64,
    ) {
        let scaled: Rows = rows.iter().map(|row| row.iter().map(|v| v * scale).collect()).collect();
        for device in devices() {
            for loss in losses(&NORMALIZED) {
                let before = loss.of(tensor(&rows, &device), &labels).into_scalar::<f32>();
                let after = loss.of(tensor(&scaled, &device), &labels).into_scalar::<f32>();
                prop_assert!(equal(before, after), "{loss:?}: {before} {after}");
            }
        }
    }
}
