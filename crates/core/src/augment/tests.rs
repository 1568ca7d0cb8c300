//! The augmenter as its users see it: values, independence of batch and threads, frequencies, refusals.

use super::*;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i * 31 + i * 17 + 5) as u8).collect()
}

fn images(count: usize, channels: usize, side: usize) -> Inputs {
    Inputs::Images { pixels: pattern(count * channels * side * side), channels, height: side, width: side }
}

fn augmenter(recipes: &[Recipe], inputs: &Inputs, seed: u64) -> Augmenter {
    Augmenter::new(recipes, Normalization::of(inputs), seed).expect("valid settings")
}

/// Every operation at once, so that every draw and every buffer takes part.
fn everything() -> Recipe {
    Recipe {
        blur: Some(GaussianBlur { kernel_fraction: 0.4, ..GaussianBlur::default() }),
        solarize: Some(Solarize { threshold: 0.5, probability: 0.5 }),
        ..Recipe::simclr_small(1.0)
    }
}

fn close(left: &[f32], right: &[f32]) {
    assert_eq!(left.len(), right.len());
    for (i, (a, b)) in left.iter().zip(right).enumerate() {
        assert!((a - b).abs() <= 1e-5, "value {i}: {a} against {b}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn plain_images_are_normalised_by_channel() {
    let inputs = Inputs::Images { pixels: vec![0, 51, 102, 255, 1, 2, 3, 4], channels: 2, height: 1, width: 2 };
    let statistics = Normalization { mean: vec![0.4, 0.0], std: vec![0.5, 2.0] };
    let augmenter = Augmenter::new(&[Recipe::none()], statistics, 0).expect("valid settings");
    // Image 1 first: an item's place follows `indices`.
    let expected = [1.0 / 255.0, 2.0 / 255.0, 3.0 / 255.0, 4.0 / 255.0, 0.0, 51.0 / 255.0, 102.0 / 255.0, 1.0];
    let expected: Vec<f32> =
        expected.iter().enumerate().map(|(i, x)| if i % 4 < 2 { (x - 0.4) / 0.5 } else { x / 2.0 }).collect();
    close(&augmenter.plain(&inputs, &[1, 0]), &expected);
}

#[test]
fn more_views_take_the_recipes_in_turn_and_draw_anew() {
    let inputs = images(4, 3, 9);
    let two = augmenter(&[everything(), Recipe::none()], &inputs, 3);
    let views = two.with_views(5).views(&inputs, &[2, 0], 1);
    assert_eq!(views.len(), 5);
    assert_eq!(views[..2], two.views(&inputs, &[2, 0], 1), "the first views stay as they were");
    assert_eq!(views[3], views[1], "every second view is plain");
    assert_ne!(views[2], views[0], "a recipe's second view draws anew");
    assert_eq!(two.with_views(1).view_count(), 1);
}

#[test]
fn small_crops_come_behind_the_shared_views_and_leave_them_alone() {
    let inputs = images(3, 3, 20);
    let crops = SmallCrops { count: 3, scale: (0.05, 0.4), size: 0.5, blur: None };
    let shared = augmenter(&[everything(), Recipe::peers()], &inputs, 4);
    let multi = shared.with_small_crops(&crops).expect("valid crops");
    assert_eq!(multi.check(&inputs), Ok(()));
    let image = data::Shape { channels: 3, height: 20, width: 20 };
    let small = data::Shape { height: 10, width: 10, ..image };
    assert_eq!(multi.view_shapes(image), [image, image, small, small, small]);
    let views = multi.views(&inputs, &[2, 0], 1);
    assert_eq!(views[..2], shared.views(&inputs, &[2, 0], 1), "other methods see the same");
    assert!(views[2..].iter().all(|view| view.len() == 2 * small.size()));
    assert!(views[2] != views[3] && views[3] != views[4], "every crop draws anew");
    assert!(views[2..].iter().flatten().all(|value| value.is_finite()));
    let alone = multi.views(&inputs, &[0], 1);
    assert_eq!(bits(&alone[2]), bits(&views[2][small.size()..]), "nor do they depend on their batch");
    let none = shared.with_small_crops(&SmallCrops { count: 0, ..crops }).expect("valid crops");
    assert_eq!(none.recipes(), shared.recipes());
    let error = shared.with_small_crops(&SmallCrops { size: 2.0, ..crops }).map(|_| ());
    assert!(matches!(error, Err(AugmentError::Setting { field: "size", .. })), "{error:?}");
}

#[test]
fn a_smaller_view_of_the_whole_image_is_the_image_shrunk() {
    // A ramp stays a ramp: halved, its values lie between neighbours, but for the reach of the filter at the border.
    let row: Vec<u8> = (0..8).map(|x| 10 * x).collect();
    let inputs = Inputs::Images { pixels: row.repeat(8), channels: 1, height: 8, width: 8 };
    let crop = Some(RandomResizedCrop { scale: (1.0, 1.0), ratio: (1.0, 1.0) });
    let half = Recipe { crop, size: Some(0.5), ..Recipe::none() };
    let statistics = Normalization { mean: vec![0.0], std: vec![1.0 / 255.0] };
    let view = &Augmenter::new(&[half], statistics, 0).expect("valid settings").views(&inputs, &[0], 0)[0];
    assert_eq!(view.len(), 16);
    for row in view.chunks_exact(4) {
        assert!((row[1] - 25.0).abs() < 1e-3 && (row[2] - 45.0).abs() < 1e-3, "{row:?}");
        assert!(row[0] > 5.0 && row[0] < 10.0 && row[3] > 60.0 && row[3] < 65.0, "{row:?}");
    }
}

#[test]
fn drawn_views_have_the_frequencies_and_windows_of_their_recipe() {
    // BYOL's second view: colours change in 0.8, grey in 0.2, blur in 0.1 and solarization in 0.2 of the views.
    let shape = Shape { channels: 3, height: 32, width: 32 };
    let [first, second] = NamedViews::find("byol_imagenet").expect("a name of the table").recipes();
    let drawn = |recipe: &Recipe| {
        let plans = (0..4_000).map(|index| Plan::draw(recipe, shape, &mut Draws::new(6, 0, index, 0)));
        plans.fold([0usize; 5], |counts, plan| {
            let applied = plan.applied();
            std::array::from_fn(|i| counts[i] + usize::from(applied[i]))
        })
    };
    let near = |counts: [usize; 5], shares: [f64; 5]| {
        for (count, share) in counts.into_iter().zip(shares) {
            // Four standard deviations of a share of 4,000, at most 0.032.
            let spread = 4.0 * (share * (1.0 - share) / 4_000.0).sqrt();
            assert!((count as f64 / 4_000.0 - share).abs() <= spread, "{counts:?} against {shares:?}");
        }
    };
    near(drawn(&first), [0.5, 0.8, 0.2, 1.0, 0.0]);
    near(drawn(&second), [0.5, 0.8, 0.2, 0.1, 0.2]);
}

#[test]
fn without_augmentation_a_view_is_the_plain_image() {
    let inputs = images(6, 3, 7);
    let full = Recipe { crop: Some(RandomResizedCrop { scale: (1.0, 1.0), ratio: (1.0, 1.0) }), ..Recipe::none() };
    let augmenter = augmenter(&[Recipe::none(), full], &inputs, 1);
    let plain = bits(&augmenter.plain(&inputs, &[5, 0, 3]));
    for view in augmenter.views(&inputs, &[5, 0, 3], 9) {
        assert_eq!(bits(&view), plain);
    }
}

#[test]
fn rows_are_normalised_by_column() {
    let inputs = Inputs::Rows(Matrix::from_fn(3, 2, |i, j| [[1.0, 7.0], [3.0, 7.0], [8.0, 7.0]][i][j]));
    let augmenter = augmenter(&[Recipe::none()], &inputs, 0);
    let std = (26.0f32 / 3.0).sqrt();
    let expected = [4.0 / std, 0.0, -3.0 / std, 0.0];
    close(&augmenter.plain(&inputs, &[2, 0]), &expected);
    close(&augmenter.views(&inputs, &[2, 0], 4)[0], &expected);
}

#[test]
fn a_view_does_not_depend_on_its_batch() {
    let inputs = images(12, 3, 11);
    let augmenter = augmenter(&[everything(), Recipe::byol(1)], &inputs, 3);
    let all: Vec<usize> = (0..12).collect();
    let together = augmenter.views(&inputs, &all, 2);
    let length = 3 * 11 * 11;
    for index in all {
        for (view, alone) in together.iter().zip(augmenter.views(&inputs, &[index], 2)) {
            assert_eq!(bits(&view[index * length..(index + 1) * length]), bits(&alone), "image {index}");
        }
    }
}

#[test]
fn a_view_does_not_depend_on_the_threads() {
    let inputs = images(40, 3, 9);
    let rows = Inputs::Rows(Matrix::from_fn(40, 6, |i, j| (i * 7 + j) as f32));
    let indices: Vec<usize> = (0..40).rev().collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut views = augmenter(&[everything(), Recipe::peers()], &inputs, 5).views(&inputs, &indices, 1);
            views.extend(augmenter(&[Recipe::rows()], &rows, 5).views(&rows, &indices, 1));
            views.iter().map(|view| bits(view)).collect::<Vec<_>>()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn seed_epoch_index_and_view_each_change_the_view() {
    // The same pixels twice, so that only the index tells the images apart.
    let mut pixels = pattern(64);
    pixels.extend(pattern(64));
    let inputs = Inputs::Images { pixels, channels: 1, height: 8, width: 8 };
    let recipes = [Recipe::peers(), Recipe::peers()];
    let view = |seed, epoch| augmenter(&recipes, &inputs, seed).views(&inputs, &[0, 1], epoch);
    let base = view(0, 0);
    let parts = [&base[0][..64], &base[0][64..], &base[1][..64], &base[1][64..]];
    for (i, part) in parts.iter().enumerate() {
        assert!(parts[i + 1..].iter().all(|other| other != part), "part {i} repeats");
    }
    assert_ne!(base, view(1, 0));
    assert_ne!(base, view(0, 1));
    assert_eq!(base, view(0, 0));
}

#[test]
fn half_of_the_images_are_flipped() {
    let inputs = Inputs::Images { pixels: [0, 255].repeat(2_000), channels: 1, height: 1, width: 2 };
    let augmenter = augmenter(&[Recipe { flip: 0.5, ..Recipe::none() }], &inputs, 11);
    let view = &augmenter.views(&inputs, &(0..2_000).collect::<Vec<_>>(), 0)[0];
    let flipped = view.chunks_exact(2).filter(|image| image[0] > image[1]).count();
    assert!((900..1_100).contains(&flipped), "{flipped}");
}

#[test]
fn corrupted_rows_hold_values_of_the_donors_alone() {
    let inputs = Inputs::Rows(Matrix::from_fn(10, 4, |i, _| i as f32));
    let statistics = Normalization { mean: vec![0.0; 4], std: vec![1.0; 4] };
    let recipe = Recipe { rows: Some(RowCorruption { rate: 1.0 }), ..Recipe::none() };
    let augmenter = Augmenter::new(&[recipe], statistics, 0).expect("valid settings").with_donors(vec![6, 2, 6, 4]);
    assert_eq!(augmenter.check(&inputs), Ok(()));
    for epoch in 0..20 {
        let view = &augmenter.views(&inputs, &[2, 9], epoch)[0];
        assert!(view[..4].iter().all(|value| [4.0, 6.0].contains(value)), "{view:?}");
        assert!(view[4..].iter().all(|value| [2.0, 4.0, 6.0].contains(value)), "{view:?}");
    }
}

#[test]
fn an_empty_batch_is_empty() {
    let inputs = images(2, 1, 4);
    let augmenter = augmenter(&[everything()], &inputs, 0);
    assert_eq!(augmenter.views(&inputs, &[], 0), [Vec::<f32>::new()]);
    assert!(augmenter.plain(&inputs, &[]).is_empty());
}

#[test]
fn settings_are_checked_when_built() {
    let statistics = || Normalization { mean: vec![0.0], std: vec![1.0] };
    let bad = Recipe { flip: 2.0, ..Recipe::none() };
    assert!(matches!(
        Augmenter::new(&[Recipe::none(), bad], statistics(), 0),
        Err(AugmentError::Setting { field: "flip", .. })
    ));
    let constant = Normalization { std: vec![0.0], ..statistics() };
    assert!(matches!(Augmenter::new(&[], constant, 0), Err(AugmentError::Statistic { statistic: "std", .. })));
}

#[test]
fn recipes_that_do_not_fit_the_data_are_refused() {
    let refused = |recipe: Recipe, inputs: &Inputs| augmenter(&[recipe], inputs, 0).check(inputs);
    let (grey, four) = (images(2, 1, 4), images(2, 4, 4));
    let table = |rows| Inputs::Rows(Matrix::from_fn(rows, 3, |i, j| (i + j) as f32));
    assert_eq!(refused(Recipe::peers(), &grey), Ok(()));
    assert_eq!(refused(Recipe::rows(), &table(2)), Ok(()));
    assert_eq!(refused(Recipe::rows(), &grey), Err(AugmentError::NeedsRows));
    assert_eq!(refused(Recipe::peers(), &table(2)), Err(AugmentError::NeedsImages { field: "crop" }));
    assert_eq!(refused(Recipe::rows(), &table(1)), Err(AugmentError::TooFewDonors { rows: 1 }));
    let field = "jitter.contrast";
    assert_eq!(refused(Recipe::peers(), &four), Err(AugmentError::ColorChannels { field, channels: 4 }));
    let padded = |pad| Recipe { pad_crop: Some(pad), ..Recipe::none() };
    assert_eq!(refused(padded(3), &grey), Ok(()));
    assert_eq!(refused(padded(4), &grey), Err(AugmentError::Pad { pad: 4, height: 4, width: 4 }));
    let listed = augmenter(&[Recipe::rows()], &table(3), 0).with_donors(vec![0, 3]);
    assert_eq!(listed.check(&table(3)), Err(AugmentError::NoSuchDonor { row: 3, rows: 3 }));
}

#[test]
fn data_of_another_shape_is_refused() {
    let augmenter = augmenter(&[Recipe::none()], &images(2, 1, 4), 0);
    assert_eq!(augmenter.check(&images(2, 3, 4)), Err(AugmentError::Channels { expected: 1, got: 3 }));
    let torn = Inputs::Images { pixels: vec![0; 17], channels: 1, height: 4, width: 4 };
    assert_eq!(augmenter.check(&torn), Err(AugmentError::Pixels { values: 17, channels: 1, height: 4, width: 4 }));
    let flat = Inputs::Images { pixels: Vec::new(), channels: 1, height: 0, width: 4 };
    assert_eq!(augmenter.check(&flat), Err(AugmentError::Pixels { values: 0, channels: 1, height: 0, width: 4 }));
}
