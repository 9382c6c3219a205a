//! Chance that repeats: each row has a generator of its own, made of the seed, the table and the row's number. So a row is the same
//! whatever was generated before it, and two tables can speak of the same order without either being kept in memory.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// A row's generator. On one kind of machine (32 or 64 bits) the same arguments give the same sequence.
pub(super) fn row_rng(seed: u64, stream: u64, row: u64) -> SmallRng {
    SmallRng::seed_from_u64(mix(mix(seed ^ stream.rotate_left(32)) ^ row))
}

/// Spreads every bit of a number over all bits of the result, one to one: the finalizer of `SplitMix64`
/// (<https://prng.di.unimi.it/splitmix64.c>).
pub(super) fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// One of a list; the empty text of an empty one.
pub(super) fn pick<'a, T: AsRef<str>>(rng: &mut SmallRng, list: &'a [T]) -> &'a str {
    list.choose(rng).map_or("", AsRef::as_ref)
}

/// True in so many cases of a hundred.
pub(super) fn percent(rng: &mut SmallRng, share: u32) -> bool {
    rng.random_range(0..100) < share
}

/// A number below `end` (0 where that is 0), the low ones oftener: half of all draws fall into the first quarter.
pub(super) fn skewed(rng: &mut SmallRng, end: u64) -> u64 {
    let unit: f64 = rng.random();
    ((unit * unit * end as f64) as u64).min(end.saturating_sub(1))
}

/// A random UUID (version 4, RFC 9562 section 5.4).
pub(super) fn uuid(rng: &mut SmallRng) -> [u8; 16] {
    let bits: u128 = rng.random();
    let version = bits & !(0xF << 76) | (4 << 76);
    (version & !(0x3 << 62) | (0x2 << 62)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_repeat_and_differ() {
        let draw = |seed, stream, row| row_rng(seed, stream, row).random::<u64>();
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(3, 2, 1)] {
            assert_ne!(draw(1, 2, 3), other);
        }
    }

    #[test]
    fn skewed_stays_below_its_end() {
        let mut rng = row_rng(1, 1, 1);
        let draws: Vec<u64> = (0..1000).map(|_| skewed(&mut rng, 100)).collect();
        assert!(draws.iter().all(|&draw| draw < 100));
        assert!(draws.iter().filter(|&&draw| draw < 25).count() > 400);
        assert_eq!(skewed(&mut rng, 0), 0);
    }

    #[test]
    fn uuids_are_of_version_four() {
        let uuid = uuid(&mut row_rng(1, 1, 1));
        assert_eq!(uuid[6] >> 4, 4);
        assert_eq!(uuid[8] >> 6, 2);
    }
}
