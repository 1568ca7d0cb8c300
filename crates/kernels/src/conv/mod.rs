//! 2-D convolution over channels-last host memory: forward, input gradient and weight gradient.
//!
//! All three are sums over kernel taps of small matrix products. The forward pass and the input gradient are the same
//! routine with other offsets and other packed weights: the gradient of a strided convolution splits into `stride^2`
//! classes of input pixels, each reached by its own subset of the taps, so that no product with an inserted zero is
//! ever formed. Work is cut into pieces whose number does not depend on the threads, so neither does the result.

mod frame;
mod taps;
#[cfg(test)]
mod tests;
mod weights;

use crate::{simd::Level, winograd};
use std::cell::RefCell;
pub(crate) use taps::{direct_forward, direct_input_gradient};
pub(crate) use weights::direct_weight_gradient;

/// Sizes of a convolution. All tensors are channels-last: input `[n, h, w, cin]`, output `[n, ho, wo, cout]`;
/// weights are Burn's `[cout, cin, k, k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub cin: usize,
    pub cout: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    pub(crate) fn ho(&self) -> usize {
        (self.h + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub(crate) fn wo(&self) -> usize {
        (self.w + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Stops before a buffer of another size than these, which the kernels would read past or leave parts unwritten for.
    fn check(&self, input: Option<&[f32]>, weights: Option<&[f32]>, grad: Option<&[f32]>) {
        let input_len = self.n * self.h * self.w * self.cin;
        let weights_len = self.cout * self.cin * self.kernel * self.kernel;
        let grad_len = self.n * self.ho() * self.wo() * self.cout;
        for (what, buffer, len) in
            [("input", input, input_len), ("weights", weights, weights_len), ("gradient", grad, grad_len)]
        {
            assert!(buffer.is_none_or(|buffer| buffer.len() == len), "the {what} does not fit {self:?}");
        }
    }
}

/// Gives `f` a scratch buffer of `scratch` values that a thread keeps between calls, and with it what they left there.
pub(crate) fn with_scratch<R>(scratch: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local!(static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) });
    // Taken out rather than borrowed: rayon may run another piece on this thread while this one waits.
    let mut buffer = BUFFER.take();
    if buffer.len() < scratch {
        buffer.resize(scratch, 0.0);
    }
    let result = f(&mut buffer[..scratch]);
    BUFFER.replace(buffer);
    result
}

/// A buffer that the caller writes whole before it reads any of it. Filling it with zeros first costs a pass over memory
/// in every operation of a step.
#[allow(clippy::uninit_vec)]
pub(crate) fn uninit(len: usize) -> Vec<f32> {
    let mut v: Vec<f32> = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`. `set_len` asks for initialised elements: every routine here checks the sizes of what
    // it reads, and so writes each element before any is read. Until then no value is made from this memory.
    unsafe { v.set_len(len) };
    v
}

/// Convolution: `input [n, h, w, cin]`, `weights [cout, cin, k, k]` to `[n, ho, wo, cout]`.
pub(crate) fn forward(level: Level, g: &Geometry, input: &[f32], weights: &[f32]) -> Vec<f32> {
    g.check(Some(input), Some(weights), None);
    let method = if winograd::applies(g) { winograd::forward } else { direct_forward };
    method(level, g, input, weights)
}

/// Gradient with respect to the input: `grad [n, ho, wo, cout]` to `[n, h, w, cin]`.
pub(crate) fn input_gradient(level: Level, g: &Geometry, grad: &[f32], weights: &[f32]) -> Vec<f32> {
    g.check(None, Some(weights), Some(grad));
    let method = if winograd::applies(g) { winograd::input_gradient } else { direct_input_gradient };
    method(level, g, grad, weights)
}

/// Gradient with respect to the weights: `input [n, h, w, cin]`, `grad [n, ho, wo, cout]` to `[cout, cin, k, k]`.
pub(crate) fn weight_gradient(level: Level, g: &Geometry, input: &[f32], grad: &[f32]) -> Vec<f32> {
    g.check(Some(input), None, Some(grad));
    let method = if winograd::applies(g) { winograd::weight_gradient } else { direct_weight_gradient };
    method(level, g, input, grad)
}
