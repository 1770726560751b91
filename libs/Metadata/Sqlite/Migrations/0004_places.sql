-- Content outside, and moves of it.

-- Of a blob outside: the name of the integration. Its row is made before anything is put there, with a time in the future at which it is garbage if no version names it by then. Where it is being deleted
-- there, freed is the time at which that was last tried, negated, and no version may come to name it.
ALTER TABLE blobs ADD COLUMN place TEXT;

-- Garbage on the drives: what is outside may be very much, and wait for long.
DROP INDEX blobs_by_freed;

CREATE INDEX blobs_by_freed ON blobs (freed) WHERE freed IS NOT NULL AND place IS NULL;

CREATE INDEX blobs_outside ON blobs (place, abs(freed)) WHERE place IS NOT NULL;

-- Versions whose bytes are to go elsewhere. At most one for each.
CREATE TABLE moves (
    bucket        INTEGER NOT NULL,
    key           BLOB    NOT NULL,
    version       BLOB    NOT NULL,                  -- the id, of the null version too
    storage_class TEXT    NOT NULL,                  -- whose tier is wanted
    origin        INTEGER NOT NULL,                  -- MoveOrigin
    asked         INTEGER NOT NULL,
    due           INTEGER NOT NULL,                  -- not before; while somebody works on it: until when it is left to them
    attempts      INTEGER NOT NULL,
    failure       TEXT,                              -- of the last attempt
    PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;

CREATE INDEX moves_by_due ON moves (due);

CREATE INDEX moves_by_class ON moves (storage_class, due);
