//! What customers, and those who are none yet, did.

use super::{FIRST_ORDER, ORDERED_WITHIN, Shop};
use crate::seed::binary::BinaryRows;
use crate::seed::random::{percent, pick, row_rng, skewed, uuid};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

const STREAM: u64 = 6;
const KINDS: [&str; 6] = ["page_view", "page_view", "page_view", "search", "add_to_cart", "login"];
const CHANNELS: [&str; 4] = ["web", "ios", "android", "mail"];

impl Shop {
    pub(super) fn write_event(&self, index: u64, rows: &mut BinaryRows) {
        let id = self.last.events + 1 + index;
        let rng = &mut row_rng(self.seed, STREAM, id);
        let kind = KINDS.choose(rng).copied().unwrap_or("page_view");
        let customer = percent(rng, 70).then(|| self.last.customers + 1 + skewed(rng, self.sizes.customers));
        rows.row(8);
        rows.int8(id);
        rows.optional(customer, BinaryRows::int8);
        rows.bytes(&uuid(rng));
        rows.text(kind);
        rows.jsonb(&self.payload(kind, rng));
        let address = percent(rng, 95).then(|| rng.random::<[u8; 4]>());
        rows.optional(address, BinaryRows::inet);
        let took = percent(rng, 90).then(|| rng.random_range(1..50_000) as f32 / 16.0);
        rows.optional(took, BinaryRows::float4);
        let share = (i128::from(index) * i128::from(ORDERED_WITHIN) / i128::from(self.sizes.events.max(1))) as i64;
        rows.timestamp(FIRST_ORDER + share);
    }

    fn payload(&self, kind: &str, rng: &mut SmallRng) -> String {
        let product = self.last.products + 1 + skewed(rng, self.sizes.products);
        let channel = pick(rng, &CHANNELS);
        match kind {
            "search" => {
                let (word, hits) = (pick(rng, &self.vocabulary.usernames), rng.random_range(0..500));
                format!(r#"{{"query": "{word}", "hits": {hits}, "channel": "{channel}"}}"#)
            }
            "add_to_cart" => {
                let (quantity, price) = (rng.random_range(1..4), self.price(product));
                format!(
                    r#"{{"items": [{{"product": {product}, "quantity": {quantity}, "price": {}.{:02}}}], "channel": "{channel}"}}"#,
                    price / 100,
                    price % 100
                )
            }
            "login" => format!(r#"{{"method": "password", "ok": {}, "referrer": null}}"#, percent(rng, 95)),
            _ => {
                let (width, seconds) = (rng.random_range(320..2560), rng.random_range(1..900));
                format!(
                    r#"{{"path": "/products/{product}", "screen": [{width}, {}], "seconds": {seconds}, "channel": "{channel}"}}"#,
                    width * 9 / 16
                )
            }
        }
    }
}
