-- Records of topics that could not be carried, whole: one row a record, however often it was set aside.
CREATE TABLE IF NOT EXISTS {database:Identifier}.pipectl_dead_letters
(
    `pipeline` String,
    `topic` LowCardinality(String),
    `partition` Int32,
    `offset` Int64,
    `time` DateTime64(3, 'UTC') DEFAULT now64(3),
    `error` String,
    `table` LowCardinality(Nullable(String)),
    `timestamp` Nullable(DateTime64(3, 'UTC')),
    `key` Nullable(String),
    `value` Nullable(String),
    `headers` Array(Tuple(String, Nullable(String)))
)
ENGINE = ReplacingMergeTree(time)
ORDER BY (pipeline, topic, partition, offset)
