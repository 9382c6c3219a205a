//! Tables that no catalog tells of: by the schema of their records, or written out in the configuration.

use crate::batch::{ColumnType, ValueType};
use crate::change::{Column, ReplicaIdentity, SourceType, TableName, TableSchema};
use crate::config::{TableRule, WrittenColumn};
use crate::decode::debezium::{ConnectSchema, DecimalMode, Forms, column};
use crate::error::{Error, Kind, Result};
use crate::flow::RecordFields;

const WAYS: &str = "set `postgres.url` (only the catalog is read), or let the connector's converter write schemas (`value.converter.schemas.enable: true`)";

/// A table without a catalog: as its records describe it, else as the configuration writes it out.
///
/// # Errors
/// [`Kind::Config`] where neither does: what its values are could only be guessed.
pub(super) fn described(
    name: &TableName,
    rule: Option<&TableRule>,
    fields: &RecordFields,
    forms: &Forms,
) -> Result<TableSchema> {
    let written = rule.and_then(|rule| rule.written_out.as_deref());
    let columns = match (&fields.schema, written) {
        (Some(schema), _) => by_schema(schema),
        (None, Some(written)) => {
            // A truncation names none.
            let named = |column: &&WrittenColumn| fields.names.is_empty() || fields.names.contains(&column.name);
            let present = written.iter().filter(named);
            present.map(|column| by_type(name, column, forms)).collect::<Result<Vec<_>>>()?
        }
        (None, None) => return Err(untold(name)),
    };
    let columns = numbered(columns);
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    let sorted_by = rule.and_then(|rule| rule.order_by.as_ref()).filter(|_| fields.key.is_empty());
    let key = sorted_by.unwrap_or(&fields.key).iter().filter_map(place).collect();
    Ok(TableSchema {
        relid: id_of(name),
        name: name.clone(),
        columns,
        key,
        identity: ReplicaIdentity::Default,
        newest_column: 0,
        partitioned: false,
        unlogged: false,
        estimated_rows: 0,
        bytes: 0,
    })
}

fn untold(name: &TableName) -> Error {
    Error::new(
        Kind::Config,
        format!("could not tell the types of {name}: its records carry no schema, and no Postgres is configured"),
    )
    .hint(format!("{WAYS}; or write the table out (`columns`, a list of `name` and `type`)"))
}

fn by_schema(schema: &ConnectSchema) -> Vec<Column> {
    schema.fields.iter().map(column).collect()
}

/// Gives each column a number that stays its own when others come and go: from its name, as no catalog gives it one.
fn numbered(mut columns: Vec<Column>) -> Vec<Column> {
    let mut taken: Vec<i16> = Vec::with_capacity(columns.len());
    for column in &mut columns {
        let mut number = (hash(&column.name) & 0x7FFF) as i16;
        while taken.contains(&number) || number == 0 {
            number = number.checked_add(1).unwrap_or(1);
        }
        taken.push(number);
        column.number = number;
    }
    columns
}

/// A column of a type of the destination, from records without a schema.
fn by_type(table: &TableName, written: &WrittenColumn, forms: &Forms) -> Result<Column> {
    let told = |why: String| {
        let column = &written.name;
        Error::new(
            Kind::Config,
            format!("could not tell what the values of column \"{column}\" of {table} mean: {why}"),
        )
    };
    let column_type = ColumnType::parse(&written.column_type).ok_or_else(|| {
        told(format!("pipectl stores nothing as {}", written.column_type))
            .hint("types that it stores: Bool, Int16, Int32, Int64, UInt32, Float32, Float64, Decimal(P, S), String, Date32, DateTime64(6), UUID, and Array of these")
    })?;
    let source_type = source_type(&column_type.value, forms).map_err(|setting| {
        told(format!("its records carry no schema, and the connector's {setting} is not known, or spells decimals without their scale"))
            .hint(format!("set `kafka.connect_url`, or `{setting}: string` under `kafka.connector` where the connector has it so; or {WAYS}"))
    })?;
    Ok(Column {
        name: written.name.clone(),
        number: 0,
        type_oid: 0,
        type_modifier: -1,
        // The destination's: a precision that the source gave it is not known.
        type_name: written.column_type.clone(),
        source_type,
        output_function: String::new(),
        not_null: !column_type.nullable,
        generated: false,
        toastable: true,
        missing_value: None,
    })
}

