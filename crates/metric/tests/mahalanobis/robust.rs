//! Rows that break other implementations.

use metric::mahalanobis::{
    Covariance, Itml, Learner, Lfda, Lmnn, Lsml, MahalanobisError, Mlkr, Mmc, Nca, Prior, Rca, Scml, Sdml,
};
use nearfar_core::matrix::Matrix;

/// One feature, repeated rows, a constant feature, more features than rows: a finite distance that keeps the classes.
#[test]
fn every_learner_takes_degenerate_rows() {
    let value = |i: usize, j: usize| ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() + (i % 2) as f32;
    let one = Matrix::from_fn(24, 1, value);
    let twice = Matrix::from_fn(24, 3, |i, j| value(i % 12, j));
    let constant = Matrix::from_fn(24, 3, |i, j| if j == 1 { 7.0 } else { value(i, j) });
    let wide = Matrix::from_fn(24, 40, value);
    let labels: Vec<usize> = (0..24).map(|i| i % 2).collect();
    let diagonal = Mmc { diagonal: true, ..Mmc::default() };
    let learners: [(&str, &dyn Learner); 12] = [
        ("covariance", &Covariance::default()),
        ("rca", &Rca::default()),
        ("lfda", &Lfda::default()),
        ("lmnn", &Lmnn::default()),
        ("nca", &Nca::default()),
        ("mlkr", &Mlkr::default()),
        ("itml", &Itml::default()),
        ("mmc", &Mmc::default()),
        ("diagonal mmc", &diagonal),
        ("lsml", &Lsml::default()),
        ("sdml", &Sdml::default()),
        ("scml", &Scml::default()),
    ];
    for (data, x) in [("one feature", &one), ("repeated", &twice), ("constant", &constant), ("wide", &wide)] {
        for (name, learner) in learners {
            let fitted = learner.fit(x, &labels).unwrap_or_else(|e| panic!("{name} on {data}: {e}"));
            let z = fitted.model.transform(x).unwrap();
            assert!(z.as_slice().iter().all(|v| v.is_finite()), "{name} on {data}");
            assert!(fitted.model.matrix().iter().any(|&v| v > 0.0), "{name} on {data}");
        }
    }
}

#[test]
fn a_prior_without_inverse_is_refused_and_named() {
    let line = Matrix::from_fn(12, 2, |i, _| i as f32);
    let labels: Vec<usize> = (0..12).map(|i| i % 2).collect();
    let prior = Prior::InverseCovariance;
    let learners: [&dyn Learner; 3] =
        [&Itml { prior, ..Itml::default() }, &Lsml { prior, ..Lsml::default() }, &Sdml { prior, ..Sdml::default() }];
    for learner in learners {
        let error = learner.fit(&line, &labels).unwrap_err();
        assert_eq!(error, MahalanobisError::SingularCovariance { rank: 1, dim: 2 });
    }
}
