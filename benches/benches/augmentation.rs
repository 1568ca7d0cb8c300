//! Views a second, made by all CPU threads.
//!
//! The pixels are noise: no branch of a colour change can be predicted, so photographs are not slower.

use benches::random_pixels;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::Shape,
};
use std::time::Duration;

/// Images of a batch.
const IMAGES: usize = 256;
/// Views of each image.
const VIEWS: usize = 2;
const GREY: Shape = Shape { channels: 1, height: 28, width: 28 };
const COLOUR: Shape = Shape { channels: 3, height: 32, width: 32 };
/// Strength of SimCLR's colour jitter in the paper's CIFAR-10 runs.
const STRENGTH: f32 = 0.5;

fn augmentation(c: &mut Criterion) {
    let cases = [("peers", Recipe::peers(), GREY), ("simclr", Recipe::simclr_small(STRENGTH), COLOUR)];
    for (name, recipe, shape) in cases {
        let inputs = random_pixels(IMAGES, shape, 1);
        let indices: Vec<usize> = (0..IMAGES).collect();
        let recipes = vec![recipe; VIEWS];
        let augmenter = Augmenter::new(&recipes, Normalization::of(&inputs), 7).expect("presets are valid");
        augmenter.check(&inputs).expect("the recipe fits the images");

        let mut group = c.benchmark_group(format!("augmentation/{name}"));
        group.throughput(Throughput::Elements((IMAGES * VIEWS) as u64));
        // Every batch draws anew, or one lucky draw would stand for all.
        let mut epoch = 0;
        group.bench_function(format!("{}x{}x{}", shape.height, shape.width, shape.channels), |b| {
            b.iter(|| {
                epoch += 1;
                augmenter.views(&inputs, &indices, epoch)
            });
        });
        group.finish();
    }
}

fn config() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5))
}

criterion_group! { name = groups; config = config(); targets = augmentation }
criterion_main!(groups);
