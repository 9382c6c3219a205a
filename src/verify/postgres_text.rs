//! How Postgres writes each form, and the queries made of it. Nothing here takes part in what is stored.
//!
//! Expressions are put together of constant text and quoted names; values are parameters. Every session has an empty search path,
//! so that plain names of functions and operators are those of `pg_catalog`.

use super::compared::{ComparedColumn, ComparedTable};
use super::form::{Form, Limits, Rendering};
use super::stored_type::StoredType;
use crate::batch::Transform;
use crate::change::SourceType;
use crate::server::postgres::quote_ident;

/// Writes the queries of one table.
pub(super) struct PostgresText<'a> {
    pub(super) table: &'a ComparedTable,
    /// How far 16 bits of a key's hash are shifted to give its bucket.
    pub(super) shift: u32,
    /// The database's encoding; texts are hashed as UTF-8, which is what ClickHouse stores.
    pub(super) encoding: &'a str,
    /// Whether a value that ClickHouse cannot hold is a difference.
    pub(super) strict: bool,
}

impl PostgresText<'_> {
    /// Count, sum of hashes and policy NULLs of each bucket of a relation: `bucket, rows, hashes, policy`.
    pub(super) fn buckets(&self, relation: &str, conditions: &[String]) -> String {
        let (columns, counts) = self.policies();
        let sum = |count: &Option<String>| count.as_ref().map_or("0".to_owned(), |p| format!("coalesce(sum({p}), 0)"));
        let policy: Vec<String> = counts.iter().map(sum).collect();
        format!(
            "SELECT {} AS bucket, count(*) AS rows, sum({})::text AS hashes, ARRAY[{}]::int8[] AS policy FROM ({}) AS r GROUP BY 1",
            bucket("h", self.shift),
            self.row_hash(),
            policy.join(", "),
            self.scan(relation, self.values().chain(columns), conditions),
        )
    }

    /// Key and hash of each row of a relation in the order of keys, and its documents: `key uuid, hash int8, bytea…`.
    pub(super) fn rows(&self, relation: &str, conditions: &[String]) -> String {
        format!("{} ORDER BY 1", self.listed(relation, self.values(), conditions, ""))
    }

    /// The same in any order, with the policy NULLs of each row behind: `policy int8[]`.
    pub(super) fn unsorted(&self, relation: &str, conditions: &[String]) -> String {
        let (columns, counts) = self.policies();
        let counts: Vec<String> = counts.iter().map(|count| count.clone().unwrap_or_else(|| "0".to_owned())).collect();
        let policy = format!(", ARRAY[{}]::int8[] AS policy", counts.join(", "));
        self.listed(relation, self.values().chain(columns), conditions, &policy)
    }

    fn listed(
        &self,
        relation: &str,
        columns: impl Iterator<Item = String>,
        conditions: &[String],
        further: &str,
    ) -> String {
        let document = |index| format!(", c{index}");
        let documents: String = self.table.documents().map(document).collect();
        let scan = self.scan(relation, columns, conditions);
        format!("SELECT {} AS key, {} AS hash{documents}{further} FROM ({scan}) AS r", key_id("h"), self.row_hash())
    }

    /// How many values of each row are policy NULLs: the columns of a scan that say so, and where each table's column finds its own.
    fn policies(&self) -> (Vec<String>, Vec<Option<String>>) {
        let counted = |index| Some((format!("{} AS p{index}", self.policy(index)?), format!("p{index}")));
        let all: Vec<Option<(String, String)>> = (0..self.table.columns.len()).map(counted).collect();
        let names = all.iter().map(|found| found.as_ref().map(|(_, name)| name.clone())).collect();
        (all.into_iter().flatten().map(|(column, _)| column).collect(), names)
    }

    /// What is shown of rows: `key uuid, prints text[], shown text[]`; of documents there is no print.
    pub(super) fn details(&self, relation: &str, conditions: &[String]) -> String {
        let shown = self.table.columns.iter().enumerate().map(|(index, column)| {
            let x = format!("t.{}", quote_ident(&column.source));
            // What must not leave the source is not shown either.
            let hidden = column.rendering.transform.is_some();
            format!("{} AS d{index}", if hidden { self.value(&column.rendering, &x) } else { output(&x) })
        });
        let scan = self.scan(relation, self.values().chain(shown), conditions);
        let count = self.table.columns.len();
        let print = |(index, column): (usize, &ComparedColumn)| {
            if column.is_document() {
                return "''".to_owned();
            }
            let text = self.utf8(&format!("c{index}"));
            format!("coalesce(encode(substring(sha256({text}) from 1 for 8), 'hex'), '')")
        };
        let prints: Vec<String> = self.table.columns.iter().enumerate().map(print).collect();
        let shown: Vec<String> = (0..count).map(|index| format!("d{index}")).collect();
        format!(
            "SELECT {} AS key, ARRAY[{}]::text[] AS prints, ARRAY[{}]::text[] AS shown FROM ({scan}) AS r",
            key_id("h"),
            prints.join(", "),
            shown.join(", "),
        )
    }

    /// Rows whose keys are those of a parameter: the key, then what is selected. Joined by a hash table whatever the planner knows of the
    /// parameter's length.
    pub(super) fn of_keys(&self, relation: &str, selected: &[String]) -> String {
        let key = key_id(&self.key_hash());
        let filter = self.table.row_filter.as_ref().map_or(String::new(), |filter| format!(" AND ({filter})"));
        format!(
            "SELECT {key}, {} FROM {relation} AS t WHERE {key} IN (SELECT pg_catalog.unnest($1::uuid[])){filter}",
            selected.join(", ")
        )
    }

    /// The condition that a row's key belongs to the sample: its hash lies below a parameter.
    pub(super) fn sampled(&self, parameter: usize) -> String {
        format!("{} < ${parameter}::bytea", self.key_hash())
    }

    /// The condition that a row's bucket is one of a parameter's.
    pub(super) fn in_buckets(&self, parameter: usize) -> String {
        format!("{} = ANY(${parameter}::int4[])", bucket(&self.key_hash(), self.shift))
    }

    /// The condition that a row's key is one of a parameter's.
    pub(super) fn has_key(&self, parameter: usize) -> String {
        format!("{} = ANY(${parameter}::uuid[])", key_id(&self.key_hash()))
    }

    /// `OFFSET 0` keeps the planner from writing an expression out wherever its result is used.
    fn scan(&self, relation: &str, columns: impl Iterator<Item = String>, conditions: &[String]) -> String {
        let columns: Vec<String> = columns.collect();
        let mut all: Vec<&str> = conditions.iter().map(String::as_str).collect();
        let filter = self.table.row_filter.as_ref().map(|filter| format!("({filter})"));
        all.extend(filter.as_deref());
        let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
        format!("SELECT {} AS h, {} FROM {relation} AS t{filter} OFFSET 0", self.key_hash(), columns.join(", "))
    }

    fn values(&self) -> impl Iterator<Item = String> {
        self.table.columns.iter().enumerate().map(|(index, column)| {
            let value = self.value(&column.rendering, &format!("t.{}", quote_ident(&column.source)));
            format!("{value} AS c{index}")
        })
    }

    fn row_hash(&self) -> String {
        let fields: Vec<String> = self
            .table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !column.is_document())
            .map(|(index, column)| self.field(&column.rendering, &format!("c{index}")))
            .collect();
        let text = self.utf8(&fields.join("||"));
        format!("('x' || encode(substring(sha256({text}) from 1 for 8), 'hex'))::bit(64)::int8")
    }

    fn key_hash(&self) -> String {
        let fields: Vec<String> = self
            .table
            .key_columns()
            .map(|column| {
                let rendering = column.rendering.in_key();
                let value = self.value(&rendering, &format!("t.{}", quote_ident(&column.source)));
                self.field(&rendering, &value)
            })
            .collect();
        format!("sha256({})", self.utf8(&fields.join("||")))
    }

    fn utf8(&self, text: &str) -> String {
        // SQL_ASCII knows no encoding: its bytes are sent as they are.
        let target = if self.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
        format!("convert_to({text}, '{target}')")
    }

    /// A value's text as part of a row: NULL is nothing, and no text can pass for two.
    fn field(&self, rendering: &Rendering, text: &str) -> String {
        if rendering.form.is_free() {
            let bytes = if self.encoding == "UTF8" { text.to_owned() } else { self.utf8(text) };
            format!("coalesce(octet_length({bytes}) || ':' || {text}, '') || ';'")
        } else {
            format!("coalesce({text}, '') || ';'")
        }
    }

    /// A value's text; NULL where ClickHouse is to hold NULL.
    fn value(&self, rendering: &Rendering, x: &str) -> String {
        let text = match &rendering.form {
            Form::Integer if rendering.source == SourceType::Bool => format!("{x}::int4::text"),
            Form::Truth | Form::Integer | Form::Uuid => format!("{x}::text"),
            Form::Number => match rendering.source {
                SourceType::Numeric { .. } | SourceType::NumericUnbounded => format!("trim_scale({x})::text"),
                _ => format!("{x}::text"),
            },
            Form::Float32 { in_key } => float(x, "float4", *in_key),
            Form::Float64 { in_key } => float(&format!("{x}::float8"), "float8", *in_key),
            Form::Days => format!("encode(date_send({x}), 'hex')"),
            Form::Microseconds => microseconds(rendering, x),
            Form::TimeOfDay => time_of_day(rendering, x),
            Form::Address { long } => address(x, *long),
            Form::Bytes => format!("'x' || encode({x}, 'hex')"),
            Form::Pairs if self.strict => format!("coalesce({}, '!')", output(x)),
            Form::Pairs => format!("coalesce({}, '')", output(x)),
            Form::Text => self.stand(rendering, x),
            Form::Document => self.utf8(&output(x)),
            Form::Elements(element) => return self.elements(rendering, element, x),
        };
        match (self.holds(rendering, x), self.strict) {
            (None, _) => text,
            (Some(holds), false) => format!("CASE WHEN {holds} THEN {text} END"),
            (Some(holds), true) => format!("CASE WHEN {holds} THEN {text} WHEN {x} IS NOT NULL THEN '!' END"),
        }
    }

    /// A text, or what is stored in its place. Salt and mask are secrets or free texts, so they are written as bytes in hex.
    fn stand(&self, rendering: &Rendering, x: &str) -> String {
        let text = text(rendering, x);
        let bytes = |text: &str| format!("decode('{}', 'hex')", super::hex(text.as_bytes()));
        match &rendering.transform {
            None => text,
            Some(Transform::Sha256 { salt }) => {
                format!("encode(sha256({} || {}), 'hex')", bytes(salt.expose()), self.utf8(&text))
            }
            Some(Transform::Mask(mask)) => {
                format!("CASE WHEN num_nulls({x}) = 0 THEN convert_from({}, 'UTF8') END", bytes(mask))
            }
        }
    }

    fn elements(&self, rendering: &Rendering, element: &Rendering, x: &str) -> String {
        let field = self.field(element, &self.value(element, "u.e"));
        let array = array(rendering, x);
        // A value of several dimensions cannot be stored, and shall not pass for its elements in a row.
        let shape = format!("CASE WHEN array_ndims({array}) > 1 THEN array_dims({array}) ELSE '' END");
        let elements = format!(
            "{shape} || '{{' || coalesce((SELECT string_agg({field}, '' ORDER BY u.n) FROM unnest({array}) WITH ORDINALITY AS u(e, n)), '') || '}}'"
        );
        if self.strict { format!("CASE WHEN {x} IS NULL THEN '!' ELSE {elements} END") } else { elements }
    }

    /// How many of a column's values in a row are stored as something else by policy; nothing where none ever is.
    fn policy(&self, index: usize) -> Option<String> {
        let column = self.table.columns.get(index)?;
        let x = format!("t.{}", quote_ident(&column.source));
        let rendering = &column.rendering;
        if let Form::Elements(element) = &rendering.form {
            let lost = self.holds(element, "u.e").map(|holds| {
                format!("(SELECT count(*) FROM unnest({}) AS u(e) WHERE NOT ({holds}))", array(rendering, &x))
            });
            return match (column.required, lost) {
                (true, lost) => lost,
                (false, lost) => {
                    Some(format!("CASE WHEN {x} IS NULL THEN 1 ELSE {} END", lost.as_deref().unwrap_or("0")))
                }
            };
        }
        if rendering.form == Form::Pairs {
            return (!column.required).then(|| format!("CASE WHEN {x} IS NULL THEN 1 ELSE 0 END"));
        }
        let holds = self.holds(rendering, &x)?;
        Some(format!("CASE WHEN {holds} THEN 0 WHEN {x} IS NOT NULL THEN 1 ELSE 0 END"))
    }

    /// Whether the stored type can hold a value; nothing where it holds all.
    fn holds(&self, rendering: &Rendering, x: &str) -> Option<String> {
        match &rendering.limits {
            Limits::None => None,
            // NaN and the infinities are larger than every number.
            Limits::Digits { whole, fraction } => {
                let fits = format!("abs({x}::numeric) < 1e{whole}::numeric");
                let cut = match rendering.source {
                    SourceType::Numeric { scale, .. } => scale > i16::from(*fraction),
                    SourceType::NumericUnbounded => true,
                    _ => false,
                };
                Some(if cut { format!("{fits} AND trunc({x}, {fraction}) = {x}") } else { fits })
            }
            // Beyond them Postgres refuses the cast. Written as text since older versions have no infinite numeric.
            Limits::Double => {
                let range = "BETWEEN 1e-307::numeric AND 1.797693134862315e308::numeric";
                Some(format!("(abs({x}) {range} OR {x} = 0 OR {x}::text IN ('NaN', 'Infinity', '-Infinity'))"))
            }
            Limits::Hosts { long } => {
                let short = format!("family({x}) = 4 AND masklen({x}) = 32");
                let mapped = "inet '::ffff:0.0.0.0/96'";
                Some(if *long {
                    format!("({short} OR family({x}) = 6 AND masklen({x}) = 128 AND NOT {x} << {mapped})")
                } else {
                    format!("({short})")
                })
            }
            Limits::Octets(len) if rendering.source == SourceType::Bytea => Some(format!("octet_length({x}) = {len}")),
            Limits::Octets(len) => Some(format!("octet_length({}) = {len}", self.utf8(&text(rendering, x)))),
            Limits::Uuids => {
                let digits = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
                Some(format!("{} ~ '{digits}'", text(rendering, x)))
            }
            Limits::Days((first, last)) => Some(format!("{x} BETWEEN DATE '{first}' AND DATE '{last}'")),
            Limits::Times((first, last)) if rendering.source == SourceType::TimestampTz => {
                Some(format!("{x} BETWEEN TIMESTAMPTZ '{first}+00' AND TIMESTAMPTZ '{last}+00'"))
            }
            Limits::Times((first, last)) => Some(format!("{x} BETWEEN TIMESTAMP '{first}' AND TIMESTAMP '{last}'")),
        }
    }
}

