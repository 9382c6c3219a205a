//! Names in ClickHouse's SQL.

/// An identifier, in back-quotes: always. Backslash and back-quote are escaped, as
/// <https://clickhouse.com/docs/sql-reference/syntax#identifiers> has it.
pub fn quote_ident(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hostile_names() {
        assert_eq!(quote_ident("a`b\\c"), "`a\\`b\\\\c`");
        assert_eq!(quote_ident("Odd.Name"), "`Odd.Name`");
    }
}
