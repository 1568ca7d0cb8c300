//! Images with margins of zeros.

/// Margins of zeros around an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub before: usize,
    pub after_h: usize,
    pub after_w: usize,
}

impl Frame {
    pub(super) fn padded_w(&self) -> usize {
        self.before + self.w + self.after_w
    }

    pub(super) fn len(&self) -> usize {
        (self.before + self.h + self.after_h) * self.padded_w() * self.c
    }

    pub(super) fn is_empty(&self) -> bool {
        self.before == 0 && self.after_h == 0 && self.after_w == 0
    }

    /// Copies one image into `dst` with its margins.
    fn fill(&self, image: &[f32], dst: &mut [f32]) {
        let (row, padded_row) = (self.w * self.c, self.padded_w() * self.c);
        let (left, right) = (self.before * self.c, self.after_w * self.c);
        dst[..self.before * padded_row].fill(0.0);
        for y in 0..self.h {
            let line = &mut dst[(self.before + y) * padded_row..][..padded_row];
            line[..left].fill(0.0);
            line[left..left + row].copy_from_slice(&image[y * row..][..row]);
            line[left + row..left + row + right].fill(0.0);
        }
        dst[(self.before + self.h) * padded_row..self.len()].fill(0.0);
    }

    /// Values of scratch that [`Frame::around`] needs for so many images.
    pub(super) fn scratch(&self, images: usize) -> usize {
        if self.is_empty() { 0 } else { images * self.len() }
    }

    /// The images with their margins: themselves where these are empty, else copies in `scratch`.
    pub(super) fn around<'a>(&self, images: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        if self.is_empty() {
            return images;
        }
        let image = self.h * self.w * self.c;
        for (image, framed) in images.chunks_exact(image).zip(scratch.chunks_exact_mut(self.len())) {
            self.fill(image, framed);
        }
        scratch
    }
}
