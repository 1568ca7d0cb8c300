//! Small pictures of test items, for the page.

use crate::report::Png;
use anyhow::Context;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use nearfar_core::data::{Dataset, Inputs, Shape};
use std::collections::BTreeMap;

/// Longest side of a thumbnail in pixels.
const SIDE: usize = 32;

/// Small pictures of the items; none where the data are rows.
pub fn thumbnails(test: &Dataset, items: &[usize]) -> anyhow::Result<BTreeMap<usize, Png>> {
    let Inputs::Images { .. } = &test.inputs else { return Ok(BTreeMap::new()) };
    let full = test.shape();
    let shrink = |side: usize| (side * SIDE / full.height.max(full.width).max(SIDE)).max(1);
    let shape = Shape { channels: full.channels, height: shrink(full.height), width: shrink(full.width) };
    let small = test.select(items).resized(shape)?;
    let Inputs::Images { pixels, .. } = &small.inputs else { return Ok(BTreeMap::new()) };
    items.iter().zip(pixels.chunks_exact(shape.size())).map(|(item, image)| Ok((*item, png(image, shape)?))).collect()
}

/// One image `[c, h, w]` of one or three channels as a PNG file.
fn png(image: &[u8], shape: Shape) -> anyhow::Result<Png> {
    let Shape { channels, height, width } = shape;
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let area = height * width;
    let interleaved: Vec<u8> = (0..area).flat_map(|at| (0..channels).map(move |c| image[c * area + at])).collect();
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    encoder.write_image(&interleaved, width as u32, height as u32, color).context("cannot encode a thumbnail")?;
    Ok(Png::new(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::matrix::Matrix;

    #[test]
    fn thumbnails_are_small_pngs() {
        let shape = Shape { channels: 3, height: 1, width: 2 };
        let file = image::load_from_memory(&png_bytes(&[10, 20, 30, 40, 50, 60], shape)).unwrap().into_rgb8();
        assert_eq!(file.into_raw(), [10, 30, 50, 20, 40, 60]);
        let mut test = Dataset {
            name: "t".into(),
            inputs: Inputs::Images { pixels: vec![9; 4 * 64 * 128], channels: 1, height: 64, width: 128 },
            labels: None,
            class_names: Vec::new(),
            groups: None,
        };
        let found = thumbnails(&test, &[3]).unwrap();
        let file = image::load_from_memory(&decoded(&found[&3])).unwrap();
        assert_eq!((file.width(), file.height()), (32, 16));
        test.inputs = Inputs::Rows(Matrix::zeros(4, 2));
        assert!(thumbnails(&test, &[3]).unwrap().is_empty());
    }

    fn png_bytes(image: &[u8], shape: Shape) -> Vec<u8> {
        decoded(&png(image, shape).unwrap())
    }

    fn decoded(png: &Png) -> Vec<u8> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.decode(png.base64()).unwrap()
    }
}
