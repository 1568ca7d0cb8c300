//! The bridge between Burn's CPU tensors and the kernels' slices.

// Burn recommends Flex over NdArray; this project serves both.
#![allow(deprecated)]

use burn::backend::{Backend, tensor::FloatTensor};
use std::borrow::Cow;

/// A backend whose tensors live in host memory.
pub(crate) trait Host: Backend {
    /// The values of an image tensor of shape `[n, c, h, w]`, ordered `[n, h, w, c]`; borrowed if they lie so already.
    fn channels_last(x: &FloatTensor<Self>) -> Cow<'_, [f32]>;
    /// The values of a tensor in row-major order; borrowed if they lie so already.
    fn contiguous(x: &FloatTensor<Self>) -> Cow<'_, [f32]>;
    /// A tensor of shape `[n, c, h, w]` over values ordered `[n, h, w, c]`.
    fn from_channels_last(values: Vec<f32>, shape: [usize; 4]) -> FloatTensor<Self>;
    /// A tensor over values in row-major order.
    fn from_contiguous(values: Vec<f32>, shape: &[usize]) -> FloatTensor<Self>;
    /// Sizes of a tensor of rank `D`.
    fn sizes<const D: usize>(x: &FloatTensor<Self>) -> [usize; D];
}

/// Copies a strided tensor into row-major order of `dims`; the strides belong to those dimensions.
fn gather(data: &[f32], start: usize, dims: &[usize], strides: &[isize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(dims.iter().product());
    fn walk(data: &[f32], at: isize, dims: &[usize], strides: &[isize], out: &mut Vec<f32>) {
        match dims {
            [] => out.push(data[at as usize]),
            [n] if strides[0] == 1 => out.extend_from_slice(&data[at as usize..][..*n]),
            [n, ..] => {
                for i in 0..*n as isize {
                    walk(data, at + i * strides[0], &dims[1..], &strides[1..], out);
                }
            }
        }
    }
    if dims.iter().all(|d| *d > 0) {
        walk(data, start as isize, dims, strides, &mut out);
    }
    out
}

/// Values of a strided tensor in row-major order of `dims`, borrowed when they already lie so.
fn ordered<'a>(data: &'a [f32], start: usize, dims: &[usize], strides: &[isize]) -> Cow<'a, [f32]> {
    let mut expected = 1isize;
    let mut dense = true;
    for (d, s) in dims.iter().zip(strides).rev() {
        // A dimension of size one is never stepped along: its stride means nothing.
        dense &= *d == 1 || *s == expected;
        expected *= *d as isize;
    }
    if dense {
        Cow::Borrowed(&data[start..start + dims.iter().product::<usize>()])
    } else {
        Cow::Owned(gather(data, start, dims, strides))
    }
}

fn nhwc<T: Copy>(v: &[T]) -> [T; 4] {
    [v[0], v[2], v[3], v[1]]
}

/// Strides of `[n, c, h, w]` over memory ordered `[n, h, w, c]`.
#[cfg(feature = "flex")]
fn channels_last_strides([_, c, h, w]: [usize; 4]) -> Vec<isize> {
    [h * w * c, 1, w * c, c].map(|s| s as isize).to_vec()
}

#[cfg(feature = "flex")]
impl Host for burn_flex::Flex {
    fn channels_last(x: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        let layout = x.layout();
        ordered(x.storage(), layout.start_offset(), &nhwc(layout.shape()), &nhwc(layout.strides()))
    }

    fn contiguous(x: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        let layout = x.layout();
        ordered(x.storage(), layout.start_offset(), layout.shape(), layout.strides())
    }

    fn from_channels_last(values: Vec<f32>, shape: [usize; 4]) -> FloatTensor<Self> {
        let layout = burn_flex::Layout::new(shape.into(), channels_last_strides(shape), 0);
        burn_flex::FlexTensor::new(burn::tensor::Bytes::from_elems(values), layout, burn::tensor::DType::F32)
    }

    fn from_contiguous(values: Vec<f32>, shape: &[usize]) -> FloatTensor<Self> {
        burn_flex::FlexTensor::from_data(burn::tensor::TensorData::new(values, shape))
    }

    fn sizes<const D: usize>(x: &FloatTensor<Self>) -> [usize; D] {
        std::array::from_fn(|i| x.layout().shape()[i])
    }
}

#[cfg(feature = "ndarray")]
impl Host for burn_ndarray::NdArray {
    fn channels_last(x: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        let (data, dims, strides) = parts(x);
        ordered(data, 0, &nhwc(&dims), &nhwc(&strides))
    }

    fn contiguous(x: &FloatTensor<Self>) -> Cow<'_, [f32]> {
        let (data, dims, strides) = parts(x);
        ordered(data, 0, &dims, &strides)
    }

    fn from_channels_last(values: Vec<f32>, [n, c, h, w]: [usize; 4]) -> FloatTensor<Self> {
        let array = ndarray::ArcArray::from_shape_vec(ndarray::IxDyn(&[n, h, w, c]), values)
            .expect("kernels hand over as many values as the shape holds");
        array.permuted_axes(ndarray::IxDyn(&[0, 3, 1, 2])).into()
    }

    fn from_contiguous(values: Vec<f32>, shape: &[usize]) -> FloatTensor<Self> {
        ndarray::ArcArray::from_shape_vec(ndarray::IxDyn(shape), values)
            .expect("kernels hand over as many values as the shape holds")
            .into()
    }

    fn sizes<const D: usize>(x: &FloatTensor<Self>) -> [usize; D] {
        let shape = burn::backend::TensorMetadata::shape(x);
        std::array::from_fn(|i| shape[i])
    }
}

/// The memory that an NdArray tensor's elements span, from its first element on, with sizes and strides.
#[cfg(feature = "ndarray")]
fn parts(x: &burn_ndarray::NdArrayTensor) -> (&[f32], Vec<usize>, Vec<isize>) {
    let burn_ndarray::NdArrayTensor::F32(storage) = x else {
        unreachable!("the public functions send only f32 tensors here")
    };
    let view = storage.view();
    let (dims, strides) = (view.shape().to_vec(), view.strides().to_vec());
    assert!(strides.iter().all(|s| *s >= 0), "flipped tensors are made contiguous before they come here");
    let span = if dims.contains(&0) {
        0
    } else {
        1 + dims.iter().zip(&strides).map(|(d, s)| (d - 1) * *s as usize).sum::<usize>()
    };
    // SAFETY: the view's elements lie at non-negative multiples of its strides from its first element, the last of
    // them at `span - 1`, all within one allocation that lives as long as the borrow of `x`.
    let data = unsafe { std::slice::from_raw_parts(view.as_ptr(), span) };
    (data, dims, strides)
}
