//! Customers.

use super::{FIRST_ORDER, Shop};
use crate::decode::time::MICROS_PER_DAY;
use crate::seed::binary::BinaryRows;
use crate::seed::random::{percent, pick, row_rng, uuid};
use rand::Rng;

pub(super) const STREAM: u64 = 1;
const TAGS: [&str; 6] = ["vip", "wholesale", "student", "returning", "newsletter", "beta"];

impl Shop {
    pub(super) fn write_customer(&self, index: u64, rows: &mut BinaryRows) {
        let id = self.last.customers + 1 + index;
        let rng = &mut row_rng(self.seed, STREAM, id);
        let Some(country) = self.vocabulary.country(rng) else { return };
        let created_at = FIRST_ORDER - rng.random_range(MICROS_PER_DAY..700 * MICROS_PER_DAY);
        rows.row(15);
        rows.int8(id);
        rows.bytes(&uuid(rng));
        // The id makes the address unique; example.* is reserved by RFC 2606, so that nobody ever gets a mail.
        let domain = ["example.com", "example.net", "example.org"];
        rows.text(&format!("{}.{id}@{}", pick(rng, &self.vocabulary.usernames), pick(rng, &domain)));
        rows.text(pick(rng, &country.names));
        let phone = percent(rng, 80).then(|| pick(rng, &country.phones));
        rows.optional(phone, BinaryRows::text);
        rows.text(pick(rng, &country.streets));
        rows.text(pick(rng, &country.cities));
        let postcode =
            Some(pick(rng, &country.postcodes)).filter(|postcode| !postcode.is_empty() && postcode.len() <= 12);
        rows.optional(postcode, BinaryRows::text);
        rows.text(country.code);
        // Born between 1940 and 2005: days since 1970.
        let birthday = percent(rng, 60).then(|| rng.random_range(-10_957..12_783));
        rows.optional(birthday, BinaryRows::date);
        let address = percent(rng, 70).then(|| rng.random::<[u8; 4]>());
        rows.optional(address, BinaryRows::inet);
        let tags = rng.random_range(0..3_usize);
        let start = rng.random_range(0..=TAGS.len() - tags);
        rows.text_array(TAGS.get(start..start + tags).unwrap_or_default());
        rows.bool(percent(rng, 35));
        rows.timestamp(created_at);
        let updated_at = percent(rng, 50).then(|| created_at + rng.random_range(0..300 * MICROS_PER_DAY));
        rows.optional(updated_at, BinaryRows::timestamp);
    }
}
