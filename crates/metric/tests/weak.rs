//! Weak supervision: checks, tables, and its way into the losses.

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, MetricError, Pairwise, Tuples,
    losses::{Contrastive, PairLoss, TripletMargin},
    weak::{Chunks, Pairs, Quadruplets, Triplets, Weak, WeakError, WeakKind},
};
use nearfar_core::{
    data::{Dataset, Inputs},
    matrix::Matrix,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, path::PathBuf};

fn pairs(pairs: &[[usize; 2]], same: &[bool]) -> Pairs {
    Pairs { pairs: pairs.to_vec(), same: same.to_vec() }
}

#[test]
fn what_can_be_used_passes() {
    pairs(&[[0, 1], [1, 0], [1, 2]], &[true, true, false]).validate(3).unwrap();
    Triplets(vec![[0, 1, 2], [0, 1, 3], [1, 0, 2]]).validate(4).unwrap();
    Quadruplets(vec![[0, 1, 2, 3], [0, 1, 0, 2]]).validate(4).unwrap();
    Chunks(vec![Some(4), None, Some(4), Some(0)]).validate(4).unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    let error = |result: Result<(), WeakError>| result.unwrap_err().to_string();
    assert!(error(Pairs::default().validate(3)).contains("no pairs"));
    assert!(error(pairs(&[[0, 1]], &[]).validate(3)).contains("1 pairs came with 0 answers"));
    assert!(error(pairs(&[[0, 1], [2, 3]], &[true; 2]).validate(3)).contains("pair 1 (from 0) names row 3"));
    assert!(error(pairs(&[[2, 2]], &[true]).validate(3)).contains("compares row 2 with itself"));
    let twice = pairs(&[[0, 1], [0, 2], [1, 0]], &[true, true, false]);
    assert!(error(twice.validate(3)).contains("pairs 0 and 2 (from 0) say the opposite"));

    assert!(error(Triplets::default().validate(3)).contains("no triplets"));
    assert!(error(Triplets(vec![[0, 1, 1]]).validate(3)).contains("triplet 0 (from 0) compares row 1 with itself"));
    assert!(error(Triplets(vec![[0, 1, 2], [0, 2, 1]]).validate(3)).contains("triplets 0 and 1"));

    assert!(error(Quadruplets(vec![[0, 1, 2, 9]]).validate(3)).contains("quadruplet 0 (from 0) names row 9"));
    assert!(error(Quadruplets(vec![[0, 1, 2, 2]]).validate(3)).contains("row 2 with itself"));
    assert!(error(Quadruplets(vec![[0, 1, 2, 3], [3, 2, 1, 0]]).validate(4)).contains("quadruplets 0 and 1"));

    assert!(error(Chunks(vec![None; 3]).validate(3)).contains("no chunks"));
    assert!(error(Chunks(vec![Some(0); 2]).validate(3)).contains("2 chunks for 3 rows"));
    assert!(error(Chunks(vec![Some(0), Some(1), None]).validate(3)).contains("no chunk has two rows"));
}

#[test]
fn a_batch_keeps_what_lies_within_it() {
    let batch = [7, 3, 5, 9];
    let given = pairs(&[[3, 7], [5, 4], [9, 5]], &[true, true, false]);
    assert_eq!(given.within(&batch), pairs(&[[1, 0], [3, 2]], &[true, false]));
    assert_eq!(Triplets(vec![[7, 9, 3], [7, 9, 1]]).within(&batch).0, [[0, 3, 1]]);
    assert_eq!(Quadruplets(vec![[3, 5, 7, 9], [3, 5, 7, 8]]).within(&batch).0, [[1, 2, 0, 3]]);
    let chunks = Chunks((0..8).map(|row| (row % 2 == 1).then_some(row / 4)).collect());
    assert_eq!(chunks.within(&batch).0, [Some(1), Some(0), Some(1), None]);
}

