//! The operations on Flex and NdArray.

use super::{KernelOps, NormOptions};
use crate::{
    conv::{self, Geometry},
    host::Host,
    norm::{self, Affine, Saved, Size},
    simd::Level,
};
use burn::backend::tensor::FloatTensor;

fn geometry<B: Host>(x: &FloatTensor<B>, weight: &FloatTensor<B>, stride: usize, padding: usize) -> Geometry {
    let [n, cin, h, w] = B::sizes(x);
    let [cout, _, kernel, _] = B::sizes(weight);
    Geometry { n, h, w, cin, cout, kernel, stride, padding }
}

fn size<B: Host>(x: &FloatTensor<B>) -> Size {
    let [n, c, h, w] = B::sizes(x);
    Size { n, h, w, c }
}

fn conv2d<B: Host>(x: FloatTensor<B>, weight: FloatTensor<B>, stride: usize, padding: usize) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let y = conv::forward(Level::detect(), &g, &B::channels_last(&x), &B::contiguous(&weight));
    B::from_channels_last(y, [g.n, g.cout, g.ho(), g.wo()])
}

fn input_gradient<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    stride: usize,
    padding: usize,
) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let dx = conv::input_gradient(Level::detect(), &g, &B::channels_last(&grad), &B::contiguous(&weight));
    B::from_channels_last(dx, [g.n, g.cin, g.h, g.w])
}

fn weight_gradient<B: Host>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    stride: usize,
    padding: usize,
) -> FloatTensor<B> {
    let g = geometry::<B>(&x, &weight, stride, padding);
    let dw = conv::weight_gradient(Level::detect(), &g, &B::channels_last(&x), &B::channels_last(&grad));
    B::from_contiguous(dw, &[g.cout, g.cin, g.kernel, g.kernel])
}

fn statistics<B: Host>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let c = size::<B>(&x).c;
    let (mean, var) = norm::statistics(&B::channels_last(&x), c);
    (B::from_contiguous(mean, &[c]), B::from_contiguous(var, &[c]))
}

fn norm_forward<B: Host>(
    x: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    [gamma, beta, mean, var]: [FloatTensor<B>; 4],
    options: NormOptions,
) -> FloatTensor<B> {
    let size = size::<B>(&x);
    let affine = Affine::new(
        &B::contiguous(&gamma),
        &B::contiguous(&beta),
        &B::contiguous(&mean),
        &B::contiguous(&var),
        options.epsilon,
    );
    let residual = residual.as_ref().map(|r| B::channels_last(r));
    let y = norm::forward(&B::channels_last(&x), residual.as_deref(), size, &affine, options.after());
    let out = if options.pool { size.pooled() } else { size };
    B::from_channels_last(y, [out.n, out.c, out.h, out.w])
}

fn norm_backward<B: Host>(
    x: FloatTensor<B>,
    output: Option<FloatTensor<B>>,
    [gamma, beta, mean, var]: [FloatTensor<B>; 4],
    grad: FloatTensor<B>,
    options: NormOptions,
) -> (FloatTensor<B>, Option<FloatTensor<B>>, FloatTensor<B>, FloatTensor<B>) {
    let size = size::<B>(&x);
    let saved = Saved {
        x: &B::channels_last(&x),
        size,
        gamma: &B::contiguous(&gamma),
        beta: &B::contiguous(&beta),
        mean: &B::contiguous(&mean),
        var: &B::contiguous(&var),
        epsilon: options.epsilon,
        after: options.after(),
        batch_statistics: options.batch_statistics,
    };
    let output = output.as_ref().map(|y| B::channels_last(y));
    let g = norm::backward(&saved, output.as_deref(), &B::channels_last(&grad));
    let shape = [size.n, size.c, size.h, size.w];
    (
        B::from_channels_last(g.input, shape),
        g.residual.map(|r| B::from_channels_last(r, shape)),
        B::from_contiguous(g.gamma, &[size.c]),
        B::from_contiguous(g.beta, &[size.c]),
    )
}

fn sum<B: Host>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let y = norm::sum(&B::channels_last(&a), &B::channels_last(&b));
    B::from_channels_last(y, B::sizes(&a))
}

fn global_average<B: Host>(x: FloatTensor<B>) -> FloatTensor<B> {
    let Size { n, h, w, c } = size::<B>(&x);
    let x = B::channels_last(&x);
    let mut out = vec![0.0f32; n * c];
    if h * w * c > 0 {
        for (out, image) in out.chunks_exact_mut(c).zip(x.chunks_exact(h * w * c)) {
            for pixel in image.chunks_exact(c) {
                out.iter_mut().zip(pixel).for_each(|(o, v)| *o += v);
            }
            out.iter_mut().for_each(|o| *o /= (h * w) as f32);
        }
    }
    B::from_contiguous(out, &[n, c])
}

fn global_average_gradient<B: Host>(grad: FloatTensor<B>, height: usize, width: usize) -> FloatTensor<B> {
    let [n, c] = B::sizes(&grad);
    let scale = 1.0 / (height * width) as f32;
    let mut out = Vec::with_capacity(n * c * height * width);
    for row in B::contiguous(&grad).chunks_exact(c.max(1)) {
        for _ in 0..height * width {
            out.extend(row.iter().map(|g| g * scale));
        }
    }
    B::from_channels_last(out, [n, c, height, width])
}

macro_rules! host_ops {
    ($backend:ty) => {
        impl KernelOps for $backend {
            fn nf_conv2d(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                conv2d::<Self>(x, w, stride, padding)
            }
            fn nf_conv2d_input_gradient(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                input_gradient::<Self>(x, w, grad, stride, padding)
            }
            fn nf_conv2d_weight_gradient(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                stride: usize,
                padding: usize,
            ) -> FloatTensor<Self> {
                weight_gradient::<Self>(x, w, grad, stride, padding)
            }
            fn nf_statistics(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
                statistics::<Self>(x)
            }
            fn nf_norm(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                options: NormOptions,
            ) -> FloatTensor<Self> {
                norm_forward::<Self>(x, None, [gamma, beta, mean, var], options)
            }
            fn nf_norm_gradient(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                options: NormOptions,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (dx, _, dgamma, dbeta) = norm_backward::<Self>(x, None, [gamma, beta, mean, var], grad, options);
                (dx, dgamma, dbeta)
            }
            fn nf_norm_add(
                x: FloatTensor<Self>,
                residual: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                options: NormOptions,
            ) -> FloatTensor<Self> {
                norm_forward::<Self>(x, Some(residual), [gamma, beta, mean, var], options)
            }
            fn nf_norm_add_gradient(
                x: FloatTensor<Self>,
                output: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                var: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                options: NormOptions,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (dx, dr, dgamma, dbeta) =
                    norm_backward::<Self>(x, Some(output), [gamma, beta, mean, var], grad, options);
                (dx, dr.expect("an output was given"), dgamma, dbeta)
            }
            fn nf_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
                sum::<Self>(a, b)
            }
            fn nf_fork(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
                (x.clone(), x)
            }
            fn nf_global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
                global_average::<Self>(x)
            }
            fn nf_global_average_gradient(grad: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self> {
                global_average_gradient::<Self>(grad, height, width)
            }
        }
    };
}

#[cfg(feature = "flex")]
host_ops!(burn_flex::Flex);
#[cfg(feature = "ndarray")]
host_ops!(burn_ndarray::NdArray);
