//! Where a view lies in its image: random resized crop, padded crop and flip.

use super::draws::Draws;
use super::normalization::Affine;
use super::resample::{Resampler, Window};
use super::{RandomResizedCrop, Recipe};

/// Size of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Shape {
    /// Pixels of one channel.
    pub(super) fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Values of one image.
    pub(super) fn len(&self) -> usize {
        self.channels * self.plane()
    }

    /// Size of a view of such an image.
    pub(super) fn of_view(self, recipe: &Recipe) -> Self {
        Self { height: recipe.side(self.height), width: recipe.side(self.width), ..self }
    }
}

/// The part of the image that becomes the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// All of it, untouched.
    Whole,
    /// A rectangle, resized to the view.
    Window(Window),
    /// Moved: pixel `(y, x)` of the view is pixel `(y + down, x + right)` of the image, black outside of it.
    Shift { down: isize, right: isize },
}

impl Placement {
    pub(super) fn draw(recipe: &Recipe, shape: Shape, draws: &mut Draws) -> Self {
        let Shape { height, width, .. } = shape;
        if let Some(crop) = &recipe.crop {
            let window = draw_window(crop, height, width, draws);
            let whole = Window { top: 0, left: 0, height, width };
            let untouched = window == whole && shape.of_view(recipe) == shape;
            return if untouched { Self::Whole } else { Self::Window(window) };
        }
        match recipe.pad_crop {
            None | Some(0) => Self::Whole,
            Some(pad) => {
                let mut offset = || draws.below(2 * pad + 1) as isize - pad as isize;
                Self::Shift { down: offset(), right: offset() }
            }
        }
    }
}

/// `RandomResizedCrop.get_params`.
fn draw_window(crop: &RandomResizedCrop, height: usize, width: usize, draws: &mut Draws) -> Window {
    let area = (height * width) as f64;
    let scale = (f64::from(crop.scale.0), f64::from(crop.scale.1));
    let log_ratio = (f64::from(crop.ratio.0).ln(), f64::from(crop.ratio.1).ln());
    for _ in 0..10 {
        let target = area * draws.uniform(scale.0, scale.1);
        let ratio = draws.uniform(log_ratio.0, log_ratio.1).exp();
        // Python's round, which the original uses, rounds halves to even.
        let w = (target * ratio).sqrt().round_ties_even() as usize;
        let h = (target / ratio).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = draws.below(height - h + 1);
            let left = draws.below(width - w + 1);
            return Window { top, left, height: h, width: w };
        }
    }
    central_window(crop.ratio, height, width)
}

/// The largest central window whose ratio is allowed; at least one pixel, which extreme ratios would round away.
fn central_window(ratio: (f32, f32), height: usize, width: usize) -> Window {
    let (low, high) = (f64::from(ratio.0), f64::from(ratio.1));
    let own = width as f64 / height as f64;
    let rounded = |side: f64| (side.round_ties_even() as usize).max(1);
    let (h, w) = if own < low {
        (rounded(width as f64 / low).min(height), width)
    } else if own > high {
        (height, rounded(height as f64 * high).min(width))
    } else {
        (height, width)
    };
    Window { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
}

/// Writes the placed, perhaps mirrored image into `out`, mapped by one affine a channel. Only a window may have a view of
/// another size than the image.
pub(super) fn render(
    source: &[u8],
    (shape, view): (Shape, Shape),
    (placement, flip): (Placement, bool),
    affines: &[Affine],
    resampler: &mut Resampler,
    out: &mut [f32],
) {
    if let Placement::Window(window) = placement {
        resampler.plan(window, view.height, view.width, flip);
    }
    let planes = source.chunks_exact(shape.plane()).zip(out.chunks_exact_mut(view.plane()));
    for ((plane, out), &affine) in planes.zip(affines) {
        match placement {
            Placement::Whole => copy(plane, affine, out),
            Placement::Shift { down, right } => shift(plane, shape, (down, right), affine, out),
            // The taps are mirrored already.
            Placement::Window(window) => {
                resampler.run(plane, shape.width, window, affine, out);
                continue;
            }
        }
        if flip {
            out.chunks_exact_mut(shape.width).for_each(<[f32]>::reverse);
        }
    }
}

/// Bytes mapped one by one.
pub(super) fn copy(bytes: &[u8], affine: Affine, out: &mut [f32]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte) * affine.scale + affine.shift;
    }
}

fn shift(plane: &[u8], shape: Shape, (down, right): (isize, isize), affine: Affine, out: &mut [f32]) {
    let Shape { height, width, .. } = shape;
    out.fill(affine.shift); // a black pixel
    let (rows, columns) = (overlap(down, height), overlap(right, width));
    if columns.is_empty() {
        return;
    }
    for y in rows {
        let source = y.wrapping_add_signed(down) * width;
        let source = source + columns.start.wrapping_add_signed(right);
        let out = &mut out[y * width + columns.start..y * width + columns.end];
        copy(&plane[source..source + columns.len()], affine, out);
    }
}

