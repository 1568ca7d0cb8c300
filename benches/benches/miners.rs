//! Mining alone: the distances of the batch are in host memory already.

use benches::{balanced_labels, random_embeddings, to_tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metric::{
    Distance, Pairwise, Tuples,
    miner::{BatchHardMiner, Miner, MultiSimilarityMiner, TripletKind, TripletMarginMiner},
};
use nearfar_core::backend::Backend;
use std::time::Duration;

/// Images and dimensions of a batch.
const SIZES: [(usize, usize); 3] = [(64, 128), (256, 128), (1024, 128)];
/// Images of a class in a batch, as the triplet method draws them by default.
const PER_CLASS: usize = 4;

type Mine = fn(&Pairwise) -> Tuples;

const MINERS: [(&str, Mine); 6] = [
    ("batch_hard", |pairwise| mined(&BatchHardMiner, pairwise)),
    ("multi_similarity", |pairwise| mined(&MultiSimilarityMiner::default(), pairwise)),
    ("within_margin", |pairwise| by_margin(pairwise, TripletKind::All)),
    ("hard", |pairwise| by_margin(pairwise, TripletKind::Hard)),
    ("semi_hard", |pairwise| by_margin(pairwise, TripletKind::SemiHard)),
    ("every_triplet", Tuples::all_triplets),
];

fn mined(miner: &dyn Miner, pairwise: &Pairwise) -> Tuples {
    miner.mine(pairwise).expect("the miner takes this distance")
}

fn by_margin(pairwise: &Pairwise, kind: TripletKind) -> Tuples {
    mined(&TripletMarginMiner { kind, ..TripletMarginMiner::default() }, pairwise)
}

fn pairwise(batch: usize, dimension: usize) -> Pairwise {
    let (_, device) = Backend::Flex.open().expect("the benches are built with Flex");
    let embeddings = to_tensor(random_embeddings(batch, dimension, 1), &device);
    let labels = balanced_labels(batch, batch / PER_CLASS);
    Pairwise::new(Distance::default(), embeddings, &labels, None).expect("every row has a label")
}

fn miners(c: &mut Criterion) {
    for (name, mine) in MINERS {
        let mut group = c.benchmark_group(format!("miner/{name}"));
        for (batch, dimension) in SIZES {
            let pairwise = pairwise(batch, dimension);
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("b{batch}_d{dimension}"), |b| b.iter(|| mine(&pairwise)));
        }
        group.finish();
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! { name = groups; config = config(); targets = miners }
criterion_main!(groups);
