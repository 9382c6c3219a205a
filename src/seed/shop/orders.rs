//! Orders with their items and payments. The three tables are written one after the other, and each works out the same order anew
//! from its number: so totals are the sums of the items and payments are those of paid orders, without any order being kept.

use super::{FIRST_ORDER, ORDERED_WITHIN, Shop};
use crate::decode::time::MICROS_PER_DAY;
use crate::seed::binary::BinaryRows;
use crate::seed::random::{mix, percent, pick, row_rng, skewed, uuid};
use rand::Rng;
use rand::rngs::SmallRng;

const STREAM: u64 = 3;
const PAYMENT_STREAM: u64 = 4;

/// Items of eight orders in a row, turned by chance: two on average.
const ITEMS_OF_EIGHT: [u8; 8] = [1, 2, 1, 3, 2, 4, 1, 2];
const MAX_ITEMS: usize = 4;
/// Of so many orders in a row, one is not paid.
const PAID_BLOCK: u64 = 5;

/// Items that so many orders have: two each.
pub(super) fn items_of(orders: u64) -> u64 {
    orders * 2
}

/// Payments that so many orders have: four of five, and one each of those that do not fill a block.
pub(super) fn payments_of(orders: u64) -> u64 {
    orders - orders / PAID_BLOCK
}

/// An item of an order.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    product: u64,
    quantity: u8,
    /// In hundredths.
    unit_price: u64,
}

/// All that the three tables say of an order.
#[derive(Debug)]
struct Order {
    id: u64,
    customer: u64,
    status: &'static str,
    paid: bool,
    items: [Item; MAX_ITEMS],
    item_count: usize,
    discount_tenths: Option<u64>,
    /// In hundredths.
    total: u64,
    placed_at: i64,
    shipped_at: Option<i64>,
}

impl Order {
    fn items(&self) -> &[Item] {
        self.items.get(..self.item_count).unwrap_or_default()
    }
}

impl Shop {
    /// The order of a number, and its generator for what only one table needs.
    fn order(&self, index: u64) -> (Order, SmallRng) {
        let id = self.last.orders + 1 + index;
        let mut rng = row_rng(self.seed, STREAM, id);
        let customer = self.last.customers + 1 + skewed(&mut rng, self.sizes.customers);
        let item_count = self.item_count(index);
        let mut items = [Item::default(); MAX_ITEMS];
        for item in items.iter_mut().take(item_count) {
            let product = self.last.products + 1 + skewed(&mut rng, self.sizes.products);
            *item = Item { product, quantity: rng.random_range(1..4), unit_price: self.price(product) };
        }
        let goods: u64 = items.iter().map(|item| u64::from(item.quantity) * item.unit_price).sum();
        let discount_tenths = percent(&mut rng, 20).then(|| rng.random_range(1..60) * 5);
        let total = goods - goods * discount_tenths.unwrap_or(0) / 1000;
        // Orders come in the order of their keys, as they do in life, with some that lie about their time.
        let share = (i128::from(index) * i128::from(ORDERED_WITHIN) / i128::from(self.sizes.orders.max(1))) as i64;
        let placed_at = FIRST_ORDER + share + rng.random_range(0..MICROS_PER_DAY / 24);
        let paid = self.is_paid(index);
        let (status, shipped) = status(paid, rng.random_range(0..100));
        let shipped_at = shipped.then(|| placed_at + rng.random_range(MICROS_PER_DAY / 4..5 * MICROS_PER_DAY));
        let order =
            Order { id, customer, status, paid, items, item_count, discount_tenths, total, placed_at, shipped_at };
        (order, rng)
    }

    fn item_count(&self, index: u64) -> usize {
        let block = index / 8;
        if (block + 1) * 8 > self.sizes.orders {
            return 2;
        }
        let turned = (index + mix(self.seed ^ block)) % 8;
        ITEMS_OF_EIGHT.get(turned as usize).copied().map_or(2, usize::from)
    }

    fn is_paid(&self, index: u64) -> bool {
        let block = index / PAID_BLOCK;
        (block + 1) * PAID_BLOCK > self.sizes.orders || index % PAID_BLOCK != mix(!self.seed ^ block) % PAID_BLOCK
    }

