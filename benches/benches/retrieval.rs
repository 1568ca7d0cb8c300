//! Exact search and retrieval scores at the size of MNIST: 60,000 training rows and 10,000 test rows.
//!
//! Distances are Euclidean, as in the Python peers' default (`IndexFlatL2` of faiss). The search is exact and its
//! products dominate, so random rows cost what real ones cost.

use benches::{balanced_labels, random_embeddings};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use nearfar_eval::{Distance, nearest, retrieval};
use std::time::Duration;

const QUERIES: usize = 10_000;
const REFERENCES: usize = 60_000;
const DIMENSION: usize = 128;
/// Neighbours of each query: what the nearest-neighbour classifier votes with by default.
const TOP: usize = 200;
const CLASSES: usize = 10;

fn search(c: &mut Criterion) {
    let queries = random_embeddings(QUERIES, DIMENSION, 1);
    let references = random_embeddings(REFERENCES, DIMENSION, 2);
    let mut group = c.benchmark_group(format!("search/top{TOP}"));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(QUERIES as u64));
    group.bench_function(format!("q{QUERIES}_r{REFERENCES}_d{DIMENSION}"), |b| {
        b.iter(|| nearest(&queries, &references, TOP, Distance::Euclidean, false).expect("the rows fit"));
    });
    group.finish();
}

fn scores(c: &mut Criterion) {
    let rows = random_embeddings(QUERIES, DIMENSION, 1);
    let labels = balanced_labels(QUERIES, CLASSES);
    let mut group = c.benchmark_group("retrieval/scores");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(QUERIES as u64));
    group.bench_function(format!("n{QUERIES}_d{DIMENSION}"), |b| {
        b.iter(|| retrieval(&rows, &labels, None, Distance::Euclidean, &[1, 5, 10]).expect("the rows fit"));
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().sample_size(10).measurement_time(Duration::from_secs(20))
}

criterion_group! { name = groups; config = config(); targets = search, scores }
criterion_main!(groups);