/// Everything that class labels say, said in pairs and triplets, costs what the labels cost.
#[test]
fn losses_take_what_was_given() {
    let labels = [0usize, 0, 1, 1, 1, 2];
    let n = labels.len();
    let values: Vec<f32> = (0..n * 3).map(|i| ((i * 37 % 19) as f32).sin()).collect();
    let embeddings = Tensor::<2>::from_data(TensorData::new(values, [n, 3]), &Device::flex().autodiff());
    let on = Pairwise::new(Distance::default(), embeddings, &labels, None).unwrap();
    let every: Vec<[usize; 2]> = (0..n).flat_map(|a| (0..a).map(move |b| [a, b])).collect();
    let same = every.iter().map(|[a, b]| labels[*a] == labels[*b]).collect();
    let given = Tuples::from(&Pairs { pairs: every, same });
    let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-6 && a > 0.0, "{a} and {b}");
    let value = |loss: &dyn PairLoss, tuples| loss.forward(&on, tuples).unwrap().into_scalar::<f32>();
    near(value(&Contrastive::default(), Some(&given)), value(&Contrastive::default(), None));

    let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
    let all = Triplets::from_labels(&known, usize::MAX, 0).unwrap();
    let triplets = Tuples::from(&all);
    near(value(&TripletMargin::default(), Some(&triplets)), value(&TripletMargin::default(), None));

    let chunks = Tuples::from(&Chunks(known));
    let Tuples::Pairs { positive, negative } = &chunks else { panic!("pairs") };
    assert_eq!((positive.len(), negative.len()), (2 + 6, 0));
    let Tuples::Pairs { positive, negative } = Tuples::from(&Quadruplets(vec![[0, 1, 2, 5]])) else { panic!("pairs") };
    let ends = |pairs: &[metric::Pair]| pairs.iter().map(|p| (p.anchor, p.other)).collect::<Vec<_>>();
    assert_eq!((ends(&positive), ends(&negative)), (vec![(0, 1), (1, 0)], vec![(2, 5), (5, 2)]));
}

#[test]
fn pairs_give_chunks_triplets_and_classes() {
    // 5-0-3 is a chain, 2-4 another; 1 is only told apart from others, nothing was said of 6.
    let given = pairs(&[[5, 0], [4, 2], [0, 3], [1, 0], [4, 5]], &[true, true, true, false, false]);
    let chunks = given.chunks(7).unwrap();
    assert_eq!(chunks.0, [Some(0), None, Some(1), Some(0), Some(1), Some(0), None]);
    let triplets = [[0, 3, 1], [0, 5, 1], [4, 2, 5], [5, 0, 4]];
    assert_eq!(given.triplets(10, 0).unwrap().0, triplets);
    let drawn = given.triplets(2, 3).unwrap().0;
    assert!(drawn.len() == 2 && drawn[0] < drawn[1] && drawn.iter().all(|t| triplets.contains(t)), "{drawn:?}");
    assert_eq!(drawn, given.triplets(2, 3).unwrap().0);
    assert!(matches!(given.triplets(0, 0), Err(WeakError::Setting { name: "most", .. })));
    let weak = Weak::Pairs(given);
    assert_eq!(weak.quadruplets(0).unwrap().0[0], [0, 3, 0, 1]);
    let classes = weak.as_classes(7).unwrap();
    assert_eq!(classes.0, [Some(0), Some(2), Some(1), Some(0), Some(1), Some(0), None]);
}

proptest! {
    /// True pairs imply true chunks and exactly the triplets that a double loop finds, whatever their order.
    #[test]
    fn what_pairs_imply_is_true_and_complete(
        labels in prop::collection::vec(0usize..3, 4..24),
        count in 1usize..40,
        seed in any::<u64>(),
    ) {
        let n = labels.len();
        let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
        let drawn = Pairs::from_labels(&known, count, seed);
        prop_assume!(drawn.is_ok());
        let drawn = drawn.unwrap();
        let Chunks(chunks) = drawn.chunks(n).unwrap();
        let together = |a: usize, b: usize| chunks[a].is_some() && chunks[a] == chunks[b];
        for (&[a, b], &same) in drawn.pairs.iter().zip(&drawn.same) {
            prop_assert_eq!(together(a, b), same);
        }
        for (a, b) in (0..n).flat_map(|a| (0..a).map(move |b| (a, b))) {
            prop_assert!(!together(a, b) || labels[a] == labels[b]);
        }
        let said = |kind: bool| {
            let of_kind = drawn.pairs.iter().zip(&drawn.same).filter(move |(_, same)| **same == kind);
            of_kind.flat_map(|(&[a, b], _)| [[a, b], [b, a]]).collect::<Vec<_>>()
        };
        let (same, different) = (said(true), said(false));
        let joined = |&[a, p]: &[usize; 2]| {
            different.iter().filter(move |far| far[0] == a).map(move |far| [a, p, far[1]]).collect::<Vec<_>>()
        };
        let wanted: BTreeSet<[usize; 3]> = same.iter().flat_map(joined).collect();
        let got = drawn.triplets(usize::MAX, seed);
        prop_assert_eq!(got.is_err(), wanted.is_empty());
        prop_assert_eq!(got.unwrap_or_default().0, wanted.into_iter().collect::<Vec<_>>());
        let turned = Pairs {
            pairs: drawn.pairs.iter().rev().map(|&[a, b]| [b, a]).collect(),
            same: drawn.same.iter().rev().copied().collect(),
        };
        prop_assert_eq!(turned.chunks(n).unwrap().0, chunks);
        let classes = |pairs: &Pairs| Weak::Pairs(pairs.clone()).as_classes(n).unwrap();
        prop_assert_eq!(classes(&drawn), classes(&turned));
    }
}

