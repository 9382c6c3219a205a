//! Reviews: two of three are so long that Postgres stores their text out of line (above about 2 kB a row, see
//! <https://www.postgresql.org/docs/current/storage-toast.html>).

use super::{FIRST_ORDER, ORDERED_WITHIN, Shop};
use crate::decode::time::MICROS_PER_DAY;
use crate::seed::binary::BinaryRows;
use crate::seed::random::{percent, pick, row_rng, skewed};
use crate::seed::vocabulary::Vocabulary;
use rand::Rng;
use rand::rngs::SmallRng;

const STREAM: u64 = 5;
const LONG_BYTES: std::ops::Range<usize> = 3500..6000;
const SHORT_BYTES: std::ops::Range<usize> = 40..600;

/// A text that is stored out of line.
pub(in crate::seed) fn long_text(vocabulary: &Vocabulary, rng: &mut SmallRng) -> String {
    let bytes = rng.random_range(LONG_BYTES);
    vocabulary.text(rng, bytes)
}

impl Shop {
    pub(super) fn write_review(&self, index: u64, rows: &mut BinaryRows) {
        let id = self.last.reviews + 1 + index;
        let rng = &mut row_rng(self.seed, STREAM, id);
        let created_at = FIRST_ORDER + rng.random_range(0..ORDERED_WITHIN);
        rows.row(11);
        rows.int8(id);
        rows.int8(self.last.products + 1 + skewed(rng, self.sizes.products));
        rows.int8(self.last.customers + 1 + skewed(rng, self.sizes.customers));
        rows.int2(5 - skewed(rng, 5) as i16);
        rows.text(pick(rng, &self.vocabulary.slogans));
        if index % 3 == 2 {
            let bytes = rng.random_range(SHORT_BYTES);
            rows.text(&self.vocabulary.text(rng, bytes));
        } else {
            rows.text(&long_text(&self.vocabulary, rng));
        }
        let photos = percent(rng, 25).then(|| [format!("/photos/{id}/1.jpg"), format!("/photos/{id}/2.jpg")]);
        rows.optional(photos.as_ref(), |rows, [first, second]| rows.text_array(&[first, second]));
        rows.int4(skewed(rng, 200) as i32);
        rows.bool(percent(rng, 80));
        rows.timestamp(created_at);
        let edited_at = percent(rng, 15).then(|| created_at + rng.random_range(0..30 * MICROS_PER_DAY));
        rows.optional(edited_at, BinaryRows::timestamp);
    }
}
