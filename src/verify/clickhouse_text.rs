//! How ClickHouse writes each form, and the queries made of it. Nothing here takes part in what is stored.
//!
//! Expressions are put together of constant text and quoted names; values are parameters.

use super::compared::{ComparedColumn, ComparedTable};
use super::form::{Form, Rendering};
use super::stored_type::StoredType;
use crate::server::clickhouse::quote_ident;

/// Microseconds, and days, from 1970-01-01 to 2000-01-01.
const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;
const DAYS_TO_2000: i32 = 10_957;

/// What the texts, and the meaning of FINAL, depend on; and the size above which a sort goes to the server's disk.
const SETTINGS: &str = "SETTINGS output_format_decimal_trailing_zeros = 0, bool_true_representation = 'true', \
     bool_false_representation = 'false', do_not_merge_across_partitions_select_final = 0, \
     apply_deleted_mask = 1, max_bytes_before_external_sort = 536870912";

/// What the texts of documents depend on further.
const DOCUMENT_SETTINGS: &str =
    ", output_format_json_quote_64bit_integers = 0, output_format_json_quote_64bit_floats = 0";

/// Writes the queries of one table.
pub(super) struct ClickHouseText<'a> {
    pub(super) table: &'a ComparedTable,
    /// How far 16 bits of a key's hash are shifted to give its bucket.
    pub(super) shift: u32,
    /// What rows are read from: the table's quoted name, its alias `t`, and FINAL where its engine has it.
    pub(super) relation: String,
    /// Quoted name of the column that marks a deleted row, if the table has it.
    pub(super) deleted_column: Option<String>,
    /// Quoted name of the column that marks a row which stays although it is gone at the source, if the table has it.
    pub(super) source_deleted_column: Option<String>,
    /// Quoted name of the column with a row's version, if the table has it.
    pub(super) version_column: Option<String>,
}