#[test]
fn comparisons_give_pairs_where_they_agree() {
    // 0-1 is near, 0-2 far, and 1-2 both.
    let triplets = Weak::Triplets(Triplets(vec![[0, 1, 2], [2, 1, 0], [1, 0, 2]]));
    assert_eq!(*triplets.pairs().unwrap(), pairs(&[[0, 1], [0, 2]], &[true, false]));
    let four = Weak::Quadruplets(Quadruplets(vec![[3, 2, 0, 1], [2, 3, 1, 4]]));
    assert_eq!(*four.pairs().unwrap(), pairs(&[[0, 1], [1, 4], [2, 3]], &[false, false, true]));
    for (weak, form) in [(&triplets, WeakKind::Chunks), (&four, WeakKind::Triplets), (&four, WeakKind::Chunks)] {
        let refused = weak.kind().gives(form).unwrap_err();
        assert!(matches!(refused, WeakError::Silent { .. }), "{refused}");
    }
    assert!(triplets.as_classes(3).unwrap_err().to_string().contains("which rows belong together"));
    let chunks = Weak::Chunks(Chunks(vec![Some(1); 3]));
    assert!(chunks.triplets(0).unwrap_err().to_string().contains("what is far; where no two chunks belong together"));
    let one = chunks.as_classes(3).unwrap_err().to_string();
    assert_eq!(one, "the chunks hold no two groups that could be two classes");
}

#[test]
fn chunks_that_are_classes_label_the_data() {
    let table = table("row,chunk\n4,9\n0,7\n3,9\n2,7\n");
    let chunks = Weak::Chunks(Chunks::from_csv(&table.path, 6).unwrap()).as_classes(6).unwrap();
    let data = Dataset {
        name: "t".into(),
        inputs: Inputs::Rows(Matrix::from_fn(6, 1, |i, _| i as f32)),
        labels: None,
        class_names: Vec::new(),
        groups: Some((0..6).collect()),
    };
    let (rows, labelled) = chunks.dataset(&data).unwrap();
    assert_eq!(rows, [0, 2, 3, 4]);
    assert_eq!(labelled.features().as_slice(), [0.0, 2.0, 3.0, 4.0]);
    assert_eq!(labelled.labels().unwrap(), [0, 0, 1, 1]);
    assert_eq!(labelled.class_names, ["chunk 7", "chunk 9"]);
    assert_eq!(labelled.groups, Some(vec![0, 2, 3, 4]));
    assert!(matches!(chunks.dataset(&data.select(&[0, 1])), Err(WeakError::ChunkCount { got: 6, rows: 2 })));
}

/// A triplet (a, p, n) is the quadruplet (a, p, a, n), in value and in gradient, for distances and for similarities.
#[test]
fn triplets_are_quadruplets_with_a_common_row() {
    let values: Vec<f32> = (0..18).map(|i| ((i * 37 % 19) as f32).sin()).collect();
    let triplets = Triplets(vec![[0, 1, 2], [3, 4, 5], [0, 1, 5], [2, 5, 1]]);
    let four: Vec<[usize; 4]> = triplets.0.iter().map(|&[a, p, n]| [a, p, a, n]).collect();
    for smooth in [false, true] {
        for distance in [Distance::default(), Distance::Cosine] {
            let loss = TripletMargin { margin: 0.7, smooth, ..TripletMargin::default() };
            let slopes = |of: &dyn Fn(&Pairwise) -> Tensor<1>| {
                let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [6, 3]), &Device::flex().autodiff());
                let x = x.require_grad();
                let value = of(&Pairwise::new(distance, x.clone(), &[0; 6], None).unwrap());
                let slopes = x.grad(&value.clone().backward()).unwrap().try_into_vec_as::<f32>().unwrap();
                (value.into_scalar::<f32>(), slopes)
            };
            let given = Tuples::from(&triplets);
            let (wanted, wanted_slopes) = slopes(&|on| loss.forward(on, Some(&given)).unwrap());
            let (got, got_slopes) = slopes(&|on| loss.forward_quadruplets(on, &four).unwrap());
            assert!(wanted > 0.0 && (got - wanted).abs() < 1e-6, "{got} and {wanted}");
            let off = got_slopes.iter().zip(&wanted_slopes).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
            assert!(off < 1e-6 && wanted_slopes.iter().any(|slope| slope.abs() > 1e-3), "{off}");
        }
    }
}

