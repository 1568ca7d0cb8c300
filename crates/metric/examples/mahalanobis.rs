//! Every Mahalanobis learner on the Iris data: leave-one-out 1-NN accuracy before and after, and a threshold for pairs.
//!
//! ```text
//! cargo run -p metric --example mahalanobis
//! ```

use std::error::Error;
use std::path::Path;

use metric::mahalanobis::{
    Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml, ThresholdStrategy, pairs_from_labels,
};
use nearfar_core::data::{Inputs, catalog};
use nearfar_core::matrix::Matrix;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let iris = catalog::open("iris", &root, &catalog::Options::default())?.train;
    let (Inputs::Rows(rows), Some(labels)) = (iris.inputs, iris.labels) else {
        return Err("iris should be labelled rows".into());
    };
    let before = leave_one_out(&rows, &labels);
    println!("{:<14} {:>6} {:>6} {:>10}", "learner", "before", "after", "iterations");
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
        ("mmc, diagonal", &diagonal),
        ("lsml", &Lsml::default()),
        ("sdml", &Sdml::default()),
        ("scml", &Scml::default()),
    ];
    for (name, learner) in learners {
        let fitted = learner.fit(&rows, &labels)?;
        let after = leave_one_out(&fitted.model.transform(&rows)?, &labels);
        println!("{name:<14} {before:>6.3} {after:>6.3} {:>10}", fitted.iterations);
    }

    // Verification: learn from some pairs, choose the threshold on others.
    let mut model = Itml::default().fit_pairs(&rows, &pairs_from_labels(&labels, Some(200), 0)?, None)?.model;
    let others = pairs_from_labels(&labels, Some(200), 1)?;
    let threshold = model.calibrate(&rows, &others, ThresholdStrategy::Accuracy)?;
    let predicted = model.predict(&rows, &others.pairs)?;
    let right = predicted.iter().zip(&others.same).filter(|(p, s)| p == s).count();
    println!("itml tells {right} of {} pairs apart at a distance of {threshold:.3}", others.same.len());
    Ok(())
}

/// Share of rows whose nearest other row has their class.
fn leave_one_out(rows: &Matrix, labels: &[usize]) -> f64 {
    let distance =
        |i: usize, j: usize| -> f32 { rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| (a - b).powi(2)).sum() };
    let right = |&i: &usize| {
        let others = (0..labels.len()).filter(|&j| j != i);
        others.min_by(|&a, &b| distance(i, a).total_cmp(&distance(i, b))).is_some_and(|j| labels[j] == labels[i])
    };
    (0..labels.len()).filter(right).count() as f64 / labels.len() as f64
}
