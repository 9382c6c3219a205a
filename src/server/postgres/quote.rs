//! Names in Postgres' SQL.

use crate::change::TableName;

/// An identifier, quoted: always, so that case and reserved words need no thought.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name with its schema, quoted.
pub fn quote_table(table: &TableName) -> String {
    format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hostile_names() {
        assert_eq!(quote_ident("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(quote_table(&TableName::new("Odd schema", "t.x")), "\"Odd schema\".\"t.x\"");
    }
}