    pub(super) fn write_order(&self, index: u64, rows: &mut BinaryRows) {
        let (order, mut rng) = self.order(index);
        let rng = &mut rng;
        rows.row(10);
        rows.int8(order.id);
        rows.int8(order.customer);
        rows.text(order.status);
        rows.text(self.vocabulary.country(rng).map_or("EUR", |country| country.currency));
        rows.numeric(order.total, 2);
        rows.optional(order.discount_tenths, |rows, tenths| rows.numeric(tenths, 1));
        rows.bool(percent(rng, 8));
        let note = percent(rng, 10).then(|| pick(rng, &self.vocabulary.sentences));
        rows.optional(note, BinaryRows::text);
        rows.timestamp(order.placed_at);
        rows.optional(order.shipped_at, BinaryRows::timestamp);
    }

    pub(super) fn write_items(&self, index: u64, rows: &mut BinaryRows) -> u64 {
        let (order, _) = self.order(index);
        for (line, item) in (1..).zip(order.items()) {
            rows.row(5);
            rows.int8(order.id);
            rows.int4(line);
            rows.int8(item.product);
            rows.int2(i16::from(item.quantity));
            rows.numeric(item.unit_price, 2);
        }
        order.item_count as u64
    }

    pub(super) fn write_payment(&self, index: u64, rows: &mut BinaryRows) -> u64 {
        if !self.is_paid(index) {
            return 0;
        }
        let (order, _) = self.order(index);
        let rng = &mut row_rng(self.seed, PAYMENT_STREAM, order.id);
        let method = match rng.random_range(0..20) {
            0..12 => "card",
            12..16 => "paypal",
            16..19 => "bank_transfer",
            _ => "voucher",
        };
        rows.row(6);
        rows.bytes(&uuid(rng));
        rows.int8(order.id);
        rows.text(method);
        rows.numeric(order.total, 2);
        let last4 = (method == "card").then(|| format!("{:04}", rng.random_range(0..10_000)));
        rows.optional(last4.as_deref(), BinaryRows::text);
        rows.timestamp(order.placed_at + rng.random_range(0..MICROS_PER_DAY / 8));
        u64::from(order.paid)
    }
}

/// The status of an order by chance out of a hundred, and whether it was shipped.
fn status(paid: bool, chance: u32) -> (&'static str, bool) {
    match (paid, chance) {
        (false, 0..60) => ("pending", false),
        (false, _) => ("cancelled", false),
        (true, 0..10) => ("paid", false),
        (true, 10..25) => ("shipped", true),
        (true, 25..92) => ("delivered", true),
        (true, _) => ("returned", true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sizes;
    use super::*;
    use crate::seed::shop::LastKeys;
    use crate::seed::vocabulary::Vocabulary;

    #[test]
    fn items_and_payments_are_as_many_as_announced() {
        let vocabulary = Vocabulary::new(5);
        let mut shop = Shop { seed: 5, sizes: Sizes::spread(50).unwrap(), last: LastKeys::default(), vocabulary };
        for rows in [50, 59, 333, 1000, 4321] {
            shop.sizes = Sizes::spread(rows).unwrap();
            let mut written = BinaryRows::default();
            let orders = 0..shop.sizes.orders;
            let items: u64 = orders.clone().map(|index| shop.write_items(index, &mut written)).sum();
            let payments: u64 = orders.map(|index| shop.write_payment(index, &mut written)).sum();
            assert_eq!((items, payments), (items_of(shop.sizes.orders), payments_of(shop.sizes.orders)), "{rows}");
        }
    }

    #[test]
    fn an_order_costs_what_its_items_do() {
        let sizes = Sizes::spread(10_000).unwrap();
        let shop = Shop { seed: 5, sizes, last: LastKeys::default(), vocabulary: Vocabulary::new(5) };
        for index in 0..sizes.orders {
            let (order, _) = shop.order(index);
            let goods: u64 = order.items().iter().map(|item| u64::from(item.quantity) * item.unit_price).sum();
            assert!(order.total <= goods && order.total > goods / 2, "{order:?}");
            assert!(order.items().iter().all(|item| (1..=sizes.products).contains(&item.product)), "{order:?}");
            assert!((1..=sizes.customers).contains(&order.customer), "{order:?}");
        }
    }
}
