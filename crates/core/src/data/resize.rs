//! Images in another size or with another number of channels.

use super::{DataError, Dataset, Inputs, Shape};
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use rayon::prelude::*;

/// Longest side that images are resized to: more is a slip of the keyboard, not a size to train on.
const MOST: usize = 8_192;

/// Weights of red, green and blue in grey, in 65,536ths: ITU-R BT.601 (0.299, 0.587, 0.114) as Pillow rounds it.
const LUMA: [u32; 3] = [19_595, 38_470, 7_471];

pub(super) fn dataset(data: &Dataset, to: Shape) -> Result<Dataset, DataError> {
    let Inputs::Images { pixels, channels, height, width } = &data.inputs else {
        return Err(DataError::RowsNotImages { name: data.name.clone() });
    };
    let from = Shape { channels: *channels, height: *height, width: *width };
    let failed = |reason| DataError::Resize { name: data.name.clone(), reason };
    check(from, to).map_err(failed)?;
    let pixels = if from == to {
        pixels.clone()
    } else {
        let mut out = vec![0u8; data.len() * to.size()];
        out.par_chunks_mut(to.size())
            .zip(pixels.par_chunks(from.size().max(1)))
            .try_for_each_init(Resizer::new, |resizer, (target, source)| image(resizer, source, from, target, to))
            .map_err(failed)?;
        out
    };
    Ok(Dataset {
        name: data.name.clone(),
        inputs: Inputs::Images { pixels, channels: to.channels, height: to.height, width: to.width },
        labels: data.labels.clone(),
        class_names: data.class_names.clone(),
        groups: data.groups.clone(),
    })
}

/// Height and width scaled together so that the longer is `side`, neither below 1.
pub(super) fn with_longer_side((height, width): (usize, usize), side: usize) -> Result<(usize, usize), String> {
    if !(1..=MOST).contains(&side) {
        return Err(format!("{side} is no size; the longer side must be 1 to {MOST}"));
    }
    let longest = height.max(width).max(1);
    let scaled = |old: usize| ((old * side + longest / 2) / longest).max(1);
    Ok((scaled(height), scaled(width)))
}

/// Whether images can be brought from one shape to another, and if not, why.
pub(super) fn check(from: Shape, to: Shape) -> Result<(), String> {
    if ![to.height, to.width].iter().all(|side| (1..=MOST).contains(side)) {
        return Err(format!("{} x {} is no size; each side must be 1 to {MOST}", to.height, to.width));
    }
    if from.channels != to.channels && !matches!((from.channels, to.channels), (1, 3) | (3, 1)) {
        return Err(format!("{} channels cannot become {}; only 1 and 3 change", from.channels, to.channels));
    }
    Ok(())
}

/// Brings one image `[c, h, w]` from the shape `from` to the shape `to`, which [`check`] has allowed.
pub(super) fn image(
    resizer: &mut Resizer,
    source: &[u8],
    from: Shape,
    target: &mut [u8],
    to: Shape,
) -> Result<(), String> {
    let (from_plane, to_plane) = (from.height * from.width, to.height * to.width);
    match (from.channels, to.channels) {
        (3, 1) => plane(resizer, &luma(source, from_plane), from, target, to),
        (1, 3) => {
            let (first, rest) = target.split_at_mut(to_plane);
            plane(resizer, source, from, first, to)?;
            rest.chunks_exact_mut(to_plane).for_each(|copy| copy.copy_from_slice(first));
            Ok(())
        }
        _ => {
            let mut planes = source.chunks_exact(from_plane).zip(target.chunks_exact_mut(to_plane));
            planes.try_for_each(|(source, target)| plane(resizer, source, from, target, to))
        }
    }
}

fn luma(image: &[u8], plane: usize) -> Vec<u8> {
    let weighed = |i: usize| (0..3).map(|c| LUMA[c] * u32::from(image[c * plane + i])).sum::<u32>();
    (0..plane).map(|i| ((weighed(i) + 0x8000) >> 16) as u8).collect()
}

/// One plane, bilinear; where it shrinks, the filter widens, so that no pixel is left out.
fn plane(resizer: &mut Resizer, source: &[u8], from: Shape, target: &mut [u8], to: Shape) -> Result<(), String> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let source = ImageRef::new(from.width as u32, from.height as u32, source, PixelType::U8);
    let target = Image::from_slice_u8(to.width as u32, to.height as u32, target, PixelType::U8);
    let (source, mut target) = (source.map_err(|e| e.to_string())?, target.map_err(|e| e.to_string())?);
    resizer.resize(&source, &mut target, &options).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(pixels: Vec<u8>, channels: usize, height: usize, width: usize) -> Dataset {
        let inputs = Inputs::Images { pixels, channels, height, width };
        Dataset { name: "t".into(), inputs, labels: None, class_names: Vec::new(), groups: None }
    }

    fn pixels(data: &Dataset) -> &[u8] {
        let Inputs::Images { pixels, .. } = &data.inputs else { panic!("not images") };
        pixels
    }

    #[test]
    fn the_longer_side_leads() {
        let found = [(64, 64), (1, 1000), (300, 200), (10, 20)].map(|size| with_longer_side(size, 64).unwrap());
        assert_eq!(found, [(64, 64), (1, 64), (64, 43), (32, 64)]);
        assert!(with_longer_side((4, 4), 0).is_err() && with_longer_side((4, 4), MOST + 1).is_err());
    }

    #[test]
    fn flat_images_stay_flat_and_grey_becomes_colour() {
        let big = images(vec![7; 2 * 64], 1, 8, 8).resized(Shape { channels: 3, height: 5, width: 11 }).unwrap();
        assert_eq!(big.len(), 2);
        assert!(pixels(&big).iter().all(|p| *p == 7));
    }

    #[test]
    fn a_shrunk_image_is_the_mean_and_planes_stay_apart() {
        // The one output pixel lies in the middle, at the same distance from all four.
        let three = [[0, 100, 100, 0], [0, 0, 0, 0], [200, 0, 0, 200]].concat();
        let small = images(three, 3, 2, 2).resized(Shape { channels: 3, height: 1, width: 1 }).unwrap();
        assert_eq!(pixels(&small), [50, 0, 100]);
    }

    #[test]
    fn doubling_interpolates_between_neighbours() {
        let wide = images(vec![0, 100], 1, 1, 2).resized(Shape { channels: 1, height: 1, width: 4 }).unwrap();
        assert_eq!(pixels(&wide), [0, 25, 75, 100]);
    }

    #[test]
    fn colour_is_weighed_to_grey() {
        let rgb = images(vec![255, 0, 0, 0, 255, 0, 0, 0, 255], 3, 1, 3);
        let grey = rgb.resized(Shape { channels: 1, height: 1, width: 3 }).unwrap();
        assert_eq!(pixels(&grey), [76, 150, 29]);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let error = |channels, height, width| {
            let to = Shape { channels, height, width };
            images(vec![0; 12], 3, 2, 2).resized(to).unwrap_err().to_string()
        };
        assert!(error(3, 0, 2).contains("0 x 2 is no size"));
        assert!(error(3, 2, 100_000).contains("1 to 8192"));
        assert!(error(2, 2, 2).contains("3 channels cannot become 2"));
    }
}
