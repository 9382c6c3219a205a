-- What FINAL has to leave out: versions that are older than another, and deleted rows. Merges take both away by and by.
SELECT
    count() AS stored,
    uniqExact(id) AS keys,
    stored - keys AS older_versions,
    (SELECT count() FROM shop.orders FINAL) AS shown,
    keys - shown AS deleted
FROM shop.orders;
