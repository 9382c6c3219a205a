//! What a connector's failures mean, and the way out of each.

/// What a failure's text holds, and what to do then. The first that fits counts; all that a line names has to be there.
const KNOWN: [(&[&str], &str); 19] = [
    (
        &["password authentication failed"],
        "check `postgres.url`, or the variable that the workers' config provider reads",
    ),
    (&["no pg_hba.conf entry for replication"], "let the workers' addresses in for replication in pg_hba.conf"),
    (&["no pg_hba.conf entry"], "let the workers' addresses in in pg_hba.conf"),
    (&["permission denied to start WAL sender"], "give the role REPLICATION: ALTER ROLE … REPLICATION"),
    (&["must be superuser or replication role"], "give the role REPLICATION: ALTER ROLE … REPLICATION"),
    (
        &["replication slot", "is active for PID"],
        "something else reads the slot: stop `pipectl sync --source postgres` or the other connector, or set `postgres.slot` to another name",
    ),
    (
        &["all replication slots are in use"],
        "drop a slot that nobody needs, or raise max_replication_slots; `pipectl doctor` lists them",
    ),
    (
        &["no longer available on the server"],
        "the connector's stored offset is of another history of the database, or the slot was made anew: `pipectl connector delete \
         --drop-slot` forgets both; then apply it again, and run `pipectl resync --all`",
    ),
    (
        &["can no longer get changes from replication slot"],
        "the slot has lost its log: `pipectl connector delete --drop-slot`, apply it again, and run `pipectl resync --all`; raise \
         max_slot_wal_keep_size",
    ),
    (
        &["requested WAL segment", "has already been removed"],
        "the slot has lost its log: `pipectl connector delete --drop-slot`, apply it again, and run `pipectl resync --all`",
    ),
    (
        &["publication", "does not exist"],
        "`pipectl connector apply` makes the publication; one made after the slot needs a new slot too",
    ),
    (&["Publication autocreation is disabled"], "`pipectl connector apply` makes the publication"),
    (&["wal_level"], "set wal_level = logical in Postgres, and restart it"),
    (
        &["RecordTooLargeException"],
        "a row is larger than the topic takes: raise producer.override.max.request.size (`kafka.connector`) and max.message.bytes of the topic",
    ),
    (
        &["larger than the maximum request size"],
        "a row is larger than the topic takes: raise producer.override.max.request.size (`kafka.connector`) and max.message.bytes of the topic",
    ),
    (
        &["UnknownHost"],
        "the workers do not know this host: set `kafka.connector: {database.hostname: …}` to the name that they reach Postgres by",
    ),
    (
        &["Connection to", "refused"],
        "the workers cannot reach Postgres there: set `kafka.connector: {database.hostname: …}` to the address that they reach it by",
    ),
    (
        &["The connection attempt failed"],
        "the workers cannot reach Postgres there: set `kafka.connector: {database.hostname: …}` to the address that they reach it by",
    ),
    (
        &["Failed to find any class that implements Connector"],
        "install debezium-connector-postgres in the workers' plugin.path and restart them",
    ),
];

/// What to do about a failure that is known, by its text or its whole stack trace.
pub fn hint(failure: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(words, _)| words.iter().all(|word| failure.contains(word))).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_failures_have_a_way_out() {
        let hinted = |text: &str, word: &str| hint(text).is_some_and(|hint| hint.contains(word));
        assert!(hinted("FATAL: password authentication failed for user \"pipectl\"", "postgres.url"));
        assert!(hinted("ERROR: replication slot \"s\" is active for PID 7", "postgres.slot"));
        assert!(hinted("ERROR: publication \"p\" does not exist", "connector apply"));
        assert!(hinted(
            "The offset … is no longer available on the server. Reconfigure the connector",
            "connector delete"
        ));
        assert!(hinted("no pg_hba.conf entry for replication connection from host", "for replication"));
        assert_eq!(hint("something new"), None);
    }
}
