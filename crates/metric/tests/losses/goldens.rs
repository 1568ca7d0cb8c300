//! Losses and miners against pytorch-metric-learning, on both CPU backends.

use super::*;
use metric::{
    Reducer,
    losses::{
        Angular, Circle, Contrastive, CrossBatchMemory, FastAp, GeneralizedLiftedStructure, Histogram,
        IntraPairVariance, LiftedStructure, Margin, MultiSimilarity, NPairs, NcaLoss, NtXent, Pnp, RankedList,
        SnrContrastive, SupCon, ThresholdConsistentMargin, TripletMargin, TupletMargin,
    },
    miner::{
        AngularMiner, BatchEasyHardMiner, BatchHardMiner, HdcMiner, Miner, MultiSimilarityMiner, PairMarginMiner,
        Strategy, TripletKind, TripletMarginMiner,
    },
};
use std::collections::BTreeSet;

fn contrastive(distance: Distance, [positive_margin, negative_margin]: [f32; 2], reducer: Reducer) -> Case {
    Case::new(distance, Contrastive { positive_margin, negative_margin, reducer })
}

/// The margin 0.2 of the fixture.
fn triplet() -> TripletMargin {
    TripletMargin { margin: 0.2, ..TripletMargin::default() }
}

/// The settings of the fixture's generator under its names; where it takes the original's defaults, ours are taken.
fn fixture_losses() -> Vec<(&'static str, Case)> {
    use Reducer::{AverageNonZero, Mean};
    let lp = |p| Distance::Lp { p, power: 1.0, normalized: true };
    let threshold = Reducer::Threshold { low: Some(0.1), high: Some(0.6) };
    vec![
        ("contrastive", Case::own(Contrastive::default())),
        ("contrastive_cosine", contrastive(Distance::Cosine, [1.0, 0.0], AverageNonZero)),
        ("contrastive_squared", contrastive(SQUARED, [0.25, 1.5], AverageNonZero)),
        ("contrastive_mean_reducer", contrastive(EUCLIDEAN, [0.0, 1.0], Mean)),
        ("triplet", Case::own(TripletMargin::default())),
        ("triplet_margin_0.2", Case::own(triplet())),
        ("triplet_swap", Case::own(TripletMargin { swap: true, ..triplet() })),
        ("triplet_smooth", Case::own(TripletMargin { smooth: true, ..triplet() })),
        ("triplet_cosine", Case::new(Distance::Cosine, triplet())),
        ("triplet_snr", Case::new(Distance::Snr, triplet())),
        ("triplet_l1", Case::new(lp(1.0), triplet())),
        ("triplet_unnormalized", Case::new(UNNORMALIZED, triplet())),
        ("triplet_mean_reducer", Case::own(TripletMargin { reducer: Mean, ..triplet() })),
        ("triplet_threshold_reducer", Case::own(TripletMargin { reducer: threshold, ..triplet() })),
        ("margin", Case::own(Margin::default())),
        ("multi_similarity", Case::own(MultiSimilarity::default())),
        ("ntxent", Case::own(NtXent::default())),
        ("supcon", Case::own(SupCon::default())),
        ("nca", Case::own(NcaLoss::default())),
        ("npairs", Case::own(NPairs::default())),
        ("lifted_structure", Case::own(LiftedStructure::default())),
        ("generalized_lifted_structure", Case::own(GeneralizedLiftedStructure::default())),
        ("circle", Case::own(Circle::default())),
        ("fast_ap", Case::own(FastAp::default())),
        ("angular", Case::own(Angular::default())),
        ("intra_pair_variance", Case::own(IntraPairVariance::default())),
        ("tuplet_margin", Case::own(TupletMargin::default())),
        ("signal_to_noise_ratio_contrastive", Case::own(SnrContrastive::default())),
        ("histogram", Case::own(Histogram { bins: 20 })),
        ("ranked_list", Case::own(RankedList::default())),
        ("pnp", Case::own(Pnp::default())),
        ("threshold_consistent_margin", Case::own(ThresholdConsistentMargin::default())),
    ]
}

#[test]
fn values_and_gradients_are_the_originals() {
    let fixture = Fixture::read();
    for device in devices() {
        for (name, case) in fixture_losses() {
            let got = evaluate(&fixture.embeddings, &device, |x| case.of(x, &fixture.labels));
            fixture.losses[name].check(&format!("{name} on {device:?}"), got);
        }
        let got = evaluate(&fixture.embeddings, &device, |x| first_dynamic_soft_margin(x, &fixture.labels));
        fixture.losses["dynamic_soft_margin"].check(&format!("dynamic_soft_margin on {device:?}"), got);
    }
}

/// There the distances and their gradient are tensor operations: one loss of each distance and of each shape.
#[test]
fn a_sample_is_the_originals_on_wgpu() {
    let Some(device) = wgpu() else { return };
    let fixture = Fixture::read();
    let sample =
        ["contrastive_squared", "triplet_margin_0.2", "triplet_snr", "triplet_l1", "multi_similarity", "angular"];
    for (name, case) in fixture_losses().into_iter().filter(|(name, _)| sample.contains(name)) {
        let got = evaluate(&fixture.embeddings, &device, |x| case.of(x, &fixture.labels));
        fixture.losses[name].check(&format!("{name} on wgpu"), got);
    }
}

#[test]
fn an_lp_distance_with_p_2_is_the_euclidean_one() {
    let fixture = Fixture::read();
    let lp = |power| Distance::Lp { p: 2.0, power, normalized: true };
    for device in devices() {
        let of = |case: Case| evaluate(&fixture.embeddings, &device, |x| case.of(x, &fixture.labels));
        fixture.losses["triplet_margin_0.2"].check("power 1", of(Case::new(lp(1.0), triplet())));
        fixture.losses["nca"].check("power 2", of(Case::new(lp(2.0), NcaLoss::default())));
        let dot = Distance::Dot { normalized: true };
        fixture.losses["circle"].check("dot", of(Case::new(dot, Circle::default())));
    }
}

