//! Data and settings in a number, so that nothing made from others is taken for theirs.

use crate::data::{Dataset, Inputs};

/// FxHash over words of eight bytes: fast, and the same in every build, unlike the hashers of the standard library. It
/// need not withstand an attack.
pub(crate) struct Digest(u64);

impl Digest {
    pub fn new() -> Self {
        Self(0)
    }

    /// Inputs, labels and groups.
    pub fn dataset(&mut self, dataset: &Dataset) {
        match &dataset.inputs {
            Inputs::Images { pixels, channels, height, width } => {
                self.words([*channels, *height, *width].into_iter().map(|side| side as u64));
                self.bytes(pixels);
            }
            Inputs::Rows(rows) => {
                self.word(rows.cols() as u64);
                self.words(rows.as_slice().iter().map(|value| u64::from(value.to_bits())));
            }
        }
        for numbers in [&dataset.labels, &dataset.groups] {
            let numbers = numbers.as_deref().unwrap_or_default();
            self.words(numbers.iter().map(|number| *number as u64));
        }
    }

    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn words(&mut self, words: impl ExactSizeIterator<Item = u64>) {
        self.word(words.len() as u64);
        words.for_each(|word| self.word(word));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }
}

/// Sixteen hexadecimal digits that stand for the inputs, labels, groups and class names of these data, in this order: others
/// have other digits. It is no safeguard against one who looks for data with the same.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a Dataset>) -> String {
    let mut digest = Digest::new();
    for part in parts {
        digest.dataset(part);
        part.class_names.iter().for_each(|name| digest.bytes(name.as_bytes()));
    }
    digest.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn other_data_have_other_digits() {
        let data = |value: f32, label: usize, name: &str| Dataset {
            name: "t".into(),
            inputs: Inputs::Rows(Matrix::from_fn(2, 1, |_, _| value)),
            labels: Some(vec![0, label]),
            class_names: vec!["a".into(), name.into()],
            groups: None,
        };
        let (one, two) = (data(0.5, 1, "b"), data(0.25, 1, "b"));
        let all = [
            digest([&one]),
            digest([&two]),
            digest([&data(0.5, 0, "b")]),
            digest([&data(0.5, 1, "c")]),
            digest([&one, &two]),
            digest([&two, &one]),
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        assert_eq!(digest([&one]), digest([&data(0.5, 1, "b")]));
    }

    #[test]
    fn what_differs_has_another_digest() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest::new();
            digest.bytes(bytes);
            digest.0
        };
        let all = [of(b""), of(b"\0"), of(b"a"), of(b"b"), of(b"12345678a"), of(b"a12345678"), of(b"12345678\0")];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "{all:x?}");
        }
        // Fixed: checkpoints outlive a build.
        assert_eq!(of(b"a"), 0x8e5a_628a_5337_1e27);
    }
}
