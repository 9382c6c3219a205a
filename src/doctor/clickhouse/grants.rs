//! What the user may do in the database.
//!
//! `CHECK GRANT` asks the server itself (<https://clickhouse.com/docs/sql-reference/statements/check-grant>); servers before 24.11 do
//! not know it, and there the text of `SHOW GRANTS` is read.

use crate::config::Settings;
use crate::doctor::finding::{Finding, Place, Remedy};
use crate::error::Result;
use crate::server::clickhouse::{Server, quote_ident};
use serde_json::Value;

/// What the verbs of pipectl need in the database.
const NEEDED: [&str; 8] =
    ["SELECT", "INSERT", "ALTER", "CREATE TABLE", "CREATE VIEW", "DROP TABLE", "DROP VIEW", "TRUNCATE"];

/// Asks for each privilege.
pub(super) async fn check(settings: &Settings, server: &Server) -> Finding {
    let database = &settings.clickhouse.database;
    match lacking(server, database).await {
        Ok(lacking) if lacking.is_empty() => Finding::pass(NEEDED.join(", ")),
        Ok(lacking) => {
            let statement = format!(
                "GRANT SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE ON {}.* TO {}",
                quote_ident(database),
                quote_ident(&settings.clickhouse.user)
            );
            Finding::fail(format!("not granted: {}", lacking.join(", "))).mend(
                Remedy::shown(Place::ClickHouse, vec![statement])
                    .note("as a user with GRANT OPTION; for users of users.xml, in their <grants>"),
            )
        }
        Err(error) => Finding::not_run(error.with_causes()),
    }
}

async fn lacking(server: &Server, database: &str) -> Result<Vec<&'static str>> {
    let mut lacking = Vec::new();
    for privilege in NEEDED {
        let sql = format!("CHECK GRANT {privilege} ON {}.*", quote_ident(database));
        match server.rows(&sql, &[]).await {
            Ok(rows) if rows.iter().flat_map(|row| row.values()).any(is_one) => {}
            Ok(_) => lacking.push(privilege),
            Err(error) if error.with_causes().contains("SYNTAX_ERROR") => {
                return lacking_by_text(server, database).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lacking)
}

fn is_one(value: &Value) -> bool {
    value.as_u64() == Some(1) || value.as_str() == Some("1") || value.as_bool() == Some(true)
}

async fn lacking_by_text(server: &Server, database: &str) -> Result<Vec<&'static str>> {
    let rows = server.rows("SHOW GRANTS", &[]).await?;
    let grants: Vec<&str> = rows.iter().flat_map(|row| row.values()).filter_map(Value::as_str).collect();
    Ok(NEEDED.into_iter().filter(|privilege| !grants.iter().any(|grant| gives(grant, privilege, database))).collect())
}

/// Whether a line such as `GRANT SELECT, CREATE ON shop.* TO pipectl` gives a privilege on the whole database.
fn gives(grant: &str, privilege: &str, database: &str) -> bool {
    let Some((privileges, rest)) = grant.strip_prefix("GRANT ").and_then(|grant| grant.split_once(" ON ")) else {
        return false;
    };
    let object = rest.split_once(" TO ").map_or(rest, |(object, _)| object);
    let here = ["*.*".to_owned(), format!("{database}.*"), format!("{}.*", quote_ident(database))];
    let group = privilege.split(' ').next().unwrap_or(privilege);
    here.iter().any(|one| one == object)
        && privileges.split(", ").any(|given| given == "ALL" || given == privilege || given == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_show_grants() {
        let grant = "GRANT SELECT, INSERT, CREATE ON shop.* TO pipectl";
        assert!(gives(grant, "SELECT", "shop"));
        assert!(gives(grant, "CREATE TABLE", "shop"));
        assert!(!gives(grant, "DROP TABLE", "shop"));
        assert!(!gives(grant, "SELECT", "other"));
        assert!(gives("GRANT ALL ON *.* TO pipectl WITH GRANT OPTION", "ALTER", "shop"));
        assert!(!gives("GRANT SELECT(a) ON shop.t TO pipectl", "SELECT", "shop"));
        assert!(gives("GRANT SELECT ON `odd-name`.* TO pipectl", "SELECT", "odd-name"));
    }
}
