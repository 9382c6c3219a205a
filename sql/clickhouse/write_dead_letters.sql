INSERT INTO {database:Identifier}.pipectl_dead_letters
    (pipeline, topic, partition, offset, error, table, timestamp, key, value, headers)
FORMAT RowBinary
