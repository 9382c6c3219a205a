//! The demo shop: its schema, how many rows each table gets, and what stands in each row.

mod customers;
mod events;
mod fill;
mod orders;
mod products;
mod reviews;
mod schema;

pub use fill::{Fill, fill};
pub use schema::{Presence, create, drop, presence, truncate};

use super::binary::BinaryRows;
use super::vocabulary::Vocabulary;
use crate::decode::time::MICROS_PER_DAY;
use crate::error::{Error, Kind, Result};

pub(super) use fill::last_keys;
pub(super) use reviews::long_text;

/// The fewest rows that give each table one.
pub const MIN_ROWS: u64 = 50;

/// 2024-01-01 00:00 UTC, in microseconds since 1970: rows that are to repeat cannot ask for the time.
const FIRST_ORDER: i64 = 1_704_067_200_000_000;
/// The two years in which orders are placed.
const ORDERED_WITHIN: i64 = 731 * MICROS_PER_DAY;

/// A table of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShopTable {
    /// Who buys.
    Customers,
    /// What is sold.
    Products,
    /// Who bought, when, for how much.
    Orders,
    /// What was bought.
    OrderItems,
    /// What was paid.
    Payments,
    /// Opinions; most are long enough to be stored out of line.
    Reviews,
    /// What customers did, as JSON.
    Events,
}

impl ShopTable {
    /// All of them, referenced ones before those that refer to them.
    pub const ALL: [Self; 7] =
        [Self::Customers, Self::Products, Self::Orders, Self::OrderItems, Self::Payments, Self::Reviews, Self::Events];

    /// Its name with the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customers => "public.customers",
            Self::Products => "public.products",
            Self::Orders => "public.orders",
            Self::OrderItems => "public.order_items",
            Self::Payments => "public.payments",
            Self::Reviews => "public.reviews",
            Self::Events => "public.events",
        }
    }

    fn copy_statement(self) -> &'static str {
        match self {
            Self::Customers => include_str!("../../../sql/postgres/shop/copy_customers.sql"),
            Self::Products => include_str!("../../../sql/postgres/shop/copy_products.sql"),
            Self::Orders => include_str!("../../../sql/postgres/shop/copy_orders.sql"),
            Self::OrderItems => include_str!("../../../sql/postgres/shop/copy_order_items.sql"),
            Self::Payments => include_str!("../../../sql/postgres/shop/copy_payments.sql"),
            Self::Reviews => include_str!("../../../sql/postgres/shop/copy_reviews.sql"),
            Self::Events => include_str!("../../../sql/postgres/shop/copy_events.sql"),
        }
    }
}

/// How many rows each table gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    customers: u64,
    products: u64,
    orders: u64,
    reviews: u64,
    events: u64,
}

impl Sizes {
    /// Spreads rows over the tables: of a hundred 10 customers, 1 product, 20 orders with 40 items and 16 payments, 2 reviews, 11
    /// events.
    ///
    /// # Errors
    /// [`Kind::Usage`] below [`MIN_ROWS`].
    pub fn spread(rows: u64) -> Result<Self> {
        if rows < MIN_ROWS {
            return Err(Error::new(Kind::Usage, format!("could not spread {rows} rows over the shop's tables"))
                .hint(format!("ask for {MIN_ROWS} or more")));
        }
        let mut sizes = Self {
            customers: rows / 10,
            products: (rows / 100).max(1),
            orders: rows / 5,
            reviews: rows / 50,
            events: 0,
        };
        sizes.events = rows.saturating_sub(sizes.total());
        Ok(sizes)
    }

    /// Rows of a table.
    pub fn of(&self, table: ShopTable) -> u64 {
        match table {
            ShopTable::Customers => self.customers,
            ShopTable::Products => self.products,
            ShopTable::Orders => self.orders,
            ShopTable::OrderItems => orders::items_of(self.orders),
            ShopTable::Payments => orders::payments_of(self.orders),
            ShopTable::Reviews => self.reviews,
            ShopTable::Events => self.events,
        }
    }

    /// Rows of all tables.
    pub fn total(&self) -> u64 {
        ShopTable::ALL.iter().map(|&table| self.of(table)).sum()
    }
}

/// The greatest keys that are taken already: new rows go on after them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastKeys {
    pub(super) customers: u64,
    pub(super) products: u64,
    pub(super) orders: u64,
    pub(super) reviews: u64,
    pub(super) events: u64,
}

/// What the rows of a fill are made from.
#[derive(Debug)]
struct Shop {
    seed: u64,
    sizes: Sizes,
    last: LastKeys,
    vocabulary: Vocabulary,
}

impl Shop {
    /// How many entities a table is written by: its rows, or, for what belongs to orders, the orders.
    fn entities(&self, table: ShopTable) -> u64 {
        match table {
            ShopTable::OrderItems | ShopTable::Payments => self.sizes.orders,
            _ => self.sizes.of(table),
        }
    }

    /// Writes the rows of one entity, counted from 0; says how many they are.
    fn write(&self, table: ShopTable, index: u64, rows: &mut BinaryRows) -> u64 {
        match table {
            ShopTable::Customers => self.write_customer(index, rows),
            ShopTable::Products => self.write_product(index, rows),
            ShopTable::Orders => self.write_order(index, rows),
            ShopTable::OrderItems => return self.write_items(index, rows),
            ShopTable::Payments => return self.write_payment(index, rows),
            ShopTable::Reviews => self.write_review(index, rows),
            ShopTable::Events => self.write_event(index, rows),
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_given_to_a_table() {
        for rows in (MIN_ROWS..700).chain([1_000_000, 12_345_678]) {
            let sizes = Sizes::spread(rows).unwrap();
            assert_eq!(sizes.total(), rows);
            for table in ShopTable::ALL {
                assert!(sizes.of(table) > 0, "{rows} {table:?}");
            }
        }
        assert_eq!(Sizes::spread(MIN_ROWS - 1).unwrap_err().kind(), Kind::Usage);
    }
}
