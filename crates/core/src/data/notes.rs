//! What a person should know about how data were read, one sentence each: [`Source::notes`].

use super::Source;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Most names in a sentence.
const LISTED: usize = 10;

/// Height and width in pixels. Sentences have width x height, as cameras do.
type Size = (usize, usize);

/// How images of the sizes `before` came to the size `after`, if one changed. Where nobody asked for a size, the
/// sentence says how to.
pub(super) fn scaled(before: impl IntoIterator<Item = Size>, after: Size, asked: bool) -> Option<String> {
    let (mut all, mut changed, mut distorted) = (0, 0, 0);
    let mut sizes = BTreeSet::new();
    for size in before {
        all += 1;
        if size != after {
            changed += 1;
            distorted += usize::from(!keeps_ratio(size, after));
            sizes.insert(size);
        }
    }
    let text = |(height, width): Size| format!("{width}x{height}");
    let largest = text(sizes.iter().copied().max_by_key(|(height, width)| height * width)?);
    let from = if sizes.len() == 1 { largest } else { format!("{} sizes, the largest {largest}", sizes.len()) };
    let mut note =
        format!("{changed} of {all} images were scaled to {} pixels (width x height) from {from}", text(after));
    if distorted > 0 {
        let verb = if distorted == 1 { "is" } else { "are" };
        note += &format!("; {distorted} had another ratio of the sides and {verb} distorted");
    }
    if !asked {
        note += "; --image-size asks for another size";
    }
    Some(note)
}

/// Whether the sides keep their ratio, but for less than one pixel of rounding.
fn keeps_ratio((height, width): Size, after: Size) -> bool {
    let (height, width, to_height, to_width) = (height as f64, width as f64, after.0 as f64, after.1 as f64);
    let (exact_height, exact_width) = (height * to_width / width, width * to_height / height);
    (exact_height - to_height).abs() < 1.0 || (exact_width - to_width).abs() < 1.0
}

/// How many files were passed over because their names are not those of images, by their endings.
pub(super) fn left_out(files: &[&Path]) -> Option<String> {
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy().to_lowercase()));
        *endings.entry(ending.unwrap_or_else(|| "without ending".to_owned())).or_default() += 1;
    }
    let counts: Vec<String> = endings.iter().map(|(ending, count)| format!("{count} {ending}")).collect();
    (!files.is_empty()).then(|| format!("files left out, as they are not named as images: {}", listed(&counts)))
}

/// The classes that cannot be both trained on and scored, if there are any: they have one item, and the source has no
/// test part.
pub(super) fn lone_classes(source: &Source) -> Option<String> {
    if source.test.is_some() {
        return None;
    }
    let counts = source.train.class_counts().ok()?;
    let lone: Vec<String> = source
        .train
        .class_names
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count == 1)
        .map(|(name, _)| name.clone())
        .collect();
    let count = lone.len();
    (count > 0).then(|| {
        format!("classes with one item, which cannot be both trained on and tested: {count} ({})", listed(&lone))
    })
}

/// Names for a note, the first ten and how many more there are.
pub fn listed(names: &[String]) -> String {
    let listed = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED { format!("{listed} and {} more", names.len() - LISTED) } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Inputs};

    #[test]
    fn scaling_is_told_with_what_it_distorts() {
        assert_eq!(scaled([(48, 64); 3], (48, 64), false), None);
        assert_eq!(scaled([], (48, 64), false), None);
        assert_eq!(
            scaled([(900, 1200); 2], (48, 64), true).unwrap(),
            "2 of 2 images were scaled to 64x48 pixels (width x height) from 1200x900"
        );
        let mixed = [(900, 1200), (1200, 900), (48, 64), (300, 400)];
        assert_eq!(
            scaled(mixed, (48, 64), false).unwrap(),
            "3 of 4 images were scaled to 64x48 pixels (width x height) from 3 sizes, the largest 900x1200; 1 had another \
             ratio of the sides and is distorted; --image-size asks for another size"
        );
    }

    #[test]
    fn rounding_is_no_distortion() {
        for (before, after) in [((200, 300), (43, 64)), ((1, 1000), (1, 64)), ((1000, 3), (64, 1)), ((29, 28), (8, 8))]
        {
            assert!(keeps_ratio(before, after), "{before:?} {after:?}");
        }
        for (before, after) in [((300, 200), (43, 64)), ((64, 64), (48, 64)), ((29, 28), (64, 64))] {
            assert!(!keeps_ratio(before, after), "{before:?} {after:?}");
        }
    }

    #[test]
    fn files_are_counted_by_their_endings() {
        assert_eq!(left_out(&[]), None);
        let files = ["a/Thumbs.db", "a/x.TXT", "b/y.txt", "b/README"].map(Path::new);
        assert_eq!(
            left_out(&files).unwrap(),
            "files left out, as they are not named as images: 1 .db, 2 .txt, 1 without ending"
        );
    }

    #[test]
    fn lone_classes_are_named_where_there_is_no_test_part() {
        let names: Vec<String> = (0..13).map(|class| format!("c{class}")).collect();
        let with = |labels: Vec<usize>| {
            let inputs = Inputs::Images { pixels: vec![0; labels.len()], channels: 1, height: 1, width: 1 };
            Dataset { name: "t".into(), inputs, labels: Some(labels), class_names: names.clone(), groups: None }
        };
        let mut source = Source::of(with(vec![0, 0, 1, 2, 2]));
        let told = "classes with one item, which cannot be both trained on and tested: 1 (c1)";
        assert_eq!(lone_classes(&source).as_deref(), Some(told));
        source.train = with((0..13).collect());
        assert!(lone_classes(&source).unwrap().ends_with("13 (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 3 more)"));
        source.test = Some(with(vec![0]));
        assert_eq!(lone_classes(&source), None);
        source.test = None;
        source.train.labels = None;
        assert_eq!(lone_classes(&source), None);
    }
}
