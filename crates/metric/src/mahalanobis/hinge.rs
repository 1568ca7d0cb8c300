//! The objective of LMNN and its subgradient (Weinberger and Saul 2009, equations 11 to 13).
//!
//! ```text
//! F(L) = (1 - mu) sum_{i, j -> i} |L(x_i - x_j)|^2
//!      + mu sum_{i, j -> i, l} [1 + |L(x_i - x_j)|^2 - |L(x_i - x_l)|^2]_+        l of another class
//! ```
//!
//! `j -> i` reads "j is a target neighbour of i". The sum runs over **all** rows `l` of other classes: none is sampled
//! away and the number of active triples is not capped. What makes it fast is that few rows come near the margin:
//! a block of approximate distances in `f32` finds everything that can possibly be an impostor, with a bound on the
//! rounding error added to the radius, and only those candidates are then decided and summed in `f64`.

use rayon::prelude::*;

use super::data::Training;
use super::gradient;
use super::linalg::{Dense, axpy, product_transposed, squared_distance, vectorized};
use super::screen::Screen;

/// Rows of one task and columns of one tile of distances: 256 x 1024 x 4 bytes stay in a core's cache.
const BLOCK: usize = 256;
const TILE: usize = 1024;

/// LMNN's objective on fixed rows and fixed target neighbours.
pub(super) struct Hinge<'a> {
    /// Rows, sorted by class.
    pub(super) data: &'a Training,
    /// Target neighbours, `[n, neighbors]`.
    pub(super) targets: &'a [usize],
    /// Target neighbours of each row, at least 1.
    pub(super) neighbors: usize,
    /// `mu`, the weight of the push.
    pub(super) push: f64,
}

/// What one piece of rows adds.
struct Part {
    loss: f64,
    degrees: Vec<f64>,
}