#[test]
fn references_take_the_place_of_the_batch() {
    let Fixture { embeddings, labels, reference, .. } = Fixture::read();
    let cases = [
        ("contrastive", Case::own(Contrastive::default())),
        ("triplet_margin_0.2", Case::own(triplet())),
        ("multi_similarity", Case::own(MultiSimilarity::default())),
        ("ntxent", Case::own(NtXent::default())),
        ("supcon", Case::own(SupCon::default())),
        ("margin", Case::own(Margin::default())),
        ("circle", Case::own(Circle::default())),
    ];
    assert_eq!(cases.len(), reference.losses.len());
    for device in devices() {
        for (name, case) in &cases {
            let references = (tensor(&reference.embeddings, &device), reference.labels.as_slice());
            let got = evaluate(&embeddings, &device, |x| case.over(x, &labels, Some(references), None));
            reference.losses[*name].check(name, got);
        }
    }
}

#[test]
fn a_memory_gives_the_originals_losses() {
    let Memory { memory_size, batches } = Fixture::read().cross_batch_memory;
    for device in devices() {
        let mut memory = CrossBatchMemory::new(memory_size).unwrap();
        for (number, batch) in batches.iter().enumerate() {
            let loss = Contrastive::default();
            let got = evaluate(&batch.embeddings, &device, |x| memory.forward(&loss, None, x, &batch.labels).unwrap());
            batch.golden.check(&format!("batch {number}"), got);
        }
        assert_eq!(memory.labels().len(), memory_size);
    }
}

#[test]
fn miners_choose_the_originals_tuples() {
    let fixture = Fixture::read();
    let margin = |kind| TripletMarginMiner { margin: 0.2, kind };
    let easy = |negative| BatchEasyHardMiner { negative, ..BatchEasyHardMiner::default() };
    let pair_margin = PairMarginMiner { positive_margin: 0.8, negative_margin: 1.2 };
    let cases: [(&str, Distance, Box<dyn Miner>); 10] = [
        ("batch_hard", EUCLIDEAN, Box::new(BatchHardMiner)),
        ("batch_easy_hard_easy_semihard", EUCLIDEAN, Box::new(easy(Strategy::SemiHard))),
        ("batch_easy_hard_easy_hard", EUCLIDEAN, Box::new(easy(Strategy::Hard))),
        ("triplet_margin_all", EUCLIDEAN, Box::new(margin(TripletKind::All))),
        ("triplet_margin_hard", EUCLIDEAN, Box::new(margin(TripletKind::Hard))),
        ("triplet_margin_semihard", EUCLIDEAN, Box::new(margin(TripletKind::SemiHard))),
        ("triplet_margin_easy", EUCLIDEAN, Box::new(margin(TripletKind::Easy))),
        ("multi_similarity", Distance::Cosine, Box::new(MultiSimilarityMiner::default())),
        ("pair_margin", EUCLIDEAN, Box::new(pair_margin)),
        ("angular", UNNORMALIZED, Box::new(AngularMiner::default())),
    ];
    for device in devices() {
        for (name, distance, miner) in &cases {
            let x = tensor(&fixture.embeddings, &device);
            let on = Pairwise::new(*distance, x, &fixture.labels, None).unwrap();
            let mined = miner.mine(&on).unwrap();
            let wanted = &fixture.miners[*name];
            match &mined {
                Tuples::Triplets(triplets) => {
                    let got = triplets.iter().map(|t| (t.anchor, t.positive, t.negative));
                    assert_same(name, got, &wanted.triplets);
                }
                Tuples::Pairs { positive, negative } => {
                    assert_same(name, positive.iter().map(|p| (p.anchor, p.other)), &wanted.positive_pairs);
                    assert_same(name, negative.iter().map(|p| (p.anchor, p.other)), &wanted.negative_pairs);
                }
            }
        }
    }
}

/// The same tuples in any order, none of them twice.
fn assert_same<T: Copy + Ord + std::fmt::Debug>(name: &str, got: impl Iterator<Item = T>, wanted: &[T]) {
    let got: Vec<T> = got.collect();
    let set: BTreeSet<T> = got.iter().copied().collect();
    assert_eq!(set.len(), got.len(), "{name} gave a tuple twice");
    let wanted: BTreeSet<T> = wanted.iter().copied().collect();
    assert_eq!(set, wanted, "{name}");
}

fn undirected(pairs: impl Iterator<Item = (u32, u32)>) -> BTreeSet<(u32, u32)> {
    pairs.map(|(a, b)| (a.min(b), a.max(b))).collect()
}

/// Half of an odd number of pairs ends between a pair and its mirror image, which tie: either may be chosen.
#[test]
fn hdc_chooses_the_originals_pairs_but_for_their_direction() {
    let fixture = Fixture::read();
    let wanted = &fixture.miners["hdc"];
    for device in devices() {
        let x = tensor(&fixture.embeddings, &device);
        let on = Pairwise::new(EUCLIDEAN, x, &fixture.labels, None).unwrap();
        let mined = HdcMiner::default().mine(&on).unwrap();
        for (got, wanted) in mined.pairs().iter().zip([&wanted.positive_pairs, &wanted.negative_pairs]) {
            assert_eq!(got.len(), wanted.len());
            let got = undirected(got.iter().map(|pair| (pair.anchor, pair.other)));
            assert_eq!(got, undirected(wanted.iter().copied()));
        }
    }
}