/// The outputs `i` of `0..size` for which `i + offset` lies in `0..size` too.
fn overlap(offset: isize, size: usize) -> std::ops::Range<usize> {
    let distance = offset.unsigned_abs().min(size);
    if offset < 0 { distance..size } else { 0..size - distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [Affine; 1] = [Affine { scale: 1.0, shift: 0.0 }];
    const GREY: Shape = Shape { channels: 1, height: 2, width: 3 };

    fn view(placement: Placement, flip: bool) -> Vec<f32> {
        let mut out = vec![f32::NAN; 6];
        render(&[1, 2, 3, 4, 5, 6], (GREY, GREY), (placement, flip), &BYTES, &mut Resampler::default(), &mut out);
        out
    }

    #[test]
    fn flips_and_shifts_by_hand() {
        assert_eq!(view(Placement::Whole, false), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(view(Placement::Whole, true), [3., 2., 1., 6., 5., 4.]);
        assert_eq!(view(Placement::Shift { down: 1, right: -1 }, false), [0., 4., 5., 0., 0., 0.]);
        assert_eq!(view(Placement::Shift { down: 1, right: -1 }, true), [5., 4., 0., 0., 0., 0.]);
        assert_eq!(view(Placement::Shift { down: -1, right: 2 }, false), [0., 0., 0., 3., 0., 0.]);
        assert_eq!(view(Placement::Shift { down: 5, right: -7 }, false), [0.; 6]);
    }

    #[test]
    fn windows_are_resized_and_mirrored() {
        // Columns 2 and 3 stretched over three: 2, 2.5, 3; the first row alone.
        let window = Window { top: 0, left: 1, height: 1, width: 2 };
        assert_eq!(view(Placement::Window(window), false), [2., 2.5, 3., 2., 2.5, 3.]);
        assert_eq!(view(Placement::Window(window), true), [3., 2.5, 2., 3., 2.5, 2.]);
    }

    #[test]
    fn a_window_may_fill_a_smaller_view() {
        // Two pixels become one: the triangle over both gives them equal weights; rows 1, 2 and columns 0, 1 average.
        let small = Shape { channels: 1, height: 1, width: 1 };
        let window = Window { top: 0, left: 0, height: 2, width: 2 };
        let mut out = [f32::NAN];
        let place = (Placement::Window(window), false);
        render(&[1, 2, 3, 4, 5, 6], (GREY, small), place, &BYTES, &mut Resampler::default(), &mut out);
        assert_eq!(out, [3.0]);
    }

    #[test]
    fn channels_have_their_own_map() {
        let shape = Shape { channels: 2, height: 1, width: 2 };
        let affines = [Affine { scale: 1.0, shift: 0.0 }, Affine { scale: 2.0, shift: -1.0 }];
        let mut out = [0.0; 4];
        render(&[1, 2, 3, 4], (shape, shape), (Placement::Whole, false), &affines, &mut Resampler::default(), &mut out);
        assert_eq!(out, [1.0, 2.0, 5.0, 7.0]);
    }

    #[test]
    fn the_full_window_is_the_whole_image() {
        let crop = Some(RandomResizedCrop { scale: (1.0, 1.0), ratio: (1.0, 1.0) });
        let recipe = Recipe { crop, ..Recipe::none() };
        let square = Shape { channels: 1, height: 9, width: 9 };
        let mut draws = Draws::new(1, 2, 3, 4);
        assert!((0..50).all(|_| Placement::draw(&recipe, square, &mut draws) == Placement::Whole));
        let small = Recipe { size: Some(0.5), ..recipe };
        let whole = Window { top: 0, left: 0, height: 9, width: 9 };
        assert_eq!(Placement::draw(&small, square, &mut draws), Placement::Window(whole), "it still has to shrink");
    }

    #[test]
    fn windows_have_the_area_and_ratio_asked_for() {
        let crop = RandomResizedCrop { scale: (0.3, 0.7), ratio: (0.75, 4.0 / 3.0) };
        let mut draws = Draws::new(5, 0, 0, 0);
        let (mut area, mut left) = (0.0, 0.0);
        for _ in 0..4_000 {
            let window = draw_window(&crop, 100, 100, &mut draws);
            assert!(window.top + window.height <= 100 && window.left + window.width <= 100);
            let ratio = window.width as f64 / window.height as f64;
            assert!((0.72..1.39).contains(&ratio), "{window:?}"); // whole pixels blur the ends
            area += (window.height * window.width) as f64 / 10_000.0;
            left += window.left as f64 / (100 - window.width).max(1) as f64;
        }
        // Uniform areas average (0.3 + 0.7) / 2, since all of these fit. Places are uniform too.
        assert!((area / 4_000.0 - 0.5).abs() < 0.01, "{area}");
        assert!((left / 4_000.0 - 0.5).abs() < 0.02, "{left}");
    }

    #[test]
    fn without_a_fit_the_central_window_is_taken() {
        let window = |ratio, height, width| {
            let crop = RandomResizedCrop { scale: (1.0, 1.0), ratio };
            draw_window(&crop, height, width, &mut Draws::new(0, 0, 0, 0))
        };
        assert_eq!(window((1.0, 1.0), 4, 8), Window { top: 0, left: 2, height: 4, width: 4 });
        assert_eq!(window((2.0, 2.0), 8, 8), Window { top: 2, left: 0, height: 4, width: 8 });
        assert_eq!(window((100.0, 100.0), 8, 8), Window { top: 3, left: 0, height: 1, width: 8 });
    }

    #[test]
    fn padded_crops_move_evenly() {
        let recipe = Recipe { pad_crop: Some(2), ..Recipe::none() };
        let shape = Shape { channels: 1, height: 8, width: 8 };
        let mut draws = Draws::new(9, 0, 0, 0);
        let mut counts = [[0usize; 5]; 5];
        for _ in 0..5_000 {
            match Placement::draw(&recipe, shape, &mut draws) {
                Placement::Shift { down, right } => counts[(down + 2) as usize][(right + 2) as usize] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(counts.iter().flatten().all(|&count| (120..280).contains(&count)), "{counts:?}");
    }
}