impl Hinge<'_> {
    /// Value and gradient at `components`, row-major `[k, d]`.
    pub(super) fn evaluate(&self, components: &[f64]) -> (f64, Vec<f64>) {
        let (n, d) = (self.data.len(), self.data.dim());
        let components = Dense { data: components.to_vec(), rows: components.len() / d, cols: d };
        let embedded = product_transposed(&self.data.rows, &components); // [n, k]
        let pulls = self.target_distances(&embedded); // [n, neighbors]
        let screen = Screen::new(&embedded, pulls.chunks_exact(self.neighbors).map(margin_radius));
        let mut weighted = Dense::zeros(n, d); // W X
        let height = gradient::height(n, BLOCK);
        let pieces = weighted.data.par_chunks_mut(height * d).enumerate();
        let piece = |(piece, out): (usize, &mut [f64])| {
            let mut part = Part { loss: 0.0, degrees: vec![0.0; n] };
            for (block, out) in out.chunks_mut(BLOCK * d).enumerate() {
                self.block(piece * height + block * BLOCK, out, &embedded, &pulls, &screen, &mut part);
            }
            part
        };
        let parts: Vec<Part> = pieces.map(piece).collect();
        let loss: f64 = parts.iter().map(|p| p.loss).sum();
        let degrees = gradient::add_in_order(parts.into_iter().map(|p| p.degrees), n);
        (loss, gradient::from_pair_weights(&components, &self.data.rows, &degrees, weighted))
    }

    /// Squared distance of every row to each of its target neighbours.
    fn target_distances(&self, embedded: &Dense) -> Vec<f64> {
        let rows = self.targets.chunks_exact(self.neighbors).enumerate();
        rows.flat_map(|(i, targets)| targets.iter().map(move |&j| squared_distance(embedded.row(i), embedded.row(j))))
            .collect()
    }

    /// Adds loss and pair weights of the rows from `first` on to `part`; `weighted` is their part of `W X`.
    fn block(
        &self,
        first: usize,
        weighted: &mut [f64],
        embedded: &Dense,
        pulls: &[f64],
        screen: &Screen,
        part: &mut Part,
    ) {
        let (n, d, k) = (self.data.len(), self.data.dim(), self.neighbors);
        let height = weighted.len() / d;
        let mut active = vec![0.0; height * k]; // impostors of each (row, target)
        let mut tile = vec![0.0f32; height * TILE.min(n)];
        let mut near = Vec::new();
        // Where all rows of the block are of one class, that class has no impostor for them.
        let own = self.data.members(self.data.class_of[first]);
        let skip = if first + height <= own.end { own } else { n..n };
        let columns = [0..skip.start, skip.end..n].into_iter();
        for (start, limit) in columns.flat_map(|c| c.clone().step_by(TILE).map(move |start| (start, c.end))) {
            let end = (start + TILE).min(limit);
            let tile = &mut tile[..height * (end - start)];
            screen.products(first..first + height, start..end, tile);
            vectorized(
                #[inline(always)]
                || {
                    for (r, products) in tile.chunks_exact(end - start).enumerate() {
                        let i = first + r;
                        near.clear();
                        screen.candidates(i, start, products, &mut near);
                        near.retain(|&l| self.data.class_of[l] != self.data.class_of[i]);
                        let row = Row { i, pulls: &pulls[i * k..(i + 1) * k], active: &mut active[r * k..(r + 1) * k] };
                        self.push_away(row, &near, embedded, &mut weighted[r * d..(r + 1) * d], part);
                    }
                },
            );
        }
        for (r, (active, weighted)) in active.chunks_exact(k).zip(weighted.chunks_exact_mut(d)).enumerate() {
            self.pull_together(first + r, active, pulls, weighted, part);
        }
    }

    /// Adds the hinges of one row against the candidates `near`.
    #[inline(always)]
    fn push_away(&self, row: Row<'_>, near: &[usize], embedded: &Dense, weighted: &mut [f64], part: &mut Part) {
        for &l in near {
            let distance = squared_distance(embedded.row(row.i), embedded.row(l));
            let mut violated = 0.0;
            for (pull, active) in row.pulls.iter().zip(row.active.iter_mut()) {
                let hinge = 1.0 + pull - distance;
                if hinge > 0.0 {
                    part.loss += self.push * hinge;
                    *active += 1.0;
                    violated += 1.0;
                }
            }
            if violated > 0.0 {
                let weight = -self.push * violated;
                axpy(weighted, weight, self.data.rows.row(l));
                part.degrees[row.i] += weight;
                part.degrees[l] += weight;
            }
        }
    }

    /// Adds the pull of row `i` to its targets, and the target's side of each active hinge.
    fn pull_together(&self, i: usize, active: &[f64], pulls: &[f64], weighted: &mut [f64], part: &mut Part) {
        for (t, &active) in active.iter().enumerate() {
            let at = i * self.neighbors + t;
            let target = self.targets[at];
            let weight = (1.0 - self.push) + self.push * active;
            part.loss += (1.0 - self.push) * pulls[at];
            axpy(weighted, weight, self.data.rows.row(target));
            part.degrees[i] += weight;
            part.degrees[target] += weight;
        }
    }
}

/// A row, its squared target distances and how many impostors each of its targets has met.
struct Row<'a> {
    i: usize,
    pulls: &'a [f64],
    active: &'a mut [f64],
}

