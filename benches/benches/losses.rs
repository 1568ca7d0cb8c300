//! Forward and backward of the losses of both families, from embeddings to their gradient, on the CPU backends.
//!
//! `b` counts images. The tuple losses include the pairwise distances and the mining; NT-Xent has two views of every
//! image.

#![recursion_limit = "256"]

use benches::{balanced_labels, cpu_backends, random_embeddings, to_tensor};
use burn::tensor::{Device, Tensor};
use contrastive::{
    Queue,
    losses::{info_nce, nt_xent},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metric::{
    Pairwise, Reducer,
    losses::{Contrastive, MultiSimilarity, PairLoss, SupCon, TripletMargin},
    miner::{BatchHardMiner, Miner, MultiSimilarityMiner, TripletKind, TripletMarginMiner},
};
use std::time::Duration;

/// Images and dimensions of a batch.
const SIZES: [(usize, usize); 2] = [(64, 128), (256, 128)];
/// Images of a class in a batch, as the triplet method draws them by default.
const PER_CLASS: usize = 4;
/// Keys in the queue, as in MoCo's CIFAR demonstration.
const QUEUE: usize = 4096;
/// FaceNet's margin.
const MARGIN: f32 = 0.2;
const TRIPLET: TripletMargin =
    TripletMargin { margin: MARGIN, smooth: false, swap: false, reducer: Reducer::AverageNonZero };
const SEMI_HARD: TripletMarginMiner = TripletMarginMiner { margin: MARGIN, kind: TripletKind::SemiHard };
/// SimCLR's and MoCo's temperature in this workspace.
const TEMPERATURE: f64 = 0.2;

type Loss = fn(&Case) -> Tensor<1>;

const LOSSES: [(&str, Loss); 8] = [
    ("triplet_all", |case| case.value(&TRIPLET, None)),
    ("triplet_semihard", |case| case.value(&TRIPLET, Some(&SEMI_HARD))),
    ("triplet_batch_hard", |case| case.value(&TRIPLET, Some(&BatchHardMiner))),
    ("contrastive", |case| case.value(&Contrastive::default(), None)),
    ("supcon", |case| case.value(&SupCon::default(), None)),
    ("multi_similarity", |case| case.value(&MultiSimilarity::default(), Some(&MultiSimilarityMiner::default()))),
    ("nt_xent", |case| nt_xent(case.embeddings.clone(), case.other_view.clone(), TEMPERATURE)),
    ("info_nce", |case| info_nce(case.embeddings.clone(), case.keys.clone(), case.queue.clone(), TEMPERATURE)),
];

/// What the losses take; only the two views carry gradients.
struct Case {
    device: Device,
    embeddings: Tensor<2>, // [b, d]
    other_view: Tensor<2>, // [b, d]
    keys: Tensor<2>,       // [b, d]
    queue: Tensor<2>,      // [QUEUE, d]
    labels: Vec<usize>,
}

impl Case {
    fn new(batch: usize, dimension: usize, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let rows = |seed| to_tensor(random_embeddings(batch, dimension, seed), &device);
        Self {
            embeddings: rows(1).require_grad(),
            other_view: rows(2).require_grad(),
            keys: rows(2),
            queue: Queue::new(QUEUE, dimension, 3, &device).keys(),
            labels: balanced_labels(batch, batch / PER_CLASS),
            device,
        }
    }

    /// A loss on its own distance, over what a miner chooses or over every tuple.
    fn value(&self, loss: &dyn PairLoss, miner: Option<&dyn Miner>) -> Tensor<1> {
        let pairwise = Pairwise::new(loss.default_distance(), self.embeddings.clone(), &self.labels, None)
            .expect("every row has a label");
        let tuples = miner.map(|miner| miner.mine(&pairwise).expect("the miner takes this distance"));
        loss.forward(&pairwise, tuples.as_ref()).expect("the loss takes this distance")
    }

    fn gradient(&self, loss: Loss) -> Tensor<2> {
        let gradients = loss(self).backward();
        let gradient = self.embeddings.grad(&gradients).expect("every loss depends on the embeddings");
        self.device.sync().expect("the device finishes its work");
        gradient
    }
}

fn losses(c: &mut Criterion) {
    let backends = cpu_backends().expect("the benches are built with both CPU backends");
    for (name, loss) in LOSSES {
        for (batch, dimension) in SIZES {
            let mut group = c.benchmark_group(format!("loss/{name}/b{batch}_d{dimension}"));
            group.throughput(Throughput::Elements(batch as u64));
            for (backend, device) in &backends {
                let case = Case::new(batch, dimension, device);
                group.bench_function(backend.to_string(), |b| b.iter(|| case.gradient(loss)));
            }
            group.finish();
        }
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! { name = groups; config = config(); targets = losses }
criterion_main!(groups);