/// What records must spell for a type to hold it; the setting that is to be known where that depends on one.
fn source_type(stored: &ValueType, forms: &Forms) -> std::result::Result<SourceType, &'static str> {
    Ok(match stored {
        ValueType::Bool => SourceType::Bool,
        ValueType::Int16 => SourceType::Int2,
        ValueType::Int32 => SourceType::Int4,
        ValueType::Int64 => SourceType::Int8,
        ValueType::UInt32 => SourceType::Oid,
        ValueType::Float32 => SourceType::Float4,
        ValueType::Float64 => SourceType::Float8,
        // The source's scale may be another: digits that do not fit are told, where they are spelled.
        ValueType::Decimal { .. } => match forms.decimal {
            Some(DecimalMode::String | DecimalMode::Double) => SourceType::NumericUnbounded,
            Some(DecimalMode::Precise) | None => return Err("decimal.handling.mode"),
        },
        ValueType::String | ValueType::LowCardinality | ValueType::FixedString(_) => SourceType::String,
        ValueType::Date32 | ValueType::Date => SourceType::Date,
        ValueType::DateTime64 { .. } | ValueType::DateTime => SourceType::Timestamp,
        ValueType::Time | ValueType::Time64 { .. } => SourceType::Time,
        ValueType::Ipv4 | ValueType::Ipv6 => SourceType::Inet,
        ValueType::Map => SourceType::Hstore,
        ValueType::Json => SourceType::Json,
        ValueType::Uuid => SourceType::Uuid,
        ValueType::Array(element) => SourceType::Array(Box::new(source_type(&element.value, forms)?)),
    })
}

/// An id for a table that no catalog has, above the ids that a new server gives.
fn id_of(name: &TableName) -> u32 {
    hash(&name.to_string()) | 0x8000_0000
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)], key: &[&str], forms: &Forms) -> Result<TableSchema> {
        let name = TableName::new("public", "t");
        let written = columns
            .iter()
            .map(|(name, column_type)| WrittenColumn { name: (*name).into(), column_type: (*column_type).into() });
        let rule = TableRule {
            written_out: Some(written.collect()),
            order_by: Some(vec!["a".to_owned()]),
            ..TableRule::new("public.t")
        };
        let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        described(&name, Some(&rule), &RecordFields { names, key, schema: None }, forms)
    }

    #[test]
    fn a_table_that_is_written_out_has_the_types_that_its_own_can_hold() {
        let forms = Forms { decimal: Some(DecimalMode::String), ..Forms::default() };
        let columns = [("a", "Int64"), ("b", "Nullable(DateTime64(6, 'UTC'))"), ("c", "Array(Decimal(9, 2))")];
        let schema = table(&columns, &["b"], &forms).unwrap();
        let types: Vec<_> = schema.columns.iter().map(|column| (&column.source_type, column.not_null)).collect();
        let decimals = SourceType::Array(Box::new(SourceType::NumericUnbounded));
        assert_eq!(types, [(&SourceType::Int8, true), (&SourceType::Timestamp, false), (&decimals, true)]);
        assert_eq!(schema.key, [1], "the records' key goes before the order");
        assert_eq!(table(&columns, &[], &forms).unwrap().key, [0]);
    }

    #[test]
    fn what_could_only_be_guessed_names_the_setting() {
        for forms in [Forms::default(), Forms { decimal: Some(DecimalMode::Precise), ..Forms::default() }] {
            let refused = table(&[("a", "Decimal(9, 2)")], &[], &forms).unwrap_err();
            assert!(refused.to_string().contains("decimal.handling.mode"), "{refused}");
        }
        let refused = table(&[("a", "IPv4Net")], &[], &Forms::default()).unwrap_err();
        assert!(refused.to_string().contains("pipectl stores nothing as IPv4Net"), "{refused}");
    }

    #[test]
    fn columns_keep_their_numbers_when_others_come_and_go() {
        let number = |columns: &[(&str, &str)]| table(columns, &[], &Forms::default()).unwrap().columns[0].number;
        let (a, b, c) = (("a", "Int16"), ("b", "Int16"), ("c", "Int16"));
        assert_eq!(number(&[c, a]), number(&[c]));
        assert_eq!(number(&[c, b, a]), number(&[c, a, b]));
    }
}
