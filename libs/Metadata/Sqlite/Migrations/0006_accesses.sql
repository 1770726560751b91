-- Accesses of versions, in buckets that have them counted (docs/LIFECYCLE.md).
CREATE TABLE accesses (
    bucket   INTEGER NOT NULL,
    key      BLOB    NOT NULL,
    version  BLOB    NOT NULL,      -- the id, of the null version too
    day      INTEGER NOT NULL,      -- since 0001-01-01, in UTC; 0 is all days together
    count    INTEGER NOT NULL,
    last     INTEGER NOT NULL,      -- when the last of them was
    PRIMARY KEY (bucket, key, version, day)
) WITHOUT ROWID;
