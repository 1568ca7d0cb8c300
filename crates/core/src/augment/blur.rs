//! Separable Gaussian blur with reflected borders, in place.

/// The drawn blur of one view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blur {
    /// Standard deviation in pixels, positive.
    pub(super) sigma: f32,
    /// Side of the kernel, odd; half of it is less than either side of the image.
    pub(super) size: usize,
}

/// Buffers that are reused from image to image.
#[derive(Debug, Default)]
pub(super) struct BlurBuffers {
    kernel: Vec<f32>,
    /// One row with its reflections.
    padded: Vec<f32>,
    /// The plane after the horizontal pass.
    narrow: Vec<f32>,
}

impl Blur {
    /// Blurs every `height` x `width` plane of `image`.
    pub(super) fn apply(self, image: &mut [f32], height: usize, width: usize, buffers: &mut BlurBuffers) {
        let BlurBuffers { kernel, padded, narrow } = buffers;
        self.fill_kernel(kernel);
        padded.resize(width + self.size - 1, 0.0);
        narrow.resize(height * width, 0.0);
        let radius = self.size / 2;
        for plane in image.chunks_exact_mut(height * width) {
            for (row, out) in plane.chunks_exact(width).zip(narrow.chunks_exact_mut(width)) {
                reflect_into(row, radius, padded);
                out.fill(0.0);
                for (k, weight) in kernel.iter().enumerate() {
                    accumulate(out, &padded[k..k + width], *weight);
                }
            }
            for (y, out) in plane.chunks_exact_mut(width).enumerate() {
                out.fill(0.0);
                for (k, weight) in kernel.iter().enumerate() {
                    let source = reflect(y + k, radius, height) * width;
                    accumulate(out, &narrow[source..source + width], *weight);
                }
            }
        }
    }

    /// `exp(-d^2 / (2 sigma^2))`, normalised.
    fn fill_kernel(self, kernel: &mut Vec<f32>) {
        let radius = (self.size / 2) as f64;
        let weight = |k: usize| (-0.5 * ((k as f64 - radius) / f64::from(self.sigma)).powi(2)).exp();
        let norm = 1.0 / (0..self.size).map(weight).sum::<f64>();
        kernel.clear();
        kernel.extend((0..self.size).map(|k| (weight(k) * norm) as f32));
    }
}

fn accumulate(out: &mut [f32], values: &[f32], weight: f32) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += value * weight;
    }
}

/// The row with `radius` mirrored values at either end; the border value itself is not repeated.
fn reflect_into(row: &[f32], radius: usize, padded: &mut [f32]) {
    let (left, rest) = padded.split_at_mut(radius);
    let (middle, right) = rest.split_at_mut(row.len());
    middle.copy_from_slice(row);
    for (value, &mirrored) in left.iter_mut().rev().zip(&row[1..]) {
        *value = mirrored;
    }
    for (value, &mirrored) in right.iter_mut().zip(row[..row.len() - 1].iter().rev()) {
        *value = mirrored;
    }
}

/// The index in `0..size` that `padded - radius` reflects to.
fn reflect(padded: usize, radius: usize, size: usize) -> usize {
    if padded < radius {
        radius - padded
    } else if padded - radius < size {
        padded - radius
    } else {
        2 * (size - 1) - (padded - radius)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blurred(image: &[f32], (height, width): (usize, usize), blur: Blur) -> Vec<f32> {
        let mut image = image.to_vec();
        blur.apply(&mut image, height, width, &mut BlurBuffers::default());
        image
    }

    /// The definition: a two-dimensional kernel over a plane reflected at its borders.
    fn naive(plane: &[f32], (height, width): (usize, usize), blur: Blur) -> Vec<f32> {
        let radius = (blur.size / 2) as isize;
        let mirror = |i: isize, size: usize| {
            let last = size as isize - 1;
            let inside = if i > last { 2 * last - i } else { i.abs() };
            inside as usize
        };
        let mut out = Vec::with_capacity(plane.len());
        for y in 0..height as isize {
            for x in 0..width as isize {
                let (mut total, mut norm) = (0.0, 0.0);
                for dy in -radius..=radius {
                    for dx in -radius..=radius {
                        let weight = (-((dy * dy + dx * dx) as f64) / (2.0 * f64::from(blur.sigma).powi(2))).exp();
                        total += weight * f64::from(plane[mirror(y + dy, height) * width + mirror(x + dx, width)]);
                        norm += weight;
                    }
                }
                out.push((total / norm) as f32);
            }
        }
        out
    }

    fn close(left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len());
        for (i, (a, b)) in left.iter().zip(right).enumerate() {
            assert!((a - b).abs() <= 1e-5, "value {i}: {a} against {b}");
        }
    }

    #[test]
    fn weights_by_hand() {
        // exp(-1/2) = 0.606531; 1 + 2 * 0.606531 = 2.213061: side 0.274069, centre 0.451863.
        let row = blurred(&[0.0, 0.0, 1.0, 0.0, 0.0], (1, 5), Blur { sigma: 1.0, size: 1 });
        assert_eq!(row, [0.0, 0.0, 1.0, 0.0, 0.0]);
        let column = blurred(&[0., 0., 0., 0., 1., 0., 0., 0., 0.], (3, 3), Blur { sigma: 1.0, size: 3 });
        let (side, centre) = (0.274_069, 0.451_863);
        // Reflection brings the centre back twice at the border: both neighbours of a border row are the middle row.
        let edge = 2.0 * side;
        let expected = [
            edge * edge,
            edge * centre,
            edge * edge,
            centre * edge,
            centre * centre,
            centre * edge,
            edge * edge,
            edge * centre,
            edge * edge,
        ];
        close(&column, &expected);
    }

    #[test]
    fn planes_do_not_mix() {
        let mut image = vec![0.25; 12];
        image.extend([0.75; 12]);
        close(&blurred(&image, (3, 4), Blur { sigma: 2.0, size: 5 }), &image);
    }

    #[test]
    fn a_vanishing_width_changes_nothing() {
        let image: Vec<f32> = (0..20).map(|i| i as f32 / 20.0).collect();
        assert_eq!(blurred(&image, (4, 5), Blur { sigma: f32::MIN_POSITIVE, size: 5 }), image);
    }

    proptest! {
        #[test]
        fn passes_equal_the_definition(
            size in (1usize..9, 1usize..9),
            radius in 0usize..8,
            sigma in 0.1f32..3.0,
        ) {
            let radius = radius.min(size.0.min(size.1) - 1);
            let plane: Vec<f32> = (0..size.0 * size.1).map(|i| (i * i * 37 % 101) as f32 / 101.0).collect();
            let blur = Blur { sigma, size: 2 * radius + 1 };
            close(&blurred(&plane, size, blur), &naive(&plane, size, blur));
        }
    }
}
