//! Rows near a row, found in single precision and without missing any: the search for impostors of LMNN.

use std::ops::Range;

use super::linalg::{Dense, multiply_f32, squared_distance, view};

/// Finds, in single precision, a superset of the rows within each row's radius.
///
/// `|z_i - z_l|^2 < r_i` is `|z_l|^2 / 2 - z_i . z_l < (r_i - |z_i|^2) / 2`: one product and one comparison a pair.
/// With `u = 2^-24`, rounding the embeddings to `f32` and summing `k` products in any order moves the left side by at
/// most `(k + 4) u (|z_i|^2 + |z_l|^2) / 2`, and the remaining operations by a few `u` of the same terms. `slack` is
/// more than twice that, so no true impostor is missed.
pub(super) struct Screen {
    /// Embeddings divided by the largest norm, so that nothing overflows, `[n, k]`.
    scaled: Vec<f32>,
    k: usize,
    /// `|z_l|^2 / 2`, rounded down by the slack.
    half_norms: Vec<f32>,
    /// `(r_i - |z_i|^2) / 2`, rounded up by the slack.
    reach: Vec<f32>,
}

impl Screen {
    /// Of rows `embedded`, `[n, k]`, and a squared radius for each.
    pub(super) fn new(embedded: &Dense, radii: impl Iterator<Item = f64>) -> Self {
        let k = embedded.cols;
        let slack = (k + 16) as f64 * f64::from(f32::EPSILON); // EPSILON is 2 u
        let origin = vec![0.0; k];
        let norms: Vec<f64> = embedded.data.chunks_exact(k).map(|z| squared_distance(z, &origin)).collect();
        let largest = norms.iter().fold(0.0, |m: f64, &s| m.max(s));
        let scale = if largest > 0.0 { largest.sqrt().recip() } else { 1.0 };
        let square = scale * scale;
        let half_norms = norms.iter().map(|s| (0.5 * s * square * (1.0 - slack)) as f32).collect();
        let reach = norms.iter().zip(radii).map(|(s, r)| {
            // The constant covers products so small that f32 flushes them to zero.
            (0.5 * square * ((r - s) + slack * (r + s)) + 1e-30) as f32
        });
        let reach = reach.collect();
        Self { scaled: embedded.data.iter().map(|z| (z * scale) as f32).collect(), k, half_norms, reach }
    }

    /// Inner products of the rows `rows` with the rows `columns`, row-major.
    pub(super) fn products(&self, rows: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
        let lhs = view(&self.scaled[rows.start * self.k..rows.end * self.k], self.k);
        let rhs = view(&self.scaled[columns.start * self.k..columns.end * self.k], self.k);
        multiply_f32(out, lhs, rhs.transpose());
    }

    /// Appends the rows from `start` on that may lie within the radius of row `i`, given its products with them.
    #[inline(always)]
    pub(super) fn candidates(&self, i: usize, start: usize, products: &[f32], near: &mut Vec<usize>) {
        const GROUP: usize = 16;
        let reach = self.reach[i];
        let half_norms = &self.half_norms[start..start + products.len()];
        for (group, (products, norms)) in products.chunks(GROUP).zip(half_norms.chunks(GROUP)).enumerate() {
            // A branch for each group, not for each pair: almost every group is empty.
            if products.iter().zip(norms).fold(false, |any, (p, h)| any | (h - p < reach)) {
                let hits = products.iter().zip(norms).enumerate().filter(|(_, (p, h))| *h - *p < reach);
                near.extend(hits.map(|(at, _)| start + group * GROUP + at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screening_misses_no_row_within_the_radius() {
        let n = 200;
        // Norms over eight orders of magnitude: the largest sets the scale of the screen.
        let value = |i: usize| (i as f64 * 0.83).sin() * 10f64.powi((i / 6 % 9) as i32 - 4);
        let embedded = Dense { data: (0..n * 6).map(value).collect(), rows: n, cols: 6 };
        let distance = |i: usize, l: usize| squared_distance(embedded.row(i), embedded.row(l));
        // The radius of each row ends just behind some other row.
        let radii: Vec<f64> = (0..n).map(|i| distance(i, (i * 31 + 17) % n) * (1.0 + 1e-12) + 1e-12).collect();
        let screen = Screen::new(&embedded, radii.iter().copied());
        let mut products = vec![0.0f32; n * n];
        screen.products(0..n, 0..n, &mut products);
        let mut found = 0;
        for (i, &radius) in radii.iter().enumerate() {
            let mut near = Vec::new();
            screen.candidates(i, 0, &products[i * n..(i + 1) * n], &mut near);
            found += near.len();
            assert!((0..n).filter(|&l| distance(i, l) < radius).all(|l| near.contains(&l)), "row {i}");
        }
        assert!(found < n * n, "a screen that keeps everything screens nothing");
    }
}
