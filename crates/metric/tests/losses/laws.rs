//! What holds for every loss: nothing to learn costs nothing, degenerate rows keep gradients finite, extreme settings
//! stay finite, no number in is no number out, and neither the order of a batch nor the scale of normalised embeddings
//! nor the number of threads matters.

use super::*;
use metric::{
    MetricError, Reducer,
    losses::{
        Angular, Circle, Contrastive, FastAp, GeneralizedLiftedStructure, Histogram, IntraPairVariance,
        LiftedStructure, Margin, MultiSimilarity, NPairs, NcaLoss, NtXent, Penalty, Pnp, RankedList, SnrContrastive,
        SupCon, ThresholdConsistentMargin, TripletMargin, TupletMargin,
    },
};
use proptest::prelude::*;

const REDUCER: Reducer = Reducer::Mean;

/// The losses that have a hinge or take any distance, on every distance. The mean over all tuples is taken: the mean
/// over the active ones jumps where rounding moves a tuple across its hinge.
fn on_every_distance() -> Vec<Case> {
    let lp = |p, normalized| Distance::Lp { p, power: 1.0, normalized };
    let dot = Distance::Dot { normalized: true };
    let mut cases = Vec::new();
    for distance in [EUCLIDEAN, SQUARED, lp(1.0, true), lp(3.0, true), Distance::Cosine, dot, Distance::Snr] {
        let [positive_margin, negative_margin] = if distance.is_inverted() { [1.0, 0.0] } else { [0.0, 1.0] };
        let contrastive = Contrastive { positive_margin, negative_margin, reducer: REDUCER };
        cases.push(Case::new(distance, contrastive));
        for (smooth, swap) in [(false, false), (true, false), (false, true)] {
            cases.push(Case::new(distance, TripletMargin { margin: 0.2, smooth, swap, reducer: REDUCER }));
        }
        cases.push(Case::new(distance, MultiSimilarity { beta: 5.0, ..MultiSimilarity::default() }));
        cases.push(Case::new(distance, NtXent { temperature: 0.5, ..NtXent::default() }));
        cases.push(Case::new(distance, SupCon { temperature: 0.5, ..SupCon::default() }));
        cases.push(Case::new(distance, NcaLoss::default()));
        cases.push(Case::new(distance, LiftedStructure::default()));
        cases.push(Case::new(distance, GeneralizedLiftedStructure::default()));
        cases.push(Case::new(distance, IntraPairVariance::default()));
    }
    cases
}

/// The other losses, on their own distance.
fn on_one_distance() -> Vec<Case> {
    let penalty = |penalty| Case::own(Pnp { penalty, anneal: 0.1 });
    vec![
        Case::own(Margin { reducer: REDUCER, ..Margin::default() }),
        Case::own(Circle { gamma: 8.0, reducer: REDUCER, ..Circle::default() }),
        Case::own(FastAp::default()),
        Case::own(Angular::default()),
        Case::own(TupletMargin { scale: 8.0, ..TupletMargin::default() }),
        Case::own(SnrContrastive::default()),
        Case::own(Histogram::default()),
        Case::own(RankedList::default()),
        Case::own(ThresholdConsistentMargin::default()),
        penalty(Penalty::Linear),
        penalty(Penalty::Increasing),
        penalty(Penalty::BoundedIncreasing { b: 2.0 }),
        penalty(Penalty::Decreasing),
        penalty(Penalty::Quickly { alpha: 1.0 }),
    ]
}

fn every_loss() -> Vec<Case> {
    let mut cases = on_every_distance();
    cases.extend(on_one_distance());
    cases.push(Case::new(UNNORMALIZED, TripletMargin::default()));
    cases.push(Case::own(NPairs::default()));
    cases
}

fn assert_nothing(what: &str, (value, gradient): (f32, Vec<f32>)) {
    assert_eq!(value, 0.0, "{what}");
    assert!(gradient.iter().all(|g| *g == 0.0), "{what}: {gradient:?}");
}

#[test]
fn batches_without_tuples_cost_nothing() {
    let rows = [[1.0, 2.0, 0.0], [0.5, -1.0, 0.1], [-3.0, 1.0, 0.2]].map(Vec::from);
    let nothing = Tuples::Pairs { positive: Vec::new(), negative: Vec::new() };
    for device in devices() {
        for case in every_loss() {
            let got = evaluate(&rows[..1], &device, |x| case.of(x, &[0]));
            assert_nothing(&format!("one row, {case:?}"), got);
            let on = Pairwise::new(case.distance, tensor(&rows, &device), &[0, 0, 1], None).unwrap();
            // These rank the labels of the whole batch; tuples weigh them, or are refused.
            let whole = ["NcaLoss", "FastAp", "RankedList", "Pnp"];
            if !whole.iter().any(|name| format!("{:?}", case.loss).starts_with(name)) {
                let got = evaluate(&rows, &device, |x| case.over(x, &[0, 0, 1], None, Some(&nothing)));
                assert_nothing(&format!("nothing mined, {case:?}"), got);
                let values = case.loss.values(&on, Some(&nothing)).unwrap();
                assert!(values.iter().flatten().all(|value| *value == 0.0), "{case:?}: {values:?}");
            }
        }
        assert_nothing("dynamic", evaluate(&rows, &device, |x| first_dynamic_soft_margin(x, &[0, 1, 2])));
    }
}

