//! What happens in the shop: each scenario is one transaction.

use super::{Change, LiveShop};
use crate::seed::random::{percent, pick, uuid};
use crate::seed::shop::long_text;
use rand::Rng;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

/// Embeds a statement of the live shop.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../../../sql/postgres/shop/live/", $name, ".sql"))
    };
}

/// A transaction of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// A customer, and what they did first.
    SignUp,
    /// An order with its lines, its payment and an event.
    Buy,
    /// The same, given up.
    GiveUp,
    /// A long review.
    Review,
    /// An order is paid and shipped at once: two changes of one row; and the stock shrinks.
    Ship,
    /// Another address.
    MoveHouse,
    /// Another price.
    Reprice,
    /// Votes for reviews, whose texts stay.
    Vote,
    /// A review's text is replaced.
    EditReview,
    /// A review gets another key, its text stays.
    RekeyReview,
    /// A line of an order gets another key.
    RekeyItem,
    /// An order, with its lines and payments.
    DropOrder,
    /// A review.
    DropReview,
    /// A few events.
    ForgetEvents,
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) rolled_back: bool,
    pub(super) inserts: u64,
    pub(super) updates: u64,
    pub(super) deletes: u64,
    pub(super) key_changes: u64,
    pub(super) toast_unchanged: u64,
    pub(super) toast_changed: u64,
}

impl Outcome {
    /// Whether no row was touched.
    pub(super) fn is_empty(&self) -> bool {
        self.inserts + self.updates + self.deletes == 0
    }
}

impl Scenario {
    /// The cards of a kind: what comes oftener is there more often.
    pub(super) fn deck(change: Change) -> &'static [Self] {
        match change {
            Change::Insert => &[
                Self::Buy,
                Self::Buy,
                Self::Buy,
                Self::Buy,
                Self::Buy,
                Self::Buy,
                Self::SignUp,
                Self::SignUp,
                Self::Review,
                Self::GiveUp,
            ],
            Change::Update => &[
                Self::Ship,
                Self::Ship,
                Self::Ship,
                Self::MoveHouse,
                Self::Reprice,
                Self::Vote,
                Self::Vote,
                Self::EditReview,
                Self::RekeyReview,
                Self::RekeyItem,
            ],
            Change::Delete => &[Self::DropOrder, Self::DropReview, Self::ForgetEvents],
        }
    }

    /// What it is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SignUp => "a sign-up",
            Self::Buy => "an order",
            Self::GiveUp => "an order given up",
            Self::Review => "a review",
            Self::Ship => "a shipment",
            Self::MoveHouse => "a new address",
            Self::Reprice => "a new price",
            Self::Vote => "votes",
            Self::EditReview => "an edited review",
            Self::RekeyReview => "a review's new key",
            Self::RekeyItem => "an order line's new key",
            Self::DropOrder => "a deleted order",
            Self::DropReview => "a deleted review",
            Self::ForgetEvents => "forgotten events",
        }
    }
}