/// Two pairs without a common row: the near one is pulled together, the far one pushed apart.
#[test]
fn a_quadruplet_compares_its_two_pairs() {
    // Distances 1 and 2 on a line.
    let rows = Tensor::<2>::from_data([[0.0], [1.0], [5.0], [7.0]], &Device::flex().autodiff()).require_grad();
    let distance = Distance::Euclidean { normalized: false, squared: false };
    let on = Pairwise::new(distance, rows.clone(), &[0; 4], None).unwrap();
    let loss = TripletMargin { margin: 1.5, ..TripletMargin::default() };
    let value = loss.forward_quadruplets(&on, &[[0, 1, 2, 3]]).unwrap();
    let slopes = rows.grad(&value.clone().backward()).unwrap().try_into_vec_as::<f32>().unwrap();
    assert!((value.into_scalar::<f32>() - 0.5).abs() < 1e-6, "1 - 2 + 1.5");
    assert!(slopes.iter().zip([-1.0, 1.0, 1.0, -1.0]).all(|(s, w): (&f32, f32)| (s - w).abs() < 1e-5), "{slopes:?}");
    assert_eq!(loss.forward_quadruplets(&on, &[]).unwrap().into_scalar::<f32>(), 0.0);
    let beyond = loss.forward_quadruplets(&on, &[[0, 1, 4, 3]]).unwrap_err();
    assert_eq!(beyond, MetricError::Tuple { what: "anchor", index: 4, rows: 4 });
    let swap = TripletMargin { swap: true, ..loss };
    assert!(swap.forward_quadruplets(&on, &[[0, 1, 2, 3]]).unwrap_err().to_string().contains("`swap`"));
}

struct Table {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn table(text: &str) -> Table {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    Table { _dir: dir, path }
}

#[test]
fn tables_are_read_by_their_columns() {
    let read = Pairs::from_csv(&table("same,a,b\n1,0,1\nFalse,1,2\n-1,2,0\n").path).unwrap();
    assert_eq!(read, pairs(&[[0, 1], [1, 2], [2, 0]], &[true, false, false]));
    let read = Triplets::from_csv(&table("negative,anchor,positive,who\n2,0,1,me\n").path).unwrap();
    assert_eq!(read.0, [[0, 1, 2]]);
    assert_eq!(Quadruplets::from_csv(&table("a,b,c,d\n3,2,1,0\n").path).unwrap().0, [[3, 2, 1, 0]]);
    assert_eq!(Chunks::from_csv(&table("row,chunk\n2,7\n0,7\n").path, 4).unwrap().0, [Some(7), None, Some(7), None]);
}

#[test]
fn damaged_tables_are_named() {
    let message = Pairs::from_csv(&table("a,b,same\n0,1,1\n0,2,maybe\n").path).unwrap_err().to_string();
    assert!(message.contains("line 3, column `same`: `maybe` must be 1 or true"), "{message}");
    let message = Triplets::from_csv(&table("anchor,positive,negative\n0,-1,2\n").path).unwrap_err().to_string();
    assert!(message.contains("line 2, column `positive`: `-1`"), "{message}");
    let message = Triplets::from_csv(&table("a,b,c\n0,1,2\n").path).unwrap_err().to_string();
    assert!(message.contains("no column `anchor`"), "{message}");
    let chunks = |text: &str| Chunks::from_csv(&table(text).path, 2).unwrap_err().to_string();
    assert!(chunks("row,chunk\n2,0\n").contains("below the number of rows"));
    assert!(chunks("row,chunk\n1,0\n1,1\n").contains("line 3, column `row`: `1` must be in one chunk only"));
    assert!(chunks("row,chunk\n1,x\n").contains("column `chunk`: `x`"));
}
