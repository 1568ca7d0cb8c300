//! Image files as planes of bytes.

use super::{DataError, Shape, resize};
use fast_image_resize::Resizer;
use image::ImageReader;
use std::{io::Cursor, path::Path};

/// One image, `[c, h, w]`: 1 channel if the file is grey, else 3. Transparency is left out, as Pillow does, and so is
/// the orientation that a camera notes.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) pixels: Vec<u8>,
    pub(super) shape: Shape,
    /// Height and width that it has in its file.
    pub(super) stored: (usize, usize),
}

impl Decoded {
    /// The same image at another size or with another number of channels.
    pub(super) fn resized(self, to: Shape, resizer: &mut Resizer) -> Result<Self, String> {
        if self.shape == to {
            return Ok(self);
        }
        resize::check(self.shape, to)?;
        let mut pixels = vec![0u8; to.size()];
        resize::image(resizer, &self.pixels, self.shape, &mut pixels, to)?;
        Ok(Self { pixels, shape: to, stored: self.stored })
    }
}

fn failed(path: &Path, reason: impl ToString) -> DataError {
    DataError::Image { path: path.to_owned(), reason: reason.to_string() }
}

/// Height and width of an image, from its header. The path is for errors only, here and below.
pub(super) fn size(path: &Path, bytes: &[u8]) -> Result<(usize, usize), DataError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| failed(path, e))?;
    let (width, height) = reader.into_dimensions().map_err(|e| failed(path, e))?;
    Ok((height as usize, width as usize))
}

/// Decodes an image at the size `height` x `width`. The format is known by the file's bytes, not by its name.
pub(super) fn decode(
    path: &Path,
    bytes: &[u8],
    (height, width): (usize, usize),
    resizer: &mut Resizer,
) -> Result<Decoded, DataError> {
    let whole = decode_whole(path, bytes)?;
    let to = Shape { height, width, ..whole.shape };
    whole.resized(to, resizer).map_err(|e| failed(path, e))
}

/// Decodes an image in the shape `to`, and says whether it had another.
pub(super) fn decode_as(
    path: &Path,
    bytes: &[u8],
    to: Shape,
    resizer: &mut Resizer,
) -> Result<(Decoded, bool), DataError> {
    let whole = decode_whole(path, bytes)?;
    let changes = whole.shape != to;
    Ok((whole.resized(to, resizer).map_err(|e| failed(path, e))?, changes))
}

fn decode_whole(path: &Path, bytes: &[u8]) -> Result<Decoded, DataError> {
    let image = image::load_from_memory(bytes).map_err(|e| failed(path, e))?;
    if bytes.starts_with(&[0xff, 0xd8]) && is_cut_jpeg(bytes) {
        return Err(failed(path, "the file is cut short"));
    }
    let (height, width) = (image.height() as usize, image.width() as usize);
    let stored = (height, width);
    if height * width == 0 {
        return Err(failed(path, "it has no pixels"));
    }
    if image.color().has_color() {
        let interleaved = image.into_rgb8().into_raw();
        let pixels = (0..3).flat_map(|c| interleaved.iter().skip(c).step_by(3).copied()).collect();
        Ok(Decoded { pixels, shape: Shape { channels: 3, height, width }, stored })
    } else {
        let pixels = image.into_luma8().into_raw();
        Ok(Decoded { pixels, shape: Shape { channels: 1, height, width }, stored })
    }
}

/// Whether a JPEG ends before the marker of its end. The decoder fills what is missing with grey and says nothing.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    // Segments before the first scan may hold a whole small JPEG with an end of its own: they are stepped over.
    let mut at = 2;
    loop {
        match bytes.get(at..at + 4) {
            Some([0xff, 0xff, ..]) => at += 1,
            Some([0xff, 0xda, ..]) => return !bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            Some([0xff, _, high, low]) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            Some(_) => return false,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};

    fn decoded_at(path: &Path, size: (usize, usize)) -> Result<Decoded, DataError> {
        decode(path, &fs::read(path).unwrap(), size, &mut Resizer::new())
    }

    fn decoded(path: &Path) -> Result<Decoded, DataError> {
        decoded_at(path, size(path, &fs::read(path).unwrap())?)
    }

    fn gradient(dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        let pixel = |x: u32, y: u32| image::Rgb([(x * 8) as u8, (y * 8) as u8, 100]);
        image::RgbImage::from_fn(32, 24, pixel).save(&path).unwrap();
        path
    }

    #[test]
    fn colours_become_planes_and_grey_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        for (name, tolerance) in [("a.png", 0), ("a.ppm", 0), ("a.jpg", 24)] {
            let image = decoded(&gradient(dir.path(), name)).unwrap();
            assert_eq!(image.shape, Shape { channels: 3, height: 24, width: 32 });
            for (c, expected) in [(0, 5 * 8), (1, 7 * 8), (2, 100u8)] {
                let got = image.pixels[c * 24 * 32 + 7 * 32 + 5];
                assert!(got.abs_diff(expected) <= tolerance, "{name}, channel {c}: {got}, expected {expected}");
            }
        }
        let path = dir.path().join("grey.pgm");
        image::GrayImage::from_fn(3, 2, |x, y| image::Luma([(10 * y + x) as u8])).save(&path).unwrap();
        let image = decoded(&path).unwrap();
        assert_eq!(image.shape, Shape { channels: 1, height: 2, width: 3 });
        assert_eq!(image.pixels, [0, 1, 2, 10, 11, 12]);
        let renamed = dir.path().join("without-ending");
        fs::rename(&path, &renamed).unwrap();
        assert_eq!(decoded(&renamed).unwrap().pixels, image.pixels);
        let small = decoded_at(&renamed, (1, 1)).unwrap();
        assert_eq!((small.shape.channels, small.pixels.len(), small.stored), (1, 1, (2, 3)));
    }

    #[test]
    fn cut_files_are_refused_whatever_their_format() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.ppm", "a.jpg"] {
            let path = gradient(dir.path(), name);
            let bytes = fs::read(&path).unwrap();
            for keep in [bytes.len() - 3, bytes.len() / 2, 1, 0] {
                fs::write(&path, &bytes[..keep]).unwrap();
                let error = decoded_at(&path, (24, 32));
                // The last bytes of a PNG are a checksum of an empty chunk: all pixels are there without them.
                if (name, keep) != ("a.png", bytes.len() - 3) {
                    let message = error.unwrap_err().to_string();
                    assert!(message.contains(name) && message.contains("cannot decode"), "{name} {keep}: {message}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.png");
        fs::write(&path, "no image").unwrap();
        for error in [decoded(&path).unwrap_err(), decoded_at(&path, (1, 1)).unwrap_err()] {
            let message = error.to_string();
            assert!(message.contains("cannot decode the image") && message.contains("notes.png"), "{message}");
        }
    }
}
