-- How many records of a pipeline are set aside, of those that a filter lets through.
SELECT count() AS waiting
FROM {database:Identifier}.pipectl_dead_letters AS letters FINAL
WHERE letters.pipeline = {pipeline:String}
    AND ({topic:String} = '' OR letters.topic = {topic:String})
    AND ({table:String} = '' OR letters.table = {table:String} OR endsWith(ifNull(letters.table, ''), concat('.', {table:String})))
    AND letters.time >= parseDateTime64BestEffort({since:String}, 3, 'UTC')
