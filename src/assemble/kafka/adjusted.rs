//! Columns whose names Avro cannot hold: a connector with `field.name.adjustment.mode: avro` sends them under other ones.

use crate::change::TableSchema;

/// The name of the column that each field of a table's records belongs to: the one of its own name, else the one column that is sent under it; else the
/// field's own name, which is no column's.
pub(super) fn columns_of_fields(schema: &TableSchema, fields: &[String]) -> Vec<String> {
    let column = |field: &String| {
        if schema.column(field).is_some() {
            return field.clone();
        }
        let mut sent = schema.columns.iter().filter(|column| is_sent_as(&column.name, field));
        match (sent.next(), sent.next()) {
            (Some(column), None) if !fields.contains(&column.name) => column.name.clone(),
            _ => field.clone(),
        }
    };
    fields.iter().map(column).collect()
}

/// Whether Debezium may send a column under this name: each UTF-16 unit that is no ASCII letter, digit or underscore becomes an underscore, and a digit at the
/// head becomes one too, or has one before it, by its version. See
/// <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-property-field-name-adjustment-mode>.
fn is_sent_as(column: &str, field: &str) -> bool {
    let mut adjusted = String::with_capacity(column.len());
    for letter in column.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            adjusted.push(letter);
        } else {
            adjusted.extend(std::iter::repeat_n('_', letter.len_utf16()));
        }
    }
    if !adjusted.starts_with(|first: char| first.is_ascii_digit()) {
        return adjusted == field;
    }
    field.strip_prefix('_').is_some_and(|rest| rest == adjusted || adjusted.get(1..) == Some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::SourceType;
    use crate::change::fixtures::{column, table};

    fn schema(names: &[&str]) -> TableSchema {
        let columns = names.iter().map(|name| column(name, SourceType::Int4));
        table("t", columns.collect())
    }

    fn found(columns: &[&str], fields: &[&str]) -> Vec<String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        columns_of_fields(&schema(columns), &fields)
    }

    #[test]
    fn a_field_belongs_to_the_one_column_that_is_sent_under_its_name() {
        assert_eq!(found(&["id", "unit price", "1st"], &["id", "unit_price", "_1st"]), ["id", "unit price", "1st"]);
        assert_eq!(found(&["1st", "\u{fc}-x", "\u{1f600}"], &["_st", "__x", "__"]), ["1st", "\u{fc}-x", "\u{1f600}"]);
    }

    #[test]
    fn what_could_be_another_column_is_left_as_it_is() {
        assert_eq!(found(&["a b", "a-b"], &["a_b"]), ["a_b"], "two columns");
        assert_eq!(found(&["a b", "a_b"], &["a_b"]), ["a_b"], "the column of that name");
        assert_eq!(found(&["a b"], &["a_b", "a b"]), ["a_b", "a b"], "the column is there itself");
        assert_eq!(found(&["id"], &["id", "new"]), ["id", "new"], "no column");
    }
}