impl ClickHouseText<'_> {
    /// Count and sum of hashes of each bucket: `bucket, rows, hashes`.
    pub(super) fn buckets(&self, conditions: &[String]) -> String {
        format!(
            "SELECT {} AS pipectl_bucket, count() AS pipectl_rows, sum(toInt128({})) AS pipectl_hashes FROM ({}) \
             GROUP BY pipectl_bucket {SETTINGS}",
            bucket("pipectl_key", self.shift),
            self.row_hash(),
            self.scan(self.values(), conditions),
        )
    }

    /// Key, hash and version of each row in the order of keys, and its documents: `FixedString(16), Int64, UInt128, Nullable(String)…`.
    pub(super) fn rows(&self, conditions: &[String]) -> String {
        self.listed(conditions, " ORDER BY pipectl_id")
    }

    /// The same in any order.
    pub(super) fn unsorted(&self, conditions: &[String]) -> String {
        self.listed(conditions, "")
    }

    fn listed(&self, conditions: &[String], order: &str) -> String {
        let version = match &self.version_column {
            Some(version) => format!("toUInt128(t.{version})"),
            None => "toUInt128(0)".to_owned(),
        };
        let scan = self.scan(self.values().chain([format!("{version} AS pipectl_version")]), conditions);
        let document = |index| format!(", pipectl_c{index}::Nullable(String) AS pipectl_x{index}");
        let documents: String = self.table.documents().map(document).collect();
        format!(
            "SELECT {} AS pipectl_id, {} AS pipectl_hash, pipectl_version{documents} FROM ({scan}){order} {SETTINGS}{}",
            key_id("pipectl_key"),
            self.row_hash(),
            if documents.is_empty() { "" } else { DOCUMENT_SETTINGS },
        )
    }

    /// What is shown of rows: `key, prints, shown`; of documents there is no print.
    pub(super) fn details(&self, conditions: &[String]) -> String {
        let shown = self
            .table
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("toString(t.{}) AS pipectl_d{index}", quote_ident(&column.target)));
        let scan = self.scan(self.values().chain(shown), conditions);
        let count = self.table.columns.len();
        let print = |(index, column): (usize, &ComparedColumn)| {
            if column.is_document() {
                return "''".to_owned();
            }
            format!("ifNull(lower(hex(substring(SHA256(pipectl_c{index}), 1, 8))), '')")
        };
        let prints: Vec<String> = self.table.columns.iter().enumerate().map(print).collect();
        // Bytes that are no text are shown as Postgres does it; the answer is JSON, which cannot hold them.
        let readable = |index: usize| {
            let text = format!("pipectl_d{index}::Nullable(String)");
            format!("if(isValidUTF8({text}), {text}, concat('\\\\x', lower(hex({text}))))")
        };
        let shown: Vec<String> = (0..count).map(readable).collect();
        format!(
            "SELECT lower(hex({})) AS key, [{}] AS prints, [{}] AS shown FROM ({scan}) {SETTINGS}{}",
            key_id("pipectl_key"),
            prints.join(", "),
            shown.join(", "),
            if self.table.documents().next().is_some() { DOCUMENT_SETTINGS } else { "" },
        )
    }

    /// Key of each row, and some columns of it as a text in RowBinary: `FixedString(16), String`.
    pub(super) fn sorting_keys(&self, columns: &[&str], conditions: &[String]) -> String {
        let columns: Vec<String> = columns.iter().map(|column| format!("t.{}", quote_ident(column))).collect();
        let key = format!("formatRow('RowBinary', {}) AS pipectl_sorting", columns.join(", "));
        format!(
            "SELECT {} AS pipectl_id, pipectl_sorting FROM ({}) {SETTINGS}",
            key_id("pipectl_key"),
            self.scan([key].into_iter(), conditions),
        )
    }

    /// The condition that a row's key belongs to the sample.
    pub(super) fn sampled(&self) -> String {
        format!("{} < unhex({{sample:String}})", self.key_hash())
    }

    /// The condition that a row's bucket is one of a parameter's.
    pub(super) fn in_buckets(&self) -> String {
        format!("{} IN {{buckets:Array(UInt16)}}", bucket(&self.key_hash(), self.shift))
    }

    /// The condition that a row's key is one of a parameter's, read as a number.
    pub(super) fn has_key(&self) -> String {
        let key = format!("reinterpretAsUInt128(reverse(substring({}, 1, 16)))", self.key_hash());
        format!("{key} IN {{keys:Array(UInt128)}}")
    }

    fn scan(&self, columns: impl Iterator<Item = String>, conditions: &[String]) -> String {
        let columns: Vec<String> = columns.collect();
        let mut all: Vec<String> = conditions.to_vec();
        all.extend(self.deleted_column.as_ref().map(|deleted| format!("t.{deleted} = 0")));
        all.extend(self.source_deleted_column.as_ref().map(|deleted| format!("t.{deleted} IS NULL")));
        let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
        format!("SELECT {} AS pipectl_key, {} FROM {}{filter}", self.key_hash(), columns.join(", "), self.relation)
    }

    fn values(&self) -> impl Iterator<Item = String> {
        self.table.columns.iter().enumerate().map(|(index, column)| {
            format!("{} AS pipectl_c{index}", value(&column.rendering, &format!("t.{}", quote_ident(&column.target))))
        })
    }

    fn row_hash(&self) -> String {
        let fields: Vec<String> = self
            .table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !column.is_document())
            .map(|(index, column)| field(&column.rendering, &format!("pipectl_c{index}")))
            .collect();
        format!("reinterpretAsInt64(reverse(substring(SHA256(concat('', {})), 1, 8)))", fields.join(", "))
    }

    fn key_hash(&self) -> String {
        let fields: Vec<String> = self
            .table
            .key_columns()
            .map(|column| {
                let rendering = column.rendering.in_key();
                field(&rendering, &value(&rendering, &format!("t.{}", quote_ident(&column.target))))
            })
            .collect();
        format!("SHA256(concat('', {}))", fields.join(", "))
    }
}

/// A value's text as part of a row: NULL is nothing, and no text can pass for two.
fn field(rendering: &Rendering, text: &str) -> String {
    if rendering.form.is_free() {
        format!("ifNull(concat(toString(length({text})), ':', {text}), ''), ';'")
    } else {
        format!("ifNull({text}, ''), ';'")
    }
}

