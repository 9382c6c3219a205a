//! Transactions that making a slot would wait for.

use super::facts::{Facts, OPEN_TRANSACTIONS, OpenTransaction, PREPARED_TRANSACTIONS, PreparedTransaction, ask};
use crate::doctor::finding::{Finding, Place, Remedy, seconds, some_of};
use crate::doctor::report::Findings;
use tokio_postgres::Client;

/// A write transaction open for longer (s) is worth a word while a slot has yet to be made, …
const LONG: f64 = 5.0;
/// … and once the slot is there: it holds back what the slot may forget.
const LONG_WITH_SLOT: f64 = 300.0;

/// Looks at what is open now; `before` is what was open a second ago, for roles that may not see since when.
pub(super) async fn check(facts: &Facts<'_>, client: &Client, before: &[OpenTransaction], findings: &mut Findings) {
    let limit = if facts.slot().is_some() { LONG_WITH_SLOT } else { LONG };
    let open = ask::<OpenTransaction>(client, OPEN_TRANSACTIONS, &[]).await;
    findings.put_result(
        "postgres.open_transactions",
        open.map(|now| verdict(before, &now, limit, facts.server.sees_all_sessions)),
    );
    let prepared = ask::<PreparedTransaction>(client, PREPARED_TRANSACTIONS, &[]).await;
    findings.put_result("postgres.prepared_transactions", prepared.map(|found| prepared_verdict(&found)));
}

fn verdict(before: &[OpenTransaction], now: &[OpenTransaction], limit: f64, sees_all: bool) -> Finding {
    let long: Vec<&OpenTransaction> = now
        .iter()
        .filter(|one| match one.seconds {
            Some(seconds) => seconds >= limit,
            None => before.iter().any(|earlier| earlier.pid == one.pid && earlier.xid == one.xid),
        })
        .collect();
    if long.is_empty() {
        return Finding::pass("none");
    }
    let texts: Vec<String> = long.iter().map(|one| describe(one)).collect();
    let remedy = Remedy::shown(
        Place::Postgres,
        long.iter().map(|one| format!("SELECT pg_catalog.pg_terminate_backend({})", one.pid)).collect(),
    );
    let note = if sees_all {
        "finish them, or end their sessions"
    } else {
        "finish them, or end their sessions; since when another role's is open is seen only with GRANT pg_read_all_stats"
    };
    Finding::warn(some_of(&texts)).about(long.iter().map(|one| one.pid.to_string()).collect()).mend(remedy.note(note))
}

fn describe(one: &OpenTransaction) -> String {
    let role = one.role.as_deref().unwrap_or("unknown");
    match (one.seconds, &one.since) {
        (Some(open), Some(since)) => format!("pid {} of {role} since {since} ({})", one.pid, seconds(open)),
        _ => format!("pid {} of {role}, for more than a second", one.pid),
    }
}

fn prepared_verdict(found: &[PreparedTransaction]) -> Finding {
    if found.is_empty() {
        return Finding::pass("none");
    }
    let texts: Vec<String> = found
        .iter()
        .map(|one| {
            format!(
                "\"{}\" of {} in {} since {} ({})",
                one.gid,
                one.role,
                one.database,
                one.since,
                seconds(one.seconds)
            )
        })
        .collect();
    let statements = found.iter().map(|one| format!("ROLLBACK PREPARED '{}'", one.gid.replace('\'', "''"))).collect();
    Finding::warn(some_of(&texts)).about(found.iter().map(|one| one.gid.clone()).collect()).mend(
        Remedy::shown(Place::Postgres, statements).note("or COMMIT PREPARED: whoever prepared it knows; as its owner"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(pid: i32, xid: &str, seconds: Option<f64>) -> OpenTransaction {
        let since = seconds.map(|_| "2026-01-01T00:00:00Z".to_owned());
        OpenTransaction { pid, xid: xid.to_owned(), role: Some("app".to_owned()), seconds, since }
    }

    #[test]
    fn a_transaction_of_unknown_age_counts_if_it_was_there_before() {
        let before = [open(1, "70", None), open(2, "71", None)];
        let now = [open(1, "70", None), open(2, "99", None), open(3, "72", Some(1.0)), open(4, "60", Some(60.0))];
        assert_eq!(verdict(&before, &now, LONG, false).objects, ["1", "4"]);
    }

    #[test]
    fn a_hostile_gid_stays_a_literal() {
        let one = PreparedTransaction {
            gid: "a'b".to_owned(),
            role: "app".to_owned(),
            database: "shop".to_owned(),
            seconds: 5.0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        };
        assert_eq!(prepared_verdict(&[one]).remedy.unwrap().statements, ["ROLLBACK PREPARED 'a''b'"]);
    }
}
