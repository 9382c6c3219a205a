//! Inputs out of inputs.

use rand::Rng;
use rand::rngs::SmallRng;

/// Lengths and counts that are worth a try.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, u64::MAX];

/// Changes inputs, with words that a target's readers know.
pub(crate) struct Mutator {
    words: &'static [&'static [u8]],
}

impl Mutator {
    pub(crate) fn new(words: &'static [&'static [u8]]) -> Self {
        Self { words }
    }

    /// Writes a changed `base` into `out`; `other` may lend a piece.
    pub(crate) fn change(&mut self, base: &[u8], other: &[u8], rng: &mut SmallRng, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(base);
        for _ in 0..1 << rng.random_range(0..4) {
            self.step(other, rng, out);
        }
    }

    fn step(&mut self, other: &[u8], rng: &mut SmallRng, out: &mut Vec<u8>) {
        let at = rng.random_range(0..=out.len());
        match rng.random_range(0..11) {
            0 => flip(out, at, rng),
            1 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = rng.random();
                }
            }
            2 => out.truncate(at),
            3 => {
                let end = (at + rng.random_range(0..16)).min(out.len());
                out.drain(at..end);
            }
            4 => insert(out, at, &[rng.random()]),
            5 => number(out, at, rng),
            6 | 7 => {
                if let Some(word) = (!self.words.is_empty()).then(|| self.words[rng.random_range(0..self.words.len())])
                {
                    let end = if rng.random() { at } else { (at + word.len()).min(out.len()) };
                    out.splice(at..end, word.iter().copied());
                }
            }
            8 => {
                let piece = piece(other, rng).to_vec();
                insert(out, at, &piece);
            }
            9 => {
                let piece = piece(out, rng).to_vec();
                insert(out, at, &piece);
            }
            _ => repeat(out, at, rng),
        }
    }
}

fn flip(out: &mut [u8], at: usize, rng: &mut SmallRng) {
    if let Some(byte) = out.get_mut(at) {
        *byte ^= 1 << rng.random_range(0..8);
    }
}

fn insert(out: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    out.splice(at..at, bytes.iter().copied());
}

/// A number of one, two, four or eight bytes in place of what is there, either end first.
fn number(out: &mut [u8], at: usize, rng: &mut SmallRng) {
    let width = 1 << rng.random_range(0..4);
    let value = NUMBERS[rng.random_range(0..NUMBERS.len())];
    let bytes = if rng.random() { (value << (64 - 8 * width)).to_be_bytes() } else { value.to_le_bytes() };
    for (place, byte) in out.iter_mut().skip(at).zip(&bytes[..width]) {
        *place = *byte;
    }
}

fn piece<'a>(from: &'a [u8], rng: &mut SmallRng) -> &'a [u8] {
    let start = rng.random_range(0..=from.len());
    let end = (start + rng.random_range(0..64)).min(from.len());
    &from[start..end]
}

/// A short piece many times: what lies in itself, or has no end.
fn repeat(out: &mut Vec<u8>, at: usize, rng: &mut SmallRng) {
    let end = (at + rng.random_range(1..8)).min(out.len());
    let times = 1 << rng.random_range(1..12);
    let piece = out[at..end].repeat(times);
    insert(out, at, &piece);
}
