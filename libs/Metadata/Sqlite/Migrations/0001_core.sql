-- Times are Unix milliseconds, ids 16 bytes big-endian, keys UTF-8 bytes (so that they order as S3 orders them).
-- What is in the "detail" columns is written in docs/FORMATS.md.

CREATE TABLE buckets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice
    name        TEXT    NOT NULL UNIQUE,
    owner       TEXT    NOT NULL,
    region      TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    versioning  INTEGER NOT NULL,                    -- BucketVersioning
    objects     INTEGER NOT NULL DEFAULT 0,          -- usage, counted with each change
    bytes       INTEGER NOT NULL DEFAULT 0
);

-- Current versions only, so that a listing walks nothing it does not show.
CREATE TABLE objects (
    bucket        INTEGER NOT NULL,
    key           BLOB    NOT NULL,
    revision      INTEGER NOT NULL,
    version       BLOB    NOT NULL,
    modified      INTEGER NOT NULL,
    length        INTEGER NOT NULL,
    etag          TEXT    NOT NULL,
    flags         INTEGER NOT NULL,                  -- 1: null version; 8..15: checksum algorithm; 16..23: checksum type
    storage_class TEXT,                              -- NULL is STANDARD
    detail        BLOB    NOT NULL,
    content       BLOB,                              -- inline content; last, so that a listing need not touch its pages
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

-- Versions that are no longer current, newest first.
CREATE TABLE versions (
    bucket        INTEGER NOT NULL,
    key           BLOB    NOT NULL,
    revision      INTEGER NOT NULL,
    version       BLOB    NOT NULL,
    modified      INTEGER NOT NULL,
    length        INTEGER NOT NULL,
    etag          TEXT    NOT NULL,
    flags         INTEGER NOT NULL,
    storage_class TEXT,
    detail        BLOB    NOT NULL,
    content       BLOB,
    PRIMARY KEY (bucket, key, revision DESC)
) WITHOUT ROWID;

CREATE UNIQUE INDEX versions_by_id ON versions (bucket, key, version);

CREATE TABLE uploads (
    upload     BLOB    PRIMARY KEY,
    bucket     INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    detail     BLOB    NOT NULL
) WITHOUT ROWID;

CREATE INDEX uploads_by_key ON uploads (bucket, key, upload);

CREATE TABLE parts (
    upload     BLOB    NOT NULL,
    number     INTEGER NOT NULL,
    modified   INTEGER NOT NULL,
    detail     BLOB    NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;

-- Every blob that the index knows. One that no manifest names any more has the time it was freed.
CREATE TABLE blobs (
    blob   BLOB PRIMARY KEY,
    freed  INTEGER
) WITHOUT ROWID;

CREATE INDEX blobs_by_freed ON blobs (freed) WHERE freed IS NOT NULL;

CREATE TABLE grain_state (
    name   TEXT NOT NULL,
    grain  TEXT NOT NULL,
    etag   INTEGER NOT NULL,
    state  BLOB NOT NULL,
    PRIMARY KEY (name, grain)
) WITHOUT ROWID;

CREATE TABLE reminders (
    grain   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    hash    INTEGER NOT NULL,                        -- of the grain, its place on the ring
    start   INTEGER NOT NULL,                        -- UTC ticks of 100 ns
    period  INTEGER NOT NULL,                        -- ticks of 100 ns
    etag    INTEGER NOT NULL,
    PRIMARY KEY (grain, name)
) WITHOUT ROWID;

CREATE INDEX reminders_by_hash ON reminders (hash);
