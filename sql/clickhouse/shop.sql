-- The demo shop in ClickHouse, word for word as `pipectl create-tables` makes it with clickhouse_config.yml. To be read; or to be run by somebody
-- who may create tables, where pipectl's user may not:
--   clickhouse-client --multiquery <sql/clickhouse/shop.sql
CREATE DATABASE IF NOT EXISTS `shop`;
CREATE TABLE IF NOT EXISTS `shop`.`customers`
(
    `id` Int64,
    `external_id` UUID,
    `email` String,
    `name` String,
    `phone` Nullable(String),
    `street` String,
    `city` String,
    `postcode` Nullable(String),
    `country` String,
    `birthday` Nullable(Date32),
    `last_ip` Nullable(String),
    `tags` Array(Nullable(String)),
    `newsletter` Bool,
    `created_at` Nullable(DateTime64(6, 'UTC')),
    `updated_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
CREATE TABLE IF NOT EXISTS `shop`.`events`
(
    `id` Int64,
    `customer_id` Nullable(Int64),
    `session_id` UUID,
    `kind` String,
    `payload` String,
    `ip` Nullable(String),
    `took_ms` Nullable(Float32),
    `occurred_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
CREATE TABLE IF NOT EXISTS `shop`.`order_items`
(
    `order_id` Int64,
    `line` Int32,
    `product_id` Int64,
    `quantity` Int16,
    `unit_price` Nullable(Decimal(10, 2)),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`order_id`, `line`);
CREATE TABLE IF NOT EXISTS `shop`.`orders`
(
    `id` Int64,
    `customer_id` Int64,
    `status` LowCardinality(String),
    `currency` String,
    `total` Nullable(Decimal(12, 2)),
    `discount_percent` Nullable(Decimal(4, 1)),
    `gift` Bool,
    `note` Nullable(String),
    `placed_at` Nullable(DateTime64(6, 'UTC')),
    `shipped_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
CREATE OR REPLACE VIEW `shop`.`orders_current` AS
SELECT `id`, `customer_id`, `status`, `currency`, `total`, `discount_percent`, `gift`, `note`, `placed_at`, `shipped_at`
FROM `shop`.`orders` FINAL;
CREATE TABLE IF NOT EXISTS `shop`.`payments`
(
    `id` UUID,
    `order_id` Int64,
    `method` String,
    `amount` Nullable(Decimal(12, 2)),
    `card_last4` Nullable(String),
    `paid_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
CREATE TABLE IF NOT EXISTS `shop`.`products`
(
    `id` Int64,
    `sku` String,
    `name` String,
    `description` Nullable(String),
    `category` String,
    `price` Nullable(Decimal(10, 2)),
    `weight_kg` Nullable(Float64),
    `sizes_mm` Array(Nullable(Int32)),
    `attributes` String,
    `stock` Int32,
    `active` Bool,
    `released_on` Nullable(Date32),
    `created_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
CREATE TABLE IF NOT EXISTS `shop`.`reviews`
(
    `id` Int64,
    `product_id` Int64,
    `customer_id` Int64,
    `rating` Int16,
    `title` String,
    `body` String,
    `photos` Array(Nullable(String)),
    `helpful_votes` Int32,
    `verified` Bool,
    `created_at` Nullable(DateTime64(6, 'UTC')),
    `edited_at` Nullable(DateTime64(6, 'UTC')),
    `_version` UInt128,
    `_deleted` UInt8
)
ENGINE = ReplacingMergeTree(`_version`, `_deleted`)
ORDER BY (`id`);
