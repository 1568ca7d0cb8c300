//! Learners on statements of every kind: which they take, what they make of them, and what comes of it.

use crate::{golden, leave_one_out_1nn};
use metric::mahalanobis::{Itml, Lsml, Mahalanobis, MahalanobisError, Mmc, Rca, Scml, Sdml, WeakLearner};
use metric::weak::{Chunks, Pairs, Quadruplets, Triplets, Weak, WeakError, WeakKind};
use nearfar_core::matrix::Matrix;

fn learners() -> [(&'static str, Box<dyn WeakLearner>); 6] {
    [
        ("itml", Box::new(Itml::default())),
        ("sdml", Box::new(Sdml::default())),
        ("mmc", Box::new(Mmc::default())),
        ("lsml", Box::new(Lsml::default())),
        ("scml", Box::new(Scml::default())),
        ("rca", Box::new(Rca::default())),
    ]
}

/// What the classes of Wine say, in each kind.
fn said(labels: &[usize]) -> [Weak; 4] {
    let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
    [
        Weak::Pairs(Pairs::from_labels(&known, 200, 1).unwrap()),
        Weak::Triplets(Triplets::from_labels(&known, 400, 1).unwrap()),
        Weak::Quadruplets(Quadruplets::from_labels(&known, 400, 1).unwrap()),
        Weak::Chunks(Chunks::from_labels(&known, 20, 4, 1).unwrap()),
    ]
}

/// The table in the documents: every cell learns or is refused, as `can_learn` says.
#[test]
fn every_learner_takes_what_tells_it_enough_and_refuses_the_rest() {
    let set = golden().wine_standardized;
    let x = set.rows();
    for weak in said(&set.y) {
        let kind = weak.kind();
        for (name, learner) in learners() {
            let learns = match name {
                "itml" | "sdml" => true,
                "mmc" | "lsml" => kind != WeakKind::Chunks,
                "scml" => matches!(kind, WeakKind::Pairs | WeakKind::Triplets),
                _ => matches!(kind, WeakKind::Pairs | WeakKind::Chunks),
            };
            assert_eq!(learner.can_learn(kind).is_ok(), learns, "{name} from {kind:?}");
            match learner.fit_weak(&x, &weak) {
                Ok(fitted) => {
                    assert!(learns, "{name} from {kind:?}");
                    assert!(fitted.model.matrix().iter().all(|v| v.is_finite()), "{name} from {kind:?}");
                }
                Err(error) => {
                    assert!(!learns, "{name} from {kind:?}: {error}");
                    assert_eq!(error.to_string(), learner.can_learn(kind).unwrap_err().to_string());
                    assert_eq!(error.to_string().contains("as classes"), kind == WeakKind::Chunks, "{error}");
                }
            }
        }
    }
}

/// Statements of another kind give what the same statements give in the learner's own form.
#[test]
fn another_form_is_the_same_statements() {
    let set = golden().iris;
    let x = set.rows();
    let triplets = Triplets::from_labels(&set.y.iter().copied().map(Some).collect::<Vec<_>>(), 200, 3).unwrap();
    let four = Quadruplets(triplets.0.iter().map(|&[a, p, n]| [a, p, a, n]).collect());
    let of_triplets = Lsml::default().fit_weak(&x, &Weak::Triplets(triplets)).unwrap();
    assert_eq!(of_triplets, Lsml::default().fit_quadruplets(&x, &four, None).unwrap());

    let chunks = set.chunks();
    let of_chunks = Itml::default().fit_weak(&x, &Weak::Chunks(chunks.clone())).unwrap();
    assert_eq!(of_chunks, Itml::default().fit_pairs(&x, &chunks.pairs(), None).unwrap());
    let chained = Rca::default().fit_weak(&x, &Weak::Pairs(chunks.pairs())).unwrap();
    assert_eq!(chained, Rca::default().fit_chunks(&x, &Chunks(renumbered(&chunks))).unwrap());
}

/// Chunks numbered by their first rows.
fn renumbered(chunks: &Chunks) -> Vec<Option<usize>> {
    let mut known: Vec<usize> = Vec::new();
    let mut number = |chunk: usize| {
        let place = known.iter().position(|one| *one == chunk);
        place.unwrap_or_else(|| {
            known.push(chunk);
            known.len() - 1
        })
    };
    chunks.0.iter().map(|chunk| chunk.map(&mut number)).collect()
}

/// Without a penalty SDML is an inverse, here with all pairs of a chunk pulled together and nothing pushed.
#[test]
fn sdml_from_chunks_is_a_regularised_rca() {
    let x = Matrix::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 5.0, 5.0], 4, 2).unwrap();
    let chunks = Weak::Chunks(Chunks(vec![Some(0), Some(0), Some(0), None]));
    let learner = Sdml { balance: 0.5, sparsity: 0.0, ..Sdml::default() };
    let matrix = learner.fit_weak(&x, &chunks).unwrap().model.matrix();
    // Differences (1, 0), (0, 3), (1, -3): S = I + 1/2 [[2, -3], [-3, 18]] = [[2, -1.5], [-1.5, 10]].
    let determinant = 2.0 * 10.0 - 1.5 * 1.5;
    let wanted = [10.0, 1.5, 1.5, 2.0].map(|v: f64| v / determinant);
    assert!(matrix.iter().zip(wanted).all(|(m, w)| (m - w).abs() < 1e-6), "{matrix:?} {wanted:?}");
}