/// What the type's output function writes. `IS NULL` would be true of a composite value of NULLs.
fn output(x: &str) -> String {
    format!("CASE WHEN num_nulls({x}) = 0 THEN concat({x}) END")
}

/// The same, by a cast where that is no other text.
fn text(rendering: &Rendering, x: &str) -> String {
    if rendering.plain { format!("{x}::text") } else { output(x) }
}

fn time_of_day(rendering: &Rendering, x: &str) -> String {
    let digits = match rendering.stored {
        StoredType::Time { precision } => u32::from(precision).min(6),
        _ => 0,
    };
    let unit = 10_u32.pow(6 - digits);
    let count = format!("('x' || encode(time_send({x}), 'hex'))::bit(64)::int8");
    if unit == 1 { format!("({count})::text") } else { format!("({count} / {unit} * {unit})::text") }
}

/// Behind family, mask, kind and length come the address' bytes.
fn address(x: &str, long: bool) -> String {
    let bytes = format!("encode(substring(inet_send({x}) from 5), 'hex')");
    if !long {
        return bytes;
    }
    format!("CASE WHEN family({x}) = 4 THEN '00000000000000000000ffff' ELSE '' END || {bytes}")
}

fn float(x: &str, kind: &str, in_key: bool) -> String {
    let zero = if in_key { format!(" WHEN {x} = 0 THEN encode({kind}send(0), 'hex')") } else { String::new() };
    format!("CASE WHEN {x} = 'NaN'::{kind} THEN 'NaN'{zero} ELSE encode({kind}send({x}), 'hex') END")
}