/// Squared distance below which a row of another class is an impostor for the farthest target.
fn margin_radius(pulls: &[f64]) -> f64 {
    1.0 + pulls.iter().fold(0.0, |m: f64, &p| m.max(p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::matrix::Matrix;

    /// Equations 11 to 13 of the paper, term by term.
    fn naive(data: &Training, targets: &[usize], neighbors: usize, push: f64, components: &[f64]) -> f64 {
        let d = data.dim();
        let distance = |a: usize, b: usize| -> f64 {
            let diff: Vec<f64> = data.rows.row(a).iter().zip(data.rows.row(b)).map(|(x, y)| x - y).collect();
            components.chunks_exact(d).map(|l| l.iter().zip(&diff).map(|(l, x)| l * x).sum::<f64>().powi(2)).sum()
        };
        let mut loss = 0.0;
        for i in 0..data.len() {
            for &j in &targets[i * neighbors..(i + 1) * neighbors] {
                let pull = distance(i, j);
                loss += (1.0 - push) * pull;
                for l in (0..data.len()).filter(|&l| data.class_of[l] != data.class_of[i]) {
                    loss += push * (1.0 + pull - distance(i, l)).max(0.0);
                }
            }
        }
        loss
    }

    fn line(labels: &[usize]) -> (Training, Vec<usize>) {
        let training = Training::new(&Matrix::from_fn(4, 1, |i, _| i as f32), labels).unwrap();
        // Two rows a class: each is the other's only neighbour.
        (training, vec![1, 0, 3, 2])
    }

    #[test]
    fn the_worked_values_of_metric_learn() {
        for (labels, push, expected) in [([1, 1, 0, 0], 0.5, 3.0), ([1, 0, 0, 1], 0.5, 26.0), ([1, 1, 0, 0], 0.25, 3.5)]
        {
            let (data, targets) = line(&labels);
            let hinge = Hinge { data: &data, targets: &targets, neighbors: 1, push };
            let (value, _) = hinge.evaluate(&[1.0]);
            assert!((value - expected).abs() < 1e-12, "{labels:?} {push}: {value}");
        }
    }

    /// Clouds that overlap, with two equal rows; two stand-in targets a row.
    fn clouds(n: usize) -> (Training, Vec<usize>) {
        let x = Matrix::from_fn(n, 5, |i, j| match i {
            1 | 2 => 0.25,
            _ => (((i * 7 + j * 13 + i * j * 3) % 101) as f32 * 0.37).sin() * 2.0 + (i % 3) as f32 * 0.3,
        });
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let data = Training::new(&x, &labels).unwrap();
        let mut targets = Vec::new();
        for i in 0..n {
            let members = data.members(data.class_of[i]);
            targets.extend((1..3).map(|step| members.start + (i - members.start + step) % members.len()));
        }
        (data, targets)
    }

    #[test]
    fn the_value_agrees_with_the_paper_across_blocks_and_tiles() {
        for n in [30, 2 * BLOCK + 9, TILE + 40] {
            let (data, targets) = clouds(n);
            let hinge = Hinge { data: &data, targets: &targets, neighbors: 2, push: 0.3 };
            for scale in [1.0, 1e-3, 40.0] {
                let components: Vec<f64> = (0..15).map(|i| scale * (i as f64 * 1.7).sin()).collect();
                let (fast, slow) = (hinge.evaluate(&components).0, naive(&data, &targets, 2, 0.3, &components));
                assert!((fast - slow).abs() <= 1e-11 * slow, "n {n}, scale {scale}: {fast} against {slow}");
            }
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let (data, targets) = clouds(60);
        let hinge = Hinge { data: &data, targets: &targets, neighbors: 2, push: 0.5 };
        let components: Vec<f64> = (0..15).map(|i| 0.6 * (i as f64 * 1.7).sin()).collect();
        let (_, gradient) = hinge.evaluate(&components);
        let scale = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for (at, expected) in gradient.iter().enumerate() {
            let moved = |step: f64| {
                let mut components = components.clone();
                components[at] += step;
                hinge.evaluate(&components).0
            };
            let slope = (moved(1e-7) - moved(-1e-7)) / 2e-7;
            assert!((slope - expected).abs() < 1e-4 * scale, "{at}: {slope} against {expected}");
        }
    }

    #[test]
    fn components_of_zero_make_every_other_row_an_impostor() {
        let (data, targets) = line(&[1, 1, 0, 0]);
        let hinge = Hinge { data: &data, targets: &targets, neighbors: 1, push: 0.5 };
        let (value, gradient) = hinge.evaluate(&[0.0]);
        assert_eq!((value, gradient), (4.0, vec![0.0])); // 4 rows x 2 impostors x 0.5
    }
}
