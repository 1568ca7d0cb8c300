//! Colour changes of an image of values in `[0, 1]`, in place: jitter, grey, solarize, normalise.

use super::ColorJitter;
use super::draws::Draws;
use super::normalization::Affine;

/// Luminance of red, green and blue (ITU-R 601-2, as torchvision rounds it).
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// One drawn change of [`ColorJitter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Adjustment {
    /// Multiply by the factor.
    Brightness(f32),
    /// Blend with the mean luminance of the image; factor 0 gives that mean, factor 1 the image.
    Contrast(f32),
    /// Blend with the luminance of each pixel; factor 0 gives grey, factor 1 the image.
    Saturation(f32),
    /// Turn the hue by this share of the colour circle.
    Hue(f32),
}

/// The four changes in the order in which they apply.
pub(super) fn draw(jitter: &ColorJitter, draws: &mut Draws) -> [Adjustment; 4] {
    let mut factor = |strength: f32| {
        let strength = f64::from(strength);
        draws.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32
    };
    let mut adjustments = [
        Adjustment::Brightness(factor(jitter.brightness)),
        Adjustment::Contrast(factor(jitter.contrast)),
        Adjustment::Saturation(factor(jitter.saturation)),
        Adjustment::Hue(draws.uniform(-f64::from(jitter.hue), f64::from(jitter.hue)) as f32),
    ];
    for last in (1..adjustments.len()).rev() {
        adjustments.swap(last, draws.below(last + 1));
    }
    adjustments
}

/// Applies the changes one after the other, each clamped to `[0, 1]`. A neutral change is skipped, as torchvision skips
/// a property whose range is a single neutral value; so are saturation and hue unless there are three channels.
pub(super) fn adjust(image: &mut [f32], channels: usize, adjustments: &[Adjustment]) {
    for adjustment in adjustments {
        match *adjustment {
            Adjustment::Brightness(factor) if factor != 1.0 => blend(image, factor, 0.0),
            Adjustment::Contrast(factor) if factor != 1.0 => {
                let mean = mean_luminance(image, channels);
                blend(image, factor, (1.0 - factor) * mean);
            }
            Adjustment::Saturation(factor) if factor != 1.0 && channels == 3 => saturate(image, factor),
            Adjustment::Hue(turn) if turn != 0.0 && channels == 3 => turn_hue(image, turn),
            _ => {}
        }
    }
}

/// Replaces every channel by the luminance; an image that is not red, green and blue is left as it is.
pub(super) fn grayscale(image: &mut [f32], channels: usize) {
    if channels != 3 {
        return;
    }
    let [red, green, blue] = thirds(image);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let grey = luminance(*r, *g, *b);
        (*r, *g, *b) = (grey, grey, grey);
    }
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(image: &mut [f32], threshold: f32) {
    for value in image {
        *value = if *value >= threshold { 1.0 - *value } else { *value };
    }
}

/// Maps each plane by its own affine.
pub(super) fn normalize(image: &mut [f32], plane: usize, affines: &[Affine]) {
    for (values, affine) in image.chunks_exact_mut(plane).zip(affines) {
        for value in values {
            *value = *value * affine.scale + affine.shift;
        }
    }
}

fn blend(image: &mut [f32], factor: f32, shift: f32) {
    for value in image {
        *value = (*value * factor + shift).clamp(0.0, 1.0);
    }
}

fn saturate(image: &mut [f32], factor: f32) {
    let [red, green, blue] = thirds(image);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let shift = (1.0 - factor) * luminance(*r, *g, *b);
        *r = (*r * factor + shift).clamp(0.0, 1.0);
        *g = (*g * factor + shift).clamp(0.0, 1.0);
        *b = (*b * factor + shift).clamp(0.0, 1.0);
    }
}

/// RGB to HSV, a turn, and back, without branches: with the hue in sixths of the circle and `k = (n + hue) mod 6`, a
/// channel is `value - chroma * clamp(min(k, 4 - k), 0, 1)` for n = 5, 3, 1.
fn turn_hue(image: &mut [f32], turn: f32) {
    let sixths = 6.0 * turn;
    let [red, green, blue] = thirds(image);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (x, y, z) = (*r, *g, *b);
        let value = larger(x, larger(y, z));
        let chroma = value - smaller(x, smaller(y, z));
        // The first channel that is largest rules, red before green before blue; grey has hue 0.
        let (sector, difference) = if value == x {
            (0.0, y - z)
        } else if value == y {
            (2.0, z - x)
        } else {
            (4.0, x - y)
        };
        let divisor = if chroma > 0.0 { chroma } else { 1.0 };
        let hue = sector + difference / divisor + sixths; // -4 to 8
        let hue = if hue < 0.0 { hue + 6.0 } else { hue };
        let hue = if hue >= 6.0 { hue - 6.0 } else { hue };
        *r = (value - chroma * ramp(hue + 5.0)).clamp(0.0, 1.0);
        *g = (value - chroma * ramp(hue + 3.0)).clamp(0.0, 1.0);
        *b = (value - chroma * ramp(hue + 1.0)).clamp(0.0, 1.0);
    }
}