fn microseconds(rendering: &Rendering, x: &str) -> String {
    let send = if rendering.source == SourceType::TimestampTz { "timestamptz_send" } else { "timestamp_send" };
    let digits = match rendering.stored {
        StoredType::DateTime64 { precision } => u32::from(precision).min(6),
        _ => 0,
    };
    if digits == 6 {
        return format!("encode({send}({x}), 'hex')");
    }
    let unit = 10_u32.pow(6 - digits);
    let count = format!("('x' || encode({send}({x}), 'hex'))::bit(64)::int8");
    format!("encode(int8send({count} - ({count} % {unit} + {unit}) % {unit}), 'hex')")
}

fn array(rendering: &Rendering, x: &str) -> String {
    if rendering.source == SourceType::Vector { format!("{x}::float4[]") } else { x.to_owned() }
}

/// The bucket of a key's hash: the first bits of its bytes 9 and 10, since a sample goes by the first ones.
fn bucket(hash: &str, shift: u32) -> String {
    format!("('x' || encode(substring({hash} from 9 for 2), 'hex'))::bit(16)::int4 >> {shift}")
}

/// Half of the key's hash: what rows are told apart by.
fn key_id(hash: &str) -> String {
    format!("encode(substring({hash} from 1 for 16), 'hex')::uuid")
}
