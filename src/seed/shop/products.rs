//! Products.

use super::{FIRST_ORDER, Shop};
use crate::decode::time::MICROS_PER_DAY;
use crate::seed::binary::BinaryRows;
use crate::seed::random::{mix, percent, pick, row_rng};
use rand::Rng;
use rand::seq::IndexedRandom;

pub(super) const STREAM: u64 = 2;

/// Category, the start of its stock keeping units, and what it has.
const CATEGORIES: [(&str, &str, [&str; 6]); 8] = [
    ("Kitchen", "KIT", ["kettle", "chef's knife", "frying pan", "coffee grinder", "toaster", "salad bowl"]),
    ("Garden", "GAR", ["watering can", "rake", "plant pot", "hedge shears", "bird feeder", "hammock"]),
    ("Sports", "SPO", ["yoga mat", "dumbbell", "running belt", "water bottle", "skipping rope", "tennis racket"]),
    ("Office", "OFF", ["desk lamp", "notebook", "fountain pen", "stapler", "monitor stand", "office chair"]),
    ("Toys", "TOY", ["puzzle", "wooden train", "kite", "board game", "teddy bear", "building blocks"]),
    ("Audio", "AUD", ["headphones", "record player", "bluetooth speaker", "microphone", "radio", "soundbar"]),
    ("Outdoor", "OUT", ["tent", "sleeping bag", "rucksack", "head torch", "camping stove", "compass"]),
    ("Home", "HOM", ["cushion", "floor lamp", "picture frame", "wool blanket", "wall clock", "vase"]),
];
const COLORS: [&str; 8] = ["black", "white", "red", "navy", "olive", "grey", "sand", "turquoise"];
const MATERIALS: [&str; 6] = ["steel", "cotton", "oak", "bamboo", "ceramic", "recycled plastic"];

impl Shop {
    /// A product's price in hundredths: 0.99 to about 500, the low ones oftener. Order items ask for it too.
    pub(super) fn price(&self, product: u64) -> u64 {
        let chance = mix(self.seed ^ mix(product)) % 1000;
        (chance * chance / 20).max(50) / 50 * 50 + 49
    }

    pub(super) fn write_product(&self, index: u64, rows: &mut BinaryRows) {
        let id = self.last.products + 1 + index;
        let rng = &mut row_rng(self.seed, STREAM, id);
        let Some((category, prefix, nouns)) = CATEGORIES.choose(rng) else { return };
        let color = pick(rng, &COLORS);
        let created_at = FIRST_ORDER - rng.random_range(MICROS_PER_DAY..1000 * MICROS_PER_DAY);
        rows.row(13);
        rows.int8(id);
        rows.text(&format!("{prefix}-{id:06}"));
        rows.text(&format!("{} {color} {}", pick(rng, &self.vocabulary.companies), pick(rng, nouns)));
        let description = percent(rng, 85).then(|| pick(rng, &self.vocabulary.phrases));
        rows.optional(description, BinaryRows::text);
        rows.text(category);
        rows.numeric(self.price(id), 2);
        let weight = percent(rng, 90).then(|| f64::from(rng.random_range(50..25_000)) / 1000.0);
        rows.optional(weight, BinaryRows::float8);
        let sizes = percent(rng, 75).then(|| [0; 3].map(|_| rng.random_range(20..1500)));
        rows.optional(sizes, |rows, sizes| rows.int4_array(&sizes));
        rows.jsonb(&format!(
            r#"{{"color": "{color}", "material": "{}", "warranty_months": {}, "eco": {}}}"#,
            pick(rng, &MATERIALS),
            rng.random_range(0..5) * 12,
            percent(rng, 30),
        ));
        rows.int4(rng.random_range(0..5000));
        rows.bool(percent(rng, 92));
        let released_on = percent(rng, 70).then(|| (created_at / MICROS_PER_DAY) as i32 + rng.random_range(0..90));
        rows.optional(released_on, BinaryRows::date);
        rows.timestamp(created_at);
    }
}