/// A value's text; NULL for NULL.
fn value(rendering: &Rendering, x: &str) -> String {
    match &rendering.form {
        Form::Truth | Form::Integer | Form::Number | Form::Uuid | Form::Text | Form::Document => {
            format!("toString({x})")
        }
        Form::Float32 { in_key } => float(x, "toFloat32(0)", *in_key),
        Form::Float64 { in_key } => float(x, "toFloat64(0)", *in_key),
        Form::Days => big_endian_hex(&format!("toInt32(toInt32({x}) - {DAYS_TO_2000})")),
        Form::Microseconds => microseconds(&rendering.stored, x),
        Form::TimeOfDay => time_of_day(&rendering.stored, x),
        // The server writes no zeros before a number.
        Form::Address { long: false } => format!("leftPad(lower(hex({x})), 8, '0')"),
        Form::Address { long: true } => format!("lower(hex({x}))"),
        Form::Bytes => format!("concat('x', lower(hex({x})))"),
        Form::Pairs => pairs(x),
        Form::Elements(element) => {
            let field = field(element, &value(element, "e"));
            format!("concat('{{', arrayStringConcat(arrayMap(e -> concat({field}), {x})), '}}')")
        }
    }
}

fn float(x: &str, zero: &str, in_key: bool) -> String {
    let bits = big_endian_hex(x);
    let bits = if in_key { format!("if({x} = 0, {}, {bits})", big_endian_hex(zero)) } else { bits };
    format!("if(isNaN({x}), 'NaN', {bits})")
}

fn microseconds(stored: &StoredType, x: &str) -> String {
    let since_2000 = |microseconds: &str| big_endian_hex(&format!("toInt64({microseconds} - {MICROSECONDS_TO_2000})"));
    match stored {
        StoredType::DateTime64 { precision } if *precision > 6 => {
            let unit = 10_i64.pow(u32::from(*precision) - 6);
            let ticks = format!("reinterpretAsInt64({x})");
            let rest = format!("if({ticks} % {unit} = 0, '', toString({ticks} % {unit}))");
            format!("concat({}, {rest})", since_2000(&format!("intDiv({ticks}, {unit})")))
        }
        StoredType::DateTime64 { .. } => since_2000(&format!("toUnixTimestamp64Micro({x})")),
        _ => since_2000(&format!("toInt64(toUnixTimestamp({x})) * 1000000")),
    }
}

/// The ticks are read by their bits: the server has no function for it.
fn time_of_day(stored: &StoredType, x: &str) -> String {
    match stored {
        StoredType::Time { precision } if *precision > 0 => {
            let unit = 10_i64.pow(6_u32.saturating_sub(u32::from(*precision)));
            let ticks = format!("reinterpretAsInt64(reinterpretAsFixedString(assumeNotNull({x})))");
            let finer = 10_i64.pow(u32::from(*precision).saturating_sub(6));
            format!("if(isNull({x}), NULL, toString(intDiv({ticks} * {unit}, {finer})))")
        }
        _ => format!("toString(toInt64({x}) * 1000000)"),
    }
}

/// As the output function of hstore writes the pairs: by the length of their keys, then by their bytes.
fn pairs(x: &str) -> String {
    let quoted = |text: &str| format!(r#"concat('"', replaceAll(replaceAll({text}, '\\', '\\\\'), '"', '\\"'), '"')"#);
    let pair = format!("concat({}, '=>', ifNull({}, 'NULL'))", quoted("p.1"), quoted("p.2"));
    let sorted = format!("arraySort(p -> (length(p.1), p.1), arrayZip(mapKeys({x}), mapValues({x})))");
    format!("arrayStringConcat(arrayMap(p -> {pair}, {sorted}), ', ')")
}

fn big_endian_hex(x: &str) -> String {
    format!("lower(hex(reverse(reinterpretAsFixedString({x}))))")
}

/// The bucket of a key's hash: the first bits of its bytes 9 and 10, since a sample goes by the first ones.
fn bucket(hash: &str, shift: u32) -> String {
    format!("bitShiftRight(reinterpretAsUInt16(reverse(substring({hash}, 9, 2))), {shift})")
}

/// Half of the key's hash: what rows are told apart by.
fn key_id(hash: &str) -> String {
    format!("toFixedString(substring({hash}, 1, 16), 16)")
}
