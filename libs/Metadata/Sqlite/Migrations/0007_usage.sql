-- Usage by storage class and month (docs/FORMATS.md). A row is what a month changed: what is there is the sum of all.
CREATE TABLE usage (
    bucket         INTEGER NOT NULL,                 -- 0: all that are gone
    month          INTEGER NOT NULL,                 -- of UTC: year * 12 + month - 1
    storage_class  TEXT    NOT NULL,
    objects        INTEGER NOT NULL DEFAULT 0,
    bytes          INTEGER NOT NULL DEFAULT 0,
    moment_high    INTEGER NOT NULL DEFAULT 0,       -- the sum of each change of bytes, times the milliseconds since the month's begin at which it was, is moment_high * 2^40 + moment_low
    moment_low     INTEGER NOT NULL DEFAULT 0,       -- 0 to 2^40 - 1
    reads          INTEGER NOT NULL DEFAULT 0,       -- requests
    writes         INTEGER NOT NULL DEFAULT 0,
    deletes        INTEGER NOT NULL DEFAULT 0,
    received       INTEGER NOT NULL DEFAULT 0,       -- bytes
    sent           INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, month, storage_class)
) WITHOUT ROWID;

-- What is there already counts from the begin of this month.
INSERT INTO usage (bucket, month, storage_class, objects, bytes)
SELECT bucket, CAST(strftime('%Y', 'now') AS INTEGER) * 12 + CAST(strftime('%m', 'now') AS INTEGER) - 1, coalesce(storage_class, 'STANDARD'), count(*), sum(length)
FROM (SELECT bucket, storage_class, length FROM objects UNION ALL SELECT bucket, storage_class, length FROM versions WHERE NOT flags & 2)
GROUP BY 1, 3;

ALTER TABLE buckets DROP COLUMN objects;
ALTER TABLE buckets DROP COLUMN bytes;
