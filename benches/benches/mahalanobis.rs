//! Mahalanobis learners on 5,000 rows of 50 features: the work of `benches/peers/mahalanobis.py`.
//!
//! NCA and MLKR run 10 iterations there and here, all others their defaults. Pairs, quadruplets and chunks are drawn
//! from the classes as each side draws them.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use metric::mahalanobis::{Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml};
use nearfar_core::matrix::Matrix;
use std::time::Duration;

const ROWS: usize = 5000;
const FEATURES: usize = 50;
const CLASSES: usize = 5;

/// Noise from a hash of the position (splitmix64), uniform in [-2, 2), and 1.5 more in the features of the row's class.
fn rows() -> (Matrix, Vec<usize>) {
    let value = |i: usize, j: usize| {
        let mut h = ((i * FEATURES + j) as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        h ^= h >> 31;
        let unit = (h >> 40) as f32 / (1 << 24) as f32;
        let signal = if j % CLASSES == i % CLASSES { 1.5 } else { 0.0 };
        4.0 * unit - 2.0 + signal
    };
    (Matrix::from_fn(ROWS, FEATURES, value), (0..ROWS).map(|i| i % CLASSES).collect())
}

fn learners(c: &mut Criterion) {
    let (x, labels) = rows();
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
