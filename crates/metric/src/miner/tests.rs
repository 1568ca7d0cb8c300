use super::*;
use crate::Distance;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeSet;

const UNNORMALIZED: Distance = Distance::Euclidean { normalized: false, squared: false };

/// Unit vectors at 0, 25, 40, 70, 80 degrees.
fn fan(distance: Distance, labels: &[usize]) -> Pairwise {
    let values: Vec<f32> =
        [0f32, 25.0, 40.0, 70.0, 80.0].iter().flat_map(|a| [a.to_radians().cos(), a.to_radians().sin()]).collect();
    let e = Tensor::<2>::from_data(TensorData::new(values, [5, 2]), &Device::flex());
    Pairwise::new(distance, e, labels, None).unwrap()
}

/// The points 0 to 8 of a line.
fn line() -> Pairwise {
    let values: Vec<f32> = (0..9).map(|i| i as f32).collect();
    let e = Tensor::<2>::from_data(TensorData::new(values, [9, 1]), &Device::flex());
    Pairwise::new(UNNORMALIZED, e, &[0, 0, 1, 1, 0, 2, 1, 1, 1], None).unwrap()
}

fn triples(tuples: &Tuples) -> Vec<(u32, u32, u32)> {
    tuples.triplets().iter().map(|t| (t.anchor, t.positive, t.negative)).collect()
}

fn pairs(tuples: &Tuples) -> [Vec<(u32, u32)>; 2] {
    tuples.pairs().map(|pairs| pairs.iter().map(|pair| (pair.anchor, pair.other)).collect())
}

/// One miner of each kind.
fn miners() -> Vec<Box<dyn Miner>> {
    vec![
        Box::new(AngularMiner::default()),
        Box::new(BatchEasyHardMiner::default()),
        Box::new(BatchHardMiner),
        Box::new(DistanceWeightedMiner::default()),
        Box::new(HdcMiner::default()),
        Box::new(MultiSimilarityMiner::default()),
        Box::new(NHardMiner::default()),
        Box::new(PairMarginMiner::default()),
        Box::new(TripletMarginMiner::default()),
        Box::new(UniformHistogramMiner::default()),
    ]
}

#[test]
fn triplets_by_their_gap() {
    let p = fan(Distance::default(), &[0, 0, 1, 1, 2]);
    let mine = |kind| triples(&TripletMarginMiner { margin: 0.2, kind }.mine(&p).unwrap());
    assert_eq!(mine(TripletKind::All), [(1, 0, 2), (2, 3, 0), (2, 3, 1), (2, 3, 4), (3, 2, 4)]);
    assert_eq!(mine(TripletKind::Hard), [(1, 0, 2), (2, 3, 1), (3, 2, 4)]);
    assert_eq!(mine(TripletKind::SemiHard), [(2, 3, 0), (2, 3, 4)]);
    assert_eq!(mine(TripletKind::Easy).len(), 12 - 5);
    assert_eq!(Tuples::all_triplets(&p).len(), 12);
}

#[test]
fn multi_similarity_keeps_informative_pairs() {
    let p = fan(Distance::Cosine, &[0, 0, 1, 1, 2]);
    let [positive, negative] = pairs(&MultiSimilarityMiner { epsilon: 0.05 }.mine(&p).unwrap());
    assert_eq!(positive, [(1, 0), (2, 3), (3, 2)]);
    assert_eq!(negative, [(1, 2), (2, 1), (3, 4)]);
}

#[test]
fn batch_hard_takes_the_extremes_and_drops_lone_anchors() {
    let p = line();
    let mined = BatchHardMiner.mine(&p).unwrap();
    let expected = [(0, 4, 2), (1, 4, 2), (2, 8, 1), (3, 8, 4), (4, 0, 3), (6, 2, 5), (7, 2, 5), (8, 2, 5)];
    assert_eq!(triples(&mined), expected);
    assert_eq!(NHardMiner::default().mine(&p).unwrap(), mined, "the hardest of both kinds");
}

