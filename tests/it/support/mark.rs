//! A place in the stream that a pipeline can be put back to.

use super::Stage;

/// Keeps the log from here on, by a slot of its own, and knows what was stored.
pub(crate) struct Mark {
    checkpoint: String,
}

impl Mark {
    /// Where the stream is now. One that has not begun has no position yet: it begins where its slot does.
    pub(crate) fn of(stage: &Stage) -> Self {
        let name = &stage.name;
        stage.admin.execute(&format!(
            "SELECT pg_copy_logical_replication_slot(slot_name, '{name}_mark') FROM pg_replication_slots WHERE {}",
            own(name)
        ));
        let stored = "SELECT argMax(value, sequence) FROM {db}.pipectl_state WHERE kind = 'checkpoint'";
        let checkpoint = stage.clickhouse.try_value(stored).filter(|value| !value.is_empty()).unwrap_or_else(|| {
            let from = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name";
            let end = stage.admin.value(&format!("{from} = '{name}_mark'"));
            format!(r#"{{"version":1,"commit":"0/0","end":"{end}","xid":0}}"#)
        });
        Self { checkpoint }
    }

    /// Where the log goes on from it.
    pub(crate) fn end(&self) -> String {
        let record: serde_json::Value = serde_json::from_str(&self.checkpoint).unwrap();
        record["end"].as_str().unwrap().to_owned()
    }

    /// Puts slot and position back to where they were: everything since will be sent, and stored, once more.
    pub(crate) fn rewind(&self, stage: &Stage) {
        let name = &stage.name;
        let session = super::Postgres::connect(&stage.admin.url);
        // The server's side of a stream ends a little after the process that read it.
        let free = format!("SELECT slot_name FROM pg_replication_slots WHERE {} AND NOT active", own(name));
        let mut slot = None;
        stage.wait_until("nobody reads the slot", |_| {
            slot = session.rows(&free).first().and_then(|row| row[0].clone());
            slot.is_some()
        });
        let slot = slot.unwrap();
        session.execute(&format!("SELECT pg_drop_replication_slot('{slot}')"));
        session.execute(&format!("SELECT pg_copy_logical_replication_slot('{name}_mark', '{slot}')"));
        stage.clickhouse.execute(&format!(
            "INSERT INTO {{db}}.pipectl_state (pipeline, transport, slot, kind, name, value, sequence)
             SELECT pipeline, transport, slot, 'checkpoint', '', '{}', (SELECT max(sequence) FROM {{db}}.pipectl_state) + 1
             FROM {{db}}.pipectl_state WHERE kind = 'pipeline' AND transport = 'postgres' LIMIT 1",
            self.checkpoint
        ));
    }
}

/// The pipeline's slot of a database, whatever its name.
fn own(database: &str) -> String {
    format!("database = '{database}' AND slot_name <> '{database}_mark' AND NOT temporary")
}
