//! A run in a number, so that no checkpoint is taken for another run's.

use super::{Method, TrainConfig, TrainData};
use crate::data::Inputs;

/// FxHash over words of eight bytes: fast, and the same in every build, unlike the hashers of the standard library. It
/// need not withstand an attack.
struct Digest(u64);

impl Digest {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn words(&mut self, words: impl ExactSizeIterator<Item = u64>) {
        self.word(words.len() as u64);
        words.for_each(|word| self.word(word));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }
}

/// Stands for all that a checkpoint depends on: the method with its settings, the budget, the optimiser, the seed, the
/// views and the data.
pub(super) fn digest<M: Method>(method: &M, features: usize, data: TrainData<'_>, config: &TrainConfig) -> String {
    let TrainConfig { batch, passes, steps, steps_per_epoch, seed, optimizer, checkpoints: _ } = config;
    let TrainData { dataset, augmenter } = data;
    let name = method.name();
    let settings = format!(
        "{name} {method:?} {features} {batch} {passes:?} {steps} {steps_per_epoch} {seed} {optimizer:?} {augmenter:?}"
    );
    let mut digest = Digest(0);
    digest.bytes(settings.as_bytes());
    match &dataset.inputs {
        Inputs::Images { pixels, channels, height, width } => {
            digest.words([*channels, *height, *width].into_iter().map(|side| side as u64));
            digest.bytes(pixels);
        }
        Inputs::Rows(rows) => {
            digest.word(rows.cols() as u64);
            digest.words(rows.as_slice().iter().map(|value| u64::from(value.to_bits())));
        }
    }
    for numbers in [&dataset.labels, &dataset.groups] {
        let numbers = numbers.as_deref().unwrap_or_default();
        digest.words(numbers.iter().map(|number| *number as u64));
    }
    format!("{:016x}", digest.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_digest() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest(0);
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
