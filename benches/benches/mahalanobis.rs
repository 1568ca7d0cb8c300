//! All Mahalanobis learners on 5,000 rows of 50 features, from their classes.
//!
//! NCA and MLKR run 10 iterations, all others their defaults. The program `mahalanobis` and its twin in Python compare
//! LMNN, NCA and ITML with metric-learn.

use benches::shared_classes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use metric::mahalanobis::{Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml};
use std::time::Duration;

const ROWS: usize = 5000;
const FEATURES: usize = 50;
const CLASSES: usize = 5;

fn learners(c: &mut Criterion) {
    let (x, labels) = shared_classes(ROWS, FEATURES, CLASSES);
    let nca = Nca { max_iterations: 10, ..Nca::default() };
    let mlkr = Mlkr { max_iterations: 10, ..Mlkr::default() };
    let sdml = Sdml { balance: 1e-4, ..Sdml::default() };
    let learners: [(&str, &dyn Learner); 11] = [
        ("covariance", &Covariance::default()),
        ("rca", &Rca::default()),
        ("lfda", &Lfda::default()),
        ("lmnn", &Lmnn::default()),
        ("nca", &nca),
        ("mlkr", &mlkr),
        ("itml", &Itml::default()),
        ("mmc", &Mmc::default()),
        ("lsml", &Lsml::default()),
        ("sdml", &sdml),
        ("scml", &Scml::default()),
    ];
    let mut group = c.benchmark_group("mahalanobis");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(ROWS as u64));
    for (name, learner) in learners {
        group.bench_function(format!("{name}/n{ROWS}_d{FEATURES}"), |b| {
            b.iter(|| learner.fit(&x, &labels).expect("the rows have five classes"));
        });
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(20))
}

criterion_group! { name = groups; config = config(); targets = learners }
criterion_main!(groups);
