-- Records that were set aside, in the order of their places, behind one place; bytes in hexadecimal.
SELECT
    letters.topic AS topic,
    letters.partition AS partition,
    letters.offset AS offset,
    toString(letters.time) AS time,
    letters.error AS error,
    letters.table AS table,
    toUnixTimestamp64Milli(letters.timestamp) AS timestamp,
    hex(letters.key) AS key,
    if({whole:UInt8} = 1, hex(letters.value), NULL) AS value,
    if({whole:UInt8} = 1, arrayMap(header -> (header.1, hex(header.2)), letters.headers), []) AS headers,
    length(letters.value) AS bytes
FROM {database:Identifier}.pipectl_dead_letters AS letters FINAL
WHERE letters.pipeline = {pipeline:String}
    AND (letters.topic, letters.partition, letters.offset) > ({after_topic:String}, {after_partition:Int32}, {after_offset:Int64})
    AND ({topic:String} = '' OR letters.topic = {topic:String})
    AND ({table:String} = '' OR letters.table = {table:String} OR endsWith(ifNull(letters.table, ''), concat('.', {table:String})))
    AND letters.time >= parseDateTime64BestEffort({since:String}, 3, 'UTC')
ORDER BY topic, partition, offset
LIMIT {limit:UInt64}