#[test]
fn easy_and_hard_combine() {
    use Strategy::{Easy, Hard, SemiHard};
    let p = line();
    let mine = |positive, negative| {
        let miner = BatchEasyHardMiner { positive, negative, ..BatchEasyHardMiner::default() };
        pairs(&miner.mine(&p).unwrap())
    };
    let others = |pairs: &[(u32, u32)]| pairs.iter().map(|(_, other)| *other).collect::<Vec<_>>();
    let anchors = |pairs: &[(u32, u32)]| pairs.iter().map(|(anchor, _)| *anchor).collect::<Vec<_>>();
    let [positive, negative] = mine(Hard, SemiHard);
    assert_eq!(anchors(&positive), [0, 1, 6, 7, 8]);
    assert_eq!(others(&positive), [4, 4, 2, 2, 2]);
    assert_eq!(others(&negative), [5, 5, 1, 1, 1]);
    assert_eq!(others(&mine(Hard, Easy)[1]), [8, 8, 5, 0, 8, 0, 0, 0]);
    let [positive, negative] = mine(SemiHard, Hard);
    assert_eq!(anchors(&positive), [0, 7, 8]);
    assert_eq!(others(&negative), [2, 5, 5]);
    let [all, hard] = mine(Strategy::All, Hard);
    assert_eq!(all.len(), 3 * 2 + 5 * 4);
    assert_eq!(hard.len(), 9);
}

#[test]
fn ranges_bound_the_choice() {
    let p = line();
    let miner = BatchEasyHardMiner {
        positive: Strategy::Hard,
        negative: Strategy::Hard,
        positive_range: Some([0.0, 3.0]),
        negative_range: Some([2.0, 9.0]),
    };
    let [positive, negative] = pairs(&miner.mine(&p).unwrap());
    assert_eq!(positive[..2], [(0, 1), (1, 4)]);
    assert_eq!(negative[..2], [(0, 2), (1, 3)]);
}

#[test]
fn ranks_leave_the_hardest_out() {
    let p = line();
    let all = Ranks { from: 1, to: None };
    assert_eq!(NHardMiner { positives: all, negatives: all }.mine(&p).unwrap().len(), Tuples::all_triplets(&p).len());
    let second = Ranks { from: 2, to: Some(3) };
    let mined = triples(&NHardMiner { positives: second, negatives: Ranks::default() }.mine(&p).unwrap());
    let of_zero: Vec<_> = mined.into_iter().filter(|t| t.0 == 0).collect();
    assert_eq!(of_zero, [(0, 1, 2)], "0 has the positives 4 and 1");
}

#[test]
fn the_share_of_hdc_is_of_the_whole_batch() {
    let p = fan(Distance::default(), &[0, 0, 1, 1, 2]);
    let mined = HdcMiner { share: 0.25 }.mine(&p).unwrap();
    let [positive, negative] = pairs(&mined);
    assert_eq!(positive.len(), 1);
    assert!(positive[0] == (2, 3) || positive[0] == (3, 2), "30 degrees apart: {positive:?}");
    assert_eq!(negative.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([(1, 2), (2, 1), (3, 4), (4, 3)]));
    let [positive, negative] = pairs(&HdcMiner { share: 0.5 }.harder(&p, &mined).unwrap());
    assert_eq!((positive.len(), negative.len()), (1, 2));
}

#[test]
fn distance_weights_prefer_near_negatives() {
    // In 8 dimensions random directions lie near the root of 2; the one near negative is drawn far more often.
    let near = |angle: f32, axis: usize| {
        let mut row = [0f32; 8];
        (row[0], row[axis]) = (angle.cos(), angle.sin());
        row
    };
    let rows = [near(0.0, 1), near(0.1, 1), near(0.9, 2), near(1.45, 3), near(1.45, 4), near(1.5, 5)];
    let e = Tensor::<2>::from_data(TensorData::new(rows.concat(), [6, 8]), &Device::flex());
    let p = Pairwise::new(Distance::default(), e, &[0, 0, 1, 2, 3, 4], None).unwrap();
    let mut counts = [0; 6];
    for seed in 0..200 {
        let miner = DistanceWeightedMiner { seed, ..DistanceWeightedMiner::default() };
        for (anchor, positive, negative) in triples(&miner.mine(&p).unwrap()) {
            assert!(anchor < 2 && positive == 1 - anchor);
            counts[negative as usize] += 1;
        }
    }
    // Its weight is 63 % of all, by the formula; a uniform draw would give a quarter of 400.
    assert!((205..300).contains(&counts[2]) && counts[..2] == [0, 0], "{counts:?}");
}

#[test]
fn the_uniform_histogram_draws_as_much_of_every_bin() {
    let p = line();
    let miner = UniformHistogramMiner { bins: 2, positives_per_bin: 40, negatives_per_bin: 7, ..Default::default() };
    let tuples = miner.mine(&p).unwrap();
    let [positive, negative] = pairs(&tuples);
    assert_eq!((positive.len(), negative.len()), (2 * 40, 2 * 7));
    // Positive distances run from 1 to 6: the bins part at 3.5.
    let near = positive.iter().filter(|(a, p)| a.abs_diff(*p) <= 3).count();
    assert_eq!(near, 40);
    assert_eq!(miner.mine(&p).unwrap(), tuples, "the same seed");
    assert_ne!(UniformHistogramMiner { seed: 1, ..miner }.mine(&p).unwrap(), tuples, "another seed");
    assert_eq!(miner.mine_at(&p, 0).unwrap(), tuples, "the first step");
    assert_ne!(miner.mine_at(&p, 1).unwrap(), tuples, "another step");
}

