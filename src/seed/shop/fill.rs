//! Fills the shop in one go.

use super::{LastKeys, Shop, ShopTable, Sizes, presence};
use crate::error::Result;
use crate::seed::binary::BinaryRows;
use crate::seed::copy::{Abandoned, COPY_ROWS, PIECE_BYTES, Piece, Pieces, Target, load};
use crate::seed::vocabulary::Vocabulary;
use crate::seed::{Event, TableRows};
use crate::server::postgres::{Connection, server_error};
use std::time::Instant;

const LAST_KEYS: &str = include_str!("../../../sql/postgres/shop/last_keys.sql");
const ANALYZE: &str = include_str!("../../../sql/postgres/shop/analyze.sql");
const RESERVE_KEYS: &str = include_str!("../../../sql/postgres/shop/reserve_keys.sql");

/// What to fill the shop with.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// Rows of all tables together.
    pub sizes: Sizes,
    /// The same seed, on tables with the same greatest keys, makes the same rows.
    pub seed: u64,
}

/// Fills the shop's tables, the referenced ones first, behind the rows that are there. Rows are made while the server takes those
/// before them; what was written when it fails or is given up stays, in whole COPYs, and without references to missing rows.
///
/// # Errors
/// [`crate::error::Kind::Source`] where the tables are missing or refuse a row.
pub async fn fill(
    connection: &Connection,
    fill: Fill,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Vec<TableRows>> {
    presence(connection).await?.require_complete()?;
    let last = last_keys(connection).await?;
    reserve_keys(connection, &last, &fill.sizes).await?;
    for table in ShopTable::ALL {
        events(Event::Planned { table: table.name(), rows: fill.sizes.of(table) });
    }
    let mut done: Vec<TableRows> = Vec::new();
    let mut started = Instant::now();
    let generate = move |pieces: &Pieces| {
        let shop = Shop { seed: fill.seed, sizes: fill.sizes, last, vocabulary: Vocabulary::new(fill.seed) };
        ShopTable::ALL.iter().try_for_each(|&table| hand_over_table(&shop, table, pieces))
    };
    let written = |table: &str, rows| {
        events(Event::Rows { table, rows });
        if let Some(last) = done.last_mut().filter(|last| last.table == table) {
            last.add(rows, started);
        } else {
            started = Instant::now();
            done.push(TableRows::new(table, rows));
        }
    };
    load(connection, generate, written).await?;
    connection.batch_execute(ANALYZE).await.map_err(|error| server_error("could not analyze the demo shop", error))?;
    Ok(done)
}

fn hand_over_table(shop: &Shop, table: ShopTable, pieces: &Pieces) -> Result<(), Abandoned> {
    let target = Target { table: table.name().into(), statement: table.copy_statement().into() };
    let entities = shop.entities(table);
    let mut index = 0;
    while index < entities {
        pieces.hand_over(Piece::Begin(target.clone()))?;
        index = hand_over_copy(shop, table, index, pieces)?;
        pieces.hand_over(Piece::End)?;
    }
    Ok(())
}

/// Hands over one COPY, from the entity of this number on; says with which the next begins.
fn hand_over_copy(shop: &Shop, table: ShopTable, first: u64, pieces: &Pieces) -> Result<u64, Abandoned> {
    let mut rows = BinaryRows::default();
    rows.start();
    let (mut index, mut in_copy, mut in_piece) = (first, 0, 0);
    while index < shop.entities(table) && in_copy < COPY_ROWS {
        let count = shop.write(table, index, &mut rows);
        index += 1;
        in_copy += count;
        in_piece += count;
        if rows.len() >= PIECE_BYTES {
            pieces.hand_over(Piece::Data(rows.take(), in_piece))?;
            in_piece = 0;
        }
    }
    rows.finish();
    pieces.hand_over(Piece::Data(rows.take(), in_piece))?;
    Ok(index)
}

/// The greatest keys that are taken.
pub(in crate::seed) async fn last_keys(connection: &Connection) -> Result<LastKeys> {
    let row = connection
        .query_one(LAST_KEYS, &[])
        .await
        .map_err(|error| server_error("could not read the greatest keys of the demo shop", error))?;
    let key = |index: usize| row.get::<_, i64>(index).unsigned_abs();
    Ok(LastKeys { customers: key(0), products: key(1), orders: key(2), reviews: key(3), events: key(4) })
}

async fn reserve_keys(connection: &Connection, last: &LastKeys, sizes: &Sizes) -> Result<()> {
    let after = |last: u64, rows: u64| (last + rows) as i64;
    connection
        .query_one(
            RESERVE_KEYS,
            &[
                &after(last.customers, sizes.customers),
                &after(last.products, sizes.products),
                &after(last.orders, sizes.orders),
                &after(last.reviews, sizes.reviews),
                &after(last.events, sizes.events),
            ],
        )
        .await
        .map(drop)
        .map_err(|error| server_error("could not move the sequences of the demo shop", error))
}
