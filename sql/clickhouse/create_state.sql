-- What a pipeline has to remember across restarts. Rows are only ever inserted; of each name the newest counts.
CREATE TABLE IF NOT EXISTS {database:Identifier}.pipectl_state
(
    `pipeline` String,
    `transport` LowCardinality(String),
    `slot` String,
    `kind` LowCardinality(String),
    `name` String,
    `value` String,
    `sequence` UInt64,
    `written_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(sequence)
ORDER BY (pipeline, transport, slot, kind, name)