impl LiveShop<'_> {
    pub(super) async fn play(&mut self, scenario: Scenario) -> Result<Outcome, Error> {
        match scenario {
            Scenario::SignUp => self.sign_up().await,
            Scenario::Buy => self.buy().await,
            Scenario::GiveUp => self.buy().await.map(|outcome| Outcome { rolled_back: !outcome.is_empty(), ..outcome }),
            Scenario::Review => self.review().await,
            Scenario::Ship => self.ship().await,
            Scenario::MoveHouse => self.move_house().await,
            Scenario::Reprice => self.reprice().await,
            Scenario::Vote => self.vote().await,
            Scenario::EditReview => self.edit_review().await,
            Scenario::RekeyReview => self.rekey_review().await,
            Scenario::RekeyItem => self.rekey_item().await,
            Scenario::DropOrder => self.drop_order().await,
            Scenario::DropReview => self.drop_review().await,
            Scenario::ForgetEvents => self.forget_events().await,
        }
    }

    async fn sign_up(&mut self) -> Result<Outcome, Error> {
        let rng = &mut self.rng;
        let Some(country) = self.vocabulary.country(rng) else { return Ok(Outcome::default()) };
        let phone = percent(rng, 80).then(|| pick(rng, &country.phones));
        let address = std::net::Ipv4Addr::from(rng.random::<[u8; 4]>()).to_string();
        let values: [&(dyn ToSql + Sync); 8] = [
            &uuid_text(rng),
            &pick(rng, &self.vocabulary.usernames),
            &pick(rng, &country.names),
            &phone,
            &pick(rng, &country.streets),
            &pick(rng, &country.cities),
            &country.code,
            &address,
        ];
        let id: i64 = first_key(&self.session.query(sql!("insert_customer"), &values).await?).unwrap_or(0);
        self.last.customers = self.last.customers.max(id.unsigned_abs());
        self.event(Some(id), "login", r#"{"method": "password", "first": true}"#.to_owned()).await?;
        Ok(Outcome { inserts: 2, ..Outcome::default() })
    }

    async fn buy(&mut self) -> Result<Outcome, Error> {
        let Some(customer) = self.pick(sql!("pick_customer"), self.last.customers).await? else {
            return Ok(Outcome::default());
        };
        let from = self.any_key(self.last.products);
        let lines: i64 = self.rng.random_range(1..=4);
        let mut products = self.session.query(sql!("pick_products"), &[&from, &lines]).await?;
        if products.is_empty() {
            products = self.session.query(sql!("pick_products"), &[&0_i64, &lines]).await?;
        }
        if products.is_empty() {
            return Ok(Outcome::default());
        }
        let ids: Vec<i64> = products.iter().map(|row| row.get(0)).collect();
        let prices: Vec<i64> = products.iter().map(|row| row.get(1)).collect();
        let quantities: Vec<i16> = ids.iter().map(|_| self.rng.random_range(1..4)).collect();
        let total: i64 = prices.iter().zip(&quantities).map(|(price, &quantity)| price * i64::from(quantity)).sum();
        let currency = self.vocabulary.country(&mut self.rng).map_or("EUR", |country| country.currency);
        let note = percent(&mut self.rng, 10).then(|| pick(&mut self.rng, &self.vocabulary.sentences));
        let gift = percent(&mut self.rng, 8);
        let rows = self.session.query(sql!("insert_order"), &[&customer, &currency, &total, &gift, &note]).await?;
        let order: i64 = first_key(&rows).unwrap_or(0);
        self.last.orders = self.last.orders.max(order.unsigned_abs());
        let items = self.session.execute(sql!("insert_items"), &[&order, &ids, &quantities, &prices]).await?;
        let last4 = format!("{:04}", self.rng.random_range(0..10_000));
        let payment = uuid_text(&mut self.rng);
        let payments = self.session.execute(sql!("insert_payment"), &[&payment, &order, &total, &last4]).await?;
        self.event(Some(customer), "checkout", format!(r#"{{"order": {order}, "products": {ids:?}}}"#)).await?;
        Ok(Outcome { inserts: 2 + items + payments, ..Outcome::default() })
    }

    async fn review(&mut self) -> Result<Outcome, Error> {
        let customer = self.pick(sql!("pick_customer"), self.last.customers).await?;
        let product = self.pick_product().await?;
        let (Some(customer), Some(product)) = (customer, product) else { return Ok(Outcome::default()) };
        let title = pick(&mut self.rng, &self.vocabulary.slogans);
        let body = long_text(&self.vocabulary, &mut self.rng);
        let rating: i16 = self.rng.random_range(1..=5);
        let rows = self.session.query(sql!("insert_review"), &[&product, &customer, &rating, &title, &body]).await?;
        self.last.reviews = self.last.reviews.max(first_key(&rows).unwrap_or(0).unsigned_abs());
        self.event(Some(customer), "review", format!(r#"{{"product": {product}, "rating": {rating}}}"#)).await?;
        Ok(Outcome { inserts: 2, ..Outcome::default() })
    }

    async fn ship(&mut self) -> Result<Outcome, Error> {
        let Some(order) = self.pick(sql!("pick_order"), self.last.orders).await? else { return Ok(Outcome::default()) };
        let mut updates = self.session.execute(sql!("pay_order"), &[&order]).await?;
        updates += self.session.execute(sql!("ship_order"), &[&order]).await?;
        updates += self.session.execute(sql!("take_stock"), &[&order]).await?;
        Ok(Outcome { updates, ..Outcome::default() })
    }

    async fn move_house(&mut self) -> Result<Outcome, Error> {
        let Some(customer) = self.pick(sql!("pick_customer"), self.last.customers).await? else {
            return Ok(Outcome::default());
        };
        let rng = &mut self.rng;
        let Some(country) = self.vocabulary.country(rng) else { return Ok(Outcome::default()) };
        let (street, city) = (pick(rng, &country.streets), pick(rng, &country.cities));
        let updates = self.session.execute(sql!("move_customer"), &[&customer, &street, &city, &country.code]).await?;
        Ok(Outcome { updates, ..Outcome::default() })
    }

    async fn reprice(&mut self) -> Result<Outcome, Error> {
        let Some(product) = self.pick_product().await? else { return Ok(Outcome::default()) };
        let price: i64 = self.rng.random_range(99..50_000);
        let updates = self.session.execute(sql!("reprice_product"), &[&product, &price]).await?;
        Ok(Outcome { updates, ..Outcome::default() })
    }

    async fn vote(&mut self) -> Result<Outcome, Error> {
        let mut updates = 0;
        for _ in 0..2 {
            let Some(review) = self.pick(sql!("pick_long_review"), self.last.reviews).await? else { break };
            updates += self.session.execute(sql!("vote_review"), &[&review]).await?;
        }
        Ok(Outcome { updates, toast_unchanged: updates, ..Outcome::default() })
    }

    async fn edit_review(&mut self) -> Result<Outcome, Error> {
        let Some(review) = self.pick(sql!("pick_long_review"), self.last.reviews).await? else {
            return Ok(Outcome::default());
        };
        let body = long_text(&self.vocabulary, &mut self.rng);
        let updates = self.session.execute(sql!("edit_review"), &[&review, &body]).await?;
        Ok(Outcome { updates, toast_changed: updates, ..Outcome::default() })
    }

    async fn rekey_review(&mut self) -> Result<Outcome, Error> {
        let Some(review) = self.pick(sql!("pick_long_review"), self.last.reviews).await? else {
            return Ok(Outcome::default());
        };
        let Some(key) = first_key(&self.session.query(sql!("rekey_review"), &[&review]).await?) else {
            return Ok(Outcome::default());
        };
        self.last.reviews = self.last.reviews.max(key.unsigned_abs());
        Ok(Outcome { updates: 1, key_changes: 1, toast_unchanged: 1, ..Outcome::default() })
    }

    async fn rekey_item(&mut self) -> Result<Outcome, Error> {
        let from = self.any_key(self.last.orders);
        let rows = self.session.query(sql!("pick_item"), &[&from]).await?;
        let Some(row) = rows.first() else { return Ok(Outcome::default()) };
        let (order, line): (i64, i32) = (row.get(0), row.get(1));
        let updates = self.session.execute(sql!("rekey_item"), &[&order, &line]).await?;
        Ok(Outcome { updates, key_changes: updates, ..Outcome::default() })
    }

    async fn drop_order(&mut self) -> Result<Outcome, Error> {
        let Some(order) = self.pick(sql!("pick_order"), self.last.orders).await? else { return Ok(Outcome::default()) };
        let mut deletes = self.session.execute(sql!("delete_items"), &[&order]).await?;
        deletes += self.session.execute(sql!("delete_payments"), &[&order]).await?;
        deletes += self.session.execute(sql!("delete_order"), &[&order]).await?;
        Ok(Outcome { deletes, ..Outcome::default() })
    }

    async fn drop_review(&mut self) -> Result<Outcome, Error> {
        let Some(review) = self.pick(sql!("pick_review"), self.last.reviews).await? else {
            return Ok(Outcome::default());
        };
        let deletes = self.session.execute(sql!("delete_review"), &[&review]).await?;
        Ok(Outcome { deletes, ..Outcome::default() })
    }

    async fn forget_events(&mut self) -> Result<Outcome, Error> {
        let mut deletes = 0;
        for _ in 0..3 {
            let Some(event) = self.pick(sql!("pick_event"), self.last.events).await? else { break };
            deletes += self.session.execute(sql!("delete_event"), &[&event]).await?;
        }
        Ok(Outcome { deletes, ..Outcome::default() })
    }

    async fn event(&mut self, customer: Option<i64>, kind: &str, payload: String) -> Result<(), Error> {
        let took = self.rng.random_range(1..50_000) as f32 / 16.0;
        let session = uuid_text(&mut self.rng);
        self.last.events += 1;
        self.session.execute(sql!("insert_event"), &[&customer, &session, &kind, &payload, &took]).await.map(drop)
    }

    async fn pick_product(&mut self) -> Result<Option<i64>, Error> {
        let from = self.any_key(self.last.products);
        Ok(first_key(&self.session.query(sql!("pick_products"), &[&from, &1_i64]).await?))
    }

    /// A row at or after a key by chance, or else the first one.
    async fn pick(&mut self, sql: &'static str, last: u64) -> Result<Option<i64>, Error> {
        let from = self.any_key(last);
        match first_key(&self.session.query(sql, &[&from]).await?) {
            Some(key) => Ok(Some(key)),
            None => Ok(first_key(&self.session.query(sql, &[&0_i64]).await?)),
        }
    }

    fn any_key(&mut self, last: u64) -> i64 {
        self.rng.random_range(1..=last.max(1)) as i64
    }
}

fn first_key(rows: &[tokio_postgres::Row]) -> Option<i64> {
    rows.first().map(|row| row.get(0))
}

fn uuid_text(rng: &mut rand::rngs::SmallRng) -> String {
    format!("{:032x}", u128::from_be_bytes(uuid(rng)))
}
