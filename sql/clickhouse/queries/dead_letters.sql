-- Records of Kafka that could not be carried, by what was wrong; `pipectl dead-letters` shows them whole. The table is there from the first one
-- of a pipeline through Kafka on.
SELECT pipeline, ifNull(letters.table, '') AS source, error, count() AS records, min(time) AS first, max(time) AS last
FROM shop.pipectl_dead_letters AS letters FINAL
GROUP BY pipeline, source, error
ORDER BY records DESC;