/// Backwards, the two rows of a pair turned, and one statement twice.
fn turned(weak: &Weak) -> Weak {
    match weak {
        Weak::Pairs(Pairs { pairs, same }) => Weak::Pairs(Pairs {
            pairs: pairs.iter().chain(pairs.first()).rev().map(|&[a, b]| [b, a]).collect(),
            same: same.iter().chain(same.first()).rev().copied().collect(),
        }),
        Weak::Triplets(Triplets(all)) => {
            Weak::Triplets(Triplets(all.iter().chain(all.first()).rev().copied().collect()))
        }
        Weak::Quadruplets(Quadruplets(all)) => Weak::Quadruplets(Quadruplets(
            all.iter().chain(all.first()).rev().map(|&[a, b, c, d]| [b, a, d, c]).collect(),
        )),
        Weak::Chunks(chunks) => Weak::Chunks(chunks.clone()),
    }
}

#[test]
fn the_order_of_the_statements_does_not_matter_in_another_form() {
    let set = golden().iris;
    let x = set.rows();
    let fit = |learner: &dyn WeakLearner, weak: &Weak| learner.fit_weak(&x, weak).unwrap();
    let [pairs, triplets, quadruplets, _] = said(&set.y);
    let (itml, sdml, mmc) = (Itml::default(), Sdml::default(), Mmc::default());
    for weak in [&triplets, &quadruplets] {
        for learner in [&itml as &dyn WeakLearner, &sdml, &mmc] {
            assert_eq!(fit(learner, weak), fit(learner, &turned(weak)));
        }
    }
    let (lsml, scml, rca) = (Lsml::default(), Scml::default(), Rca::default());
    for learner in [&lsml as &dyn WeakLearner, &scml, &rca] {
        assert_eq!(fit(learner, &pairs), fit(learner, &turned(&pairs)));
    }
}

/// Share of triplets of the classes that a distance gets right.
fn right(model: &Mahalanobis, x: &Matrix, of: &Triplets) -> f64 {
    let right = model.predict_triplets(x, of).unwrap();
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}

/// 200 pairs of each kind in another form, and twenty chunks of four: better than the rows as they are.
#[test]
fn what_was_said_in_another_form_beats_the_rows_as_they_are() {
    let set = golden().wine_standardized;
    let x = set.rows();
    let known: Vec<Option<usize>> = set.y.iter().copied().map(Some).collect();
    let asked = Triplets::from_labels(&known, 4000, 9).unwrap();
    let pairs = Weak::Pairs(set.pairs());
    let raw = right(&Mahalanobis::euclidean(x.cols()).unwrap(), &x, &asked);
    for (name, learner, margin) in [
        ("rca", &Rca::default() as &dyn WeakLearner, 0.03),
        ("scml", &Scml::default() as &dyn WeakLearner, 0.02),
        ("lsml", &Lsml::default() as &dyn WeakLearner, 0.002),
    ] {
        let learnt = right(&learner.fit_weak(&x, &pairs).unwrap().model, &x, &asked);
        assert!(learnt > raw + margin, "{name} from pairs: {learnt}, rows as they are {raw}");
    }
    let chunks = Weak::Chunks(Chunks::from_labels(&known, 20, 4, 0).unwrap());
    let raw = leave_one_out_1nn(&x, &set.y);
    for (name, learner) in [
        ("itml", &Itml::default() as &dyn WeakLearner),
        ("sdml", &Sdml::default() as &dyn WeakLearner),
        ("rca", &Rca::default() as &dyn WeakLearner),
    ] {
        let z = learner.fit_weak(&x, &chunks).unwrap().model.transform(&x).unwrap();
        let learnt = leave_one_out_1nn(&z, &set.y);
        assert!(learnt > raw + 0.01, "{name} from chunks: {learnt}, rows as they are {raw}");
    }
}

#[test]
fn what_contradicts_itself_or_says_too_little_is_named() {
    let x = Matrix::new(vec![0.0, 1.0, 3.0, 4.0, 9.0, 8.0], 6, 1).unwrap();
    let pairs = |pairs: &[[usize; 2]], same: &[bool]| Weak::Pairs(Pairs { pairs: pairs.to_vec(), same: same.to_vec() });
    let chain = pairs(&[[0, 2], [0, 1], [1, 2]], &[false, true, true]);
    let error = Rca::default().fit_weak(&x, &chain).unwrap_err();
    assert!(matches!(error, WeakError::Chain { place: 0, a: 0, b: 2 }), "{error}");
    let different = pairs(&[[0, 4]], &[false]);
    let error = Rca::default().fit_weak(&x, &different).unwrap_err().to_string();
    assert_eq!(error, "the pairs hold no pair that belongs together");
    let apart = pairs(&[[0, 1], [2, 4]], &[true, false]);
    let error = Scml::default().fit_weak(&x, &apart).unwrap_err().to_string();
    assert_eq!(error, "the pairs hold no row that is in a pair of each kind");
    // Every pair is near once and far once.
    let circle = Weak::Triplets(Triplets(vec![[0, 1, 2], [1, 2, 0], [2, 0, 1]]));
    let error = Itml::default().fit_weak(&x, &circle).unwrap_err().to_string();
    assert_eq!(error, "the triplets hold no pair that is only near, or only far");
    let one_kind = pairs(&[[0, 1]], &[true]);
    let error = Mmc::default().fit_weak(&x, &one_kind).unwrap_err();
    assert!(matches!(error, WeakError::Mahalanobis(MahalanobisError::MissingPairs { kind: "different" })), "{error}");
    let beyond = Weak::Triplets(Triplets(vec![[0, 1, 6]]));
    assert!(matches!(Scml::default().fit_weak(&x, &beyond), Err(WeakError::Row { row: 6, rows: 6, .. })));
}