#[test]
fn angles_are_those_of_the_triangle() {
    // The positive pair is 2 long and the negative 1 (then 4) from its middle: 45 (then 14.04) degrees.
    let e = Tensor::<2>::from_data([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 4.0]], &Device::flex());
    let p = Pairwise::new(UNNORMALIZED, e, &[0, 0, 1, 2], None).unwrap();
    for (angle, count) in [(46.0, 0), (44.0, 2), (14.1, 2), (14.0, 4)] {
        assert_eq!(AngularMiner { angle }.mine(&p).unwrap().len(), count, "{angle}");
    }
}

#[test]
fn unique_labels_give_no_triplets_and_no_positives() {
    let p = fan(Distance::default(), &[0, 1, 2, 3, 4]);
    for miner in miners() {
        match miner.mine(&p).unwrap() {
            Tuples::Triplets(triplets) => assert!(triplets.is_empty(), "{miner:?}"),
            Tuples::Pairs { positive, .. } => assert!(positive.is_empty(), "{miner:?}"),
        }
    }
}

#[test]
fn every_miner_gives_tuples_of_the_right_labels() {
    let labels = [0, 0, 1, 1, 2];
    let p = fan(Distance::default(), &labels);
    for miner in miners() {
        let tuples = miner.mine(&p).unwrap();
        let [positive, negative] = tuples.pairs();
        assert!(positive.iter().all(|x| labels[x.anchor as usize] == labels[x.other as usize] && x.anchor != x.other));
        assert!(negative.iter().all(|x| labels[x.anchor as usize] != labels[x.other as usize]), "{miner:?}");
        let report = MiningReport::new(&p, &tuples).unwrap();
        assert_eq!(report.tuples, tuples.len());
        assert_eq!(miner.mine_at(&p, 0).unwrap(), tuples, "{miner:?}");
        assert_eq!(report.positive.count, positive.len());
        let DistanceStatistics { mean, least, most, .. } = report.positive;
        assert!(least <= mean + 1e-9 && mean <= most + 1e-9, "{miner:?}");
    }
}

#[test]
fn a_report_counts_what_was_possible() {
    let p = fan(UNNORMALIZED, &[0, 0, 1, 1, 2]);
    let report = MiningReport::new(&p, &TripletMarginMiner::default().mine(&p).unwrap()).unwrap();
    assert_eq!((report.tuples, report.possible), (5, 12));
    let all = MiningReport::new(&p, &Tuples::all_pairs(&p)).unwrap();
    assert_eq!((all.tuples, all.possible, all.active), (20, 20, 1.0));
    let outside = Tuples::Triplets(vec![crate::Triplet { anchor: 0, positive: 1, negative: 5 }]);
    assert!(matches!(MiningReport::new(&p, &outside), Err(MetricError::Tuple { index: 5, rows: 5, .. })));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    use Strategy::{All, SemiHard};
    let easy_hard = |positive, negative| BatchEasyHardMiner { positive, negative, ..Default::default() };
    let refused: Vec<Box<dyn Miner>> = vec![
        Box::new(easy_hard(SemiHard, SemiHard)),
        Box::new(easy_hard(All, SemiHard)),
        Box::new(easy_hard(SemiHard, All)),
        Box::new(HdcMiner { share: 0.0 }),
        Box::new(AngularMiner { angle: f32::NAN }),
        Box::new(NHardMiner { positives: Ranks { from: 0, to: None }, ..Default::default() }),
        Box::new(NHardMiner { negatives: Ranks { from: 3, to: Some(2) }, ..Default::default() }),
        Box::new(UniformHistogramMiner { bins: 0, ..Default::default() }),
        Box::new(DistanceWeightedMiner { cutoff: 2.0, ..Default::default() }),
        Box::new(TripletMarginMiner { margin: f32::INFINITY, ..Default::default() }),
    ];
    let p = fan(Distance::default(), &[0, 0, 1, 1, 2]);
    for miner in refused {
        assert!(miner.validate().is_err() && miner.mine(&p).is_err(), "{miner:?}");
    }
    let cosine = fan(Distance::Cosine, &[0, 0, 1, 1, 2]);
    for miner in [&AngularMiner::default() as &dyn Miner, &DistanceWeightedMiner::default()] {
        assert!(matches!(miner.mine(&cosine), Err(MetricError::Distance { .. })), "{miner:?}");
    }
}
