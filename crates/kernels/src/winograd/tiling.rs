//! The 2x2 output tiles of an image and the 4x4 patches under them.

use super::POSITIONS;

/// The 2x2 tiles of an image.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    h: usize,
    w: usize,
    across: usize,
    pub(super) count: usize,
}

impl Tiling {
    pub(super) fn new(h: usize, w: usize) -> Self {
        let across = w.div_ceil(2);
        Self { h, w, across, count: across * h.div_ceil(2) }
    }

    /// Top left output pixel of tile `t` of an image.
    fn origin(&self, t: usize) -> (usize, usize) {
        (2 * (t / self.across), 2 * (t % self.across))
    }

    /// The 4x4 patch under tile `t` of `image [h, w, c]`; pixels outside are `zeros [c]`.
    pub(super) fn patch(&self, image: &[f32], c: usize, t: usize, zeros: &[f32]) -> [*const f32; POSITIONS] {
        let (y0, x0) = self.origin(t);
        std::array::from_fn(|i| {
            let (y, x) = (y0 + i / 4, x0 + i % 4); // one more than the pixel's own: the padding
            let inside = (1..=self.h).contains(&y) && (1..=self.w).contains(&x);
            if inside { image[((y - 1) * self.w + x - 1) * c..][..c].as_ptr() } else { zeros[..c].as_ptr() }
        })
    }

    /// The output pixels of tile `t` that lie inside an image, as offsets in pixels.
    pub(super) fn outputs(&self, t: usize) -> [Option<usize>; 4] {
        let (y0, x0) = self.origin(t);
        std::array::from_fn(|i| {
            let (y, x) = (y0 + i / 2, x0 + i % 2);
            (y < self.h && x < self.w).then_some(y * self.w + x)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_odd_images_stop_at_their_edges() {
        let tiling = Tiling::new(3, 5);
        assert_eq!(tiling.count, 6);
        assert_eq!(tiling.outputs(5), [Some(14), None, None, None]);
        assert_eq!(tiling.outputs(0), [Some(0), Some(1), Some(5), Some(6)]);
    }
}