fn ramp(k: f32) -> f32 {
    let k = if k >= 6.0 { k - 6.0 } else { k };
    smaller(k, 4.0 - k).clamp(0.0, 1.0)
}

/// Plain comparisons, which compile to one vector instruction where `f32::max` also has to look for NaN.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

fn luminance(r: f32, g: f32, b: f32) -> f32 {
    r * LUMA[0] + g * LUMA[1] + b * LUMA[2]
}

/// The red, green and blue planes.
fn thirds(image: &mut [f32]) -> [&mut [f32]; 3] {
    let plane = image.len() / 3;
    let (red, rest) = image.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    [red, green, blue]
}

/// Mean of the grey version. Luminance is linear, so the planes' means suffice.
fn mean_luminance(image: &[f32], channels: usize) -> f32 {
    if channels != 3 {
        return mean(image);
    }
    let plane = image.len() / 3;
    image.chunks_exact(plane).zip(LUMA).map(|(values, weight)| weight * mean(values)).sum()
}

/// Mean in a fixed order: eight running sums, which vectorise, over blocks short enough not to lose digits.
fn mean(values: &[f32]) -> f32 {
    let mut total = 0.0f64;
    for block in values.chunks(1024) {
        let (groups, rest) = block.as_chunks::<8>();
        let mut sums = [0.0f32; 8];
        for group in groups {
            for (sum, value) in sums.iter_mut().zip(group) {
                *sum += value;
            }
        }
        total += sums.iter().chain(rest).map(|&value| f64::from(value)).sum::<f64>();
    }
    (total / values.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len());
        for (a, b) in left.iter().zip(right) {
            assert!((a - b).abs() <= 1e-5, "{left:?} against {right:?}");
        }
    }

    fn adjusted(image: &[f32], channels: usize, adjustments: &[Adjustment]) -> Vec<f32> {
        let mut image = image.to_vec();
        adjust(&mut image, channels, adjustments);
        image
    }

    #[test]
    fn brightness_and_contrast_by_hand() {
        let image = [0.2, 0.4, 0.6, 0.8];
        close(&adjusted(&image, 1, &[Adjustment::Brightness(1.5)]), &[0.3, 0.6, 0.9, 1.0]);
        // Mean 0.5: x * 2 - 0.5.
        close(&adjusted(&image, 1, &[Adjustment::Contrast(2.0)]), &[0.0, 0.3, 0.7, 1.0]);
        close(&adjusted(&image, 1, &[Adjustment::Contrast(0.0)]), &[0.5; 4]);
    }

    #[test]
    fn clamping_between_changes_depends_on_the_order() {
        let image = [0.2, 0.4, 0.6, 0.8];
        let (bright, contrast) = (Adjustment::Brightness(2.0), Adjustment::Contrast(0.5));
        // 0.4, 0.8, 1, 1 with mean 0.8; then half of it plus 0.4.
        close(&adjusted(&image, 1, &[bright, contrast]), &[0.6, 0.8, 0.9, 0.9]);
        // 0.35, 0.45, 0.55, 0.65; then doubled.
        close(&adjusted(&image, 1, &[contrast, bright]), &[0.7, 0.9, 1.0, 1.0]);
    }

    #[test]
    fn colour_by_hand() {
        // One pixel: red 0.8, green 0.4, blue 0.2; luminance 0.23912 + 0.2348 + 0.0228 = 0.49672.
        let pixel = [0.8, 0.4, 0.2];
        close(&adjusted(&pixel, 3, &[Adjustment::Saturation(0.0)]), &[0.49672; 3]);
        close(&adjusted(&pixel, 3, &[Adjustment::Saturation(0.5)]), &[0.64836, 0.44836, 0.34836]);
        close(&adjusted(&pixel, 3, &[Adjustment::Saturation(2.0)]), &[1.0, 0.30328, 0.0]);
        close(&adjusted(&pixel, 3, &[Adjustment::Contrast(0.5)]), &[0.64836, 0.44836, 0.34836]);
        let mut grey = pixel;
        grayscale(&mut grey, 3);
        close(&grey, &[0.49672; 3]);
    }

    #[test]
    fn hue_by_hand() {
        // Hue 20 degrees, value 0.8, chroma 0.6. A third of the circle permutes the channels.
        let pixel = [0.8, 0.4, 0.2];
        close(&adjusted(&pixel, 3, &[Adjustment::Hue(1.0 / 3.0)]), &[0.2, 0.8, 0.4]);
        close(&adjusted(&pixel, 3, &[Adjustment::Hue(-1.0 / 3.0)]), &[0.4, 0.2, 0.8]);
        // Half of it: 200 degrees, a third of a sector past cyan.
        close(&adjusted(&pixel, 3, &[Adjustment::Hue(0.5)]), &[0.2, 0.6, 0.8]);
        // 36 degrees on: 56 degrees, green at 0.2 + 0.6 * 56 / 60.
        close(&adjusted(&pixel, 3, &[Adjustment::Hue(0.1)]), &[0.8, 0.76, 0.2]);
        // 36 degrees back: 344 degrees, blue at 0.2 + 0.6 * 16 / 60.
        close(&adjusted(&pixel, 3, &[Adjustment::Hue(-0.1)]), &[0.8, 0.2, 0.36]);
        close(&adjusted(&[0.3, 0.3, 0.3], 3, &[Adjustment::Hue(0.4)]), &[0.3; 3]);
        close(&adjusted(&[0.0, 0.0, 0.0], 3, &[Adjustment::Hue(0.4)]), &[0.0; 3]);
    }

    #[test]
    fn one_channel_has_no_colour() {
        let image = [0.1, 0.7, 0.4];
        assert_eq!(adjusted(&image, 1, &[Adjustment::Saturation(0.3), Adjustment::Hue(0.3)]), image);
        let mut grey = image;
        grayscale(&mut grey, 1);
        assert_eq!(grey, image);
    }

    #[test]
    fn solarize_inverts_from_the_threshold_on() {
        let mut image = [0.0, 0.25, 0.5, 0.75, 1.0];
        solarize(&mut image, 0.5);
        assert_eq!(image, [0.0, 0.25, 0.5, 0.25, 0.0]);
    }

    #[test]
    fn factors_stay_in_range_and_every_order_occurs() {
        let jitter = ColorJitter { brightness: 0.4, contrast: 1.5, saturation: 0.0, hue: 0.1, probability: 1.0 };
        let mut draws = Draws::new(3, 0, 0, 0);
        let mut first = [0usize; 4];
        for _ in 0..4_000 {
            let adjustments = draw(&jitter, &mut draws);
            for adjustment in adjustments {
                match adjustment {
                    Adjustment::Brightness(factor) => assert!((0.599..=1.401).contains(&factor)),
                    Adjustment::Contrast(factor) => assert!((0.0..=2.501).contains(&factor)),
                    Adjustment::Saturation(factor) => assert_eq!(factor, 1.0),
                    Adjustment::Hue(turn) => assert!((-0.101..=0.101).contains(&turn)),
                }
            }
            first[match adjustments[0] {
                Adjustment::Brightness(_) => 0,
                Adjustment::Contrast(_) => 1,
                Adjustment::Saturation(_) => 2,
                Adjustment::Hue(_) => 3,
            }] += 1;
        }
        assert!(first.iter().all(|&count| (850..1_150).contains(&count)), "{first:?}");
    }

    #[test]
    fn the_mean_is_exact_on_long_images() {
        let image: Vec<f32> = (0..50_177).map(|i| (i % 7) as f32 / 8.0).collect();
        let exact = image.iter().map(|&value| f64::from(value)).sum::<f64>() / image.len() as f64;
        assert!((f64::from(mean(&image)) - exact).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn hue_turned_and_turned_back_is_the_same(
            pixel in prop::array::uniform3(0.0f32..=1.0),
            turn in -0.5f32..=0.5,
        ) {
            close(&adjusted(&pixel, 3, &[Adjustment::Hue(turn), Adjustment::Hue(-turn)]), &pixel);
        }

        #[test]
        fn values_stay_in_the_unit_interval(
            pixels in prop::collection::vec(0.0f32..=1.0, 12),
            x in 0.0f32..3.0,
            seed in any::<u64>(),
        ) {
            let jitter = ColorJitter { brightness: x, contrast: x, saturation: x, hue: 0.5, probability: 1.0 };
            let changed = adjusted(&pixels, 3, &draw(&jitter, &mut Draws::new(seed, 0, 0, 0)));
            prop_assert!(changed.iter().all(|value| (0.0..=1.0).contains(value)), "{:?}", changed);
        }
    }
}
