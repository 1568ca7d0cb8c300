//! Data that the tests make.

use std::path::Path;

/// Class folders of small grey images: a software adapter is slow. Smaller ones would leave
/// one pixel to the last layer, many features exactly zero, and triplets that hang on a tie.
pub fn images(dir: &Path) {
    let mut state = 1u32;
    for class in 0..3u8 {
        let folder = dir.join(format!("class{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        for image in 0..60u8 {
            let mut file = b"P5 16 16 255\n".to_vec();
            let bright = |p: u8| if p / 86 == class { 120 } else { 0 };
            file.extend((0..=255u8).map(|p| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bright(p) + (state >> 24) as u8 / 2
            }));
            std::fs::write(folder.join(format!("{image:02}.pgm")), file).unwrap();
        }
    }
}