#[test]
fn triplet_losses_need_both_kinds() {
    let rows = [[1.0, 2.0], [0.5, -1.0], [-3.0, 1.0]].map(Vec::from);
    let cases = || {
        let swap = TripletMargin { swap: true, ..TripletMargin::default() };
        [
            Case::own(TripletMargin::default()),
            Case::own(swap),
            Case::own(Margin::default()),
            Case::own(NtXent::default()),
        ]
    };
    for device in devices() {
        for case in cases() {
            assert_nothing("no positives", evaluate(&rows, &device, |x| case.of(x, &[0, 1, 2])));
            assert_nothing("no negatives", evaluate(&rows, &device, |x| case.of(x, &[0, 0, 0])));
        }
    }
}

/// The derivative of a norm has no limit at zero; a loss whose slope per distance is of order one must not show it.
#[test]
fn coincident_points_do_not_blow_the_gradient_up() {
    let (a, b) = (vec![0.3, -0.8, 0.5], vec![0.9, 0.1, -0.4]);
    let rows = [a.clone(), a.clone(), b.clone(), b, a];
    for device in devices() {
        for case in every_loss() {
            let (value, gradient) = evaluate(&rows, &device, |x| case.of(x, &[0, 0, 0, 1, 1]));
            assert!(value.is_finite(), "{case:?}: {value}");
            assert!(gradient.iter().all(|g| g.abs() < 1000.0), "{case:?}: {gradient:?}");
        }
    }
}

#[test]
fn zero_rows_have_a_finite_gradient() {
    let some = [[0.0, 0.0, 0.0], [0.3, -0.8, 0.5], [0.0, 0.0, 0.0], [0.9, 0.1, -0.4]].map(Vec::from);
    let all = [[0.0; 3]; 4].map(Vec::from);
    for device in devices() {
        for case in every_loss() {
            for (rows, labels) in [(&some, [0, 0, 1, 1]), (&some, [0, 1, 0, 1]), (&all, [0, 0, 1, 1])] {
                let (value, gradient) = evaluate(rows, &device, |x| case.of(x, &labels));
                assert!(value.is_finite(), "{case:?}, {labels:?}: {value}");
                assert!(gradient.iter().all(|g| g.is_finite()), "{case:?}, {labels:?}: {gradient:?}");
            }
        }
    }
}

#[test]
fn extreme_settings_stay_finite() {
    let rows = [[1.0, 0.1, 0.0], [0.9, 0.2, 0.1], [-1.0, 0.3, 0.2], [-0.2, 1.0, -0.4], [0.3, 0.2, 1.0]].map(Vec::from);
    let cases = || {
        [
            Case::own(NtXent { temperature: 1e-4, ..NtXent::default() }),
            Case::own(SupCon { temperature: 1e-4, ..SupCon::default() }),
            Case::own(MultiSimilarity { alpha: 1e4, beta: 1e4, ..MultiSimilarity::default() }),
            Case::own(Circle { gamma: 1e4, ..Circle::default() }),
            Case::own(TupletMargin { scale: 1e4, ..TupletMargin::default() }),
            Case::own(NcaLoss { scale: 1e4, ..NcaLoss::default() }),
            Case::own(RankedList { negative_temperature: 1e4, positive_temperature: 1e4, ..RankedList::default() }),
            Case::own(Pnp { anneal: 1e-6, ..Pnp::default() }),
            Case::own(Angular { alpha: 89.0, ..Angular::default() }),
            Case::own(Histogram { bins: 1 }),
            Case::own(FastAp { bins: 1, ..FastAp::default() }),
        ]
    };
    for device in devices() {
        for case in cases() {
            let (value, gradient) = evaluate(&rows, &device, |x| case.of(x, &[0, 0, 0, 1, 1]));
            assert!(value.is_finite() && value > -1e-6, "{case:?}: {value}");
            assert!(gradient.iter().all(|g| g.is_finite()), "{case:?}: {gradient:?}");
        }
    }
}

