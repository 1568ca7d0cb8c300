//! Weak supervision: checks, tables, and its way into the losses.

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, Pairwise, Tuples,
    losses::{Contrastive, PairLoss, TripletMargin},
    weak::{Chunks, Pairs, Quadruplets, Triplets, WeakError},
};
use std::path::PathBuf;

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