#[test]
fn what_is_no_number_reaches_the_loss() {
    let rows = [[1.0, 0.1], [f64::NAN, 0.2], [-1.0, 0.3], [-0.2, 1.0]].map(Vec::from);
    for device in devices() {
        for case in every_loss() {
            let value = case.of(tensor(&rows, &device), &[0, 0, 1, 1]).into_scalar::<f32>();
            assert!(value.is_nan(), "{case:?}: {value}");
        }
    }
}

#[test]
fn losses_refuse_what_they_are_not_defined_for() {
    let rows = [[1.0, 0.1], [0.3, 0.2], [-1.0, 0.3]].map(Vec::from);
    let device = &devices()[0];
    let refused = |distance: Distance, loss: &dyn PairLoss, tuples: Option<&Tuples>| {
        let on = Pairwise::new(distance, tensor(&rows, device), &[0, 0, 1], None).unwrap();
        loss.forward(&on, tuples).unwrap_err()
    };
    let cosine: [&dyn PairLoss; 6] = [
        &Circle::default(),
        &TupletMargin::default(),
        &Angular::default(),
        &Histogram::default(),
        &Pnp::default(),
        &ThresholdConsistentMargin::default(),
    ];
    for loss in cosine {
        assert!(matches!(refused(EUCLIDEAN, loss, None), MetricError::Distance { .. }), "{loss:?}");
    }
    let distances: [&dyn PairLoss; 3] = [&FastAp::default(), &RankedList::default(), &SnrContrastive::default()];
    for loss in distances {
        assert!(matches!(refused(Distance::Cosine, loss, None), MetricError::Distance { .. }), "{loss:?}");
    }
    let outside = Tuples::Triplets(vec![metric::Triplet { anchor: 0, positive: 1, negative: 3 }]);
    let error = refused(EUCLIDEAN, &TripletMargin::default(), Some(&outside));
    assert_eq!(error, MetricError::Tuple { what: "reference", index: 3, rows: 3 });
    assert!(matches!(refused(EUCLIDEAN, &RankedList::default(), Some(&outside)), MetricError::Tuple { .. }));
    let divided = Contrastive { reducer: Reducer::Divisor, ..Contrastive::default() };
    assert_eq!(refused(EUCLIDEAN, &divided, None), MetricError::NoDivisor);
    assert_eq!(divided.validate(), Err(MetricError::NoDivisor), "before anything is computed");
    let weighted = Contrastive { reducer: Reducer::ClassWeighted { weights: vec![1.0] }, ..Contrastive::default() };
    assert_eq!(refused(EUCLIDEAN, &weighted, None), MetricError::ClassWeight { class: 1, classes: 1 });
    let cold = NtXent { temperature: 0.0, ..NtXent::default() };
    assert!(matches!(refused(Distance::Cosine, &cold, None), MetricError::Setting { name: "temperature", .. }));
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

/// Losses whose value neither jumps where rounding moves a distance nor divides by a variance that may be small.
fn continuous() -> Vec<Case> {
    let jumps = ["ThresholdConsistentMargin", "RankedList"];
    let mut cases = on_every_distance();
    cases.extend(on_one_distance());
    cases.retain(|case| {
        let name = format!("{:?}", case.loss);
        case.distance != Distance::Snr && !jumps.iter().any(|jump| name.starts_with(jump))
    });
    cases
}

fn equal(a: f32, b: f32) -> bool {
    (a - b).abs() <= 2e-4 * (1.0 + a.abs())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn the_order_of_a_batch_does_not_matter(rows in batch(), labels in labels(), order in order()) {
        let shuffled: Rows = order.iter().map(|i| rows[*i].clone()).collect();
        let shuffled_labels: Vec<usize> = order.iter().map(|i| labels[*i]).collect();
        for device in devices() {
            for case in continuous() {
                let before = case.of(tensor(&rows, &device), &labels).into_scalar::<f32>();
                let after = case.of(tensor(&shuffled, &device), &shuffled_labels).into_scalar::<f32>();
                prop_assert!(equal(before, after), "{case:?}: {before} {after}");
            }
        }
    }

    #[test]
    fn the_scale_of_normalised_embeddings_does_not_matter(
        rows in batch(), labels in labels(), scale in 0.1..10.0f64,
    ) {
        let scaled: Rows = rows.iter().map(|row| row.iter().map(|v| v * scale).collect()).collect();
        for device in devices() {
            // The angular loss takes negatives as they are.
            for case in continuous().iter().filter(|case| !format!("{:?}", case.loss).starts_with("Angular")) {
                let before = case.of(tensor(&rows, &device), &labels).into_scalar::<f32>();
                let after = case.of(tensor(&scaled, &device), &labels).into_scalar::<f32>();
                prop_assert!(equal(before, after), "{case:?}: {before} {after}");
            }
        }
    }
}
