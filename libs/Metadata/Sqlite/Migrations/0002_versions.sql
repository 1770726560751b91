-- Versions and their owners, delete markers, settings of buckets. The tables of versions are made anew, so that the content stays the last column.

ALTER TABLE buckets ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;   -- counts the changes of the bucket's record

CREATE TABLE bucket_settings (
    bucket    INTEGER NOT NULL,
    kind      TEXT    NOT NULL,                      -- the name of S3's subresource
    id        TEXT    NOT NULL,                      -- of one of several of a kind; otherwise empty
    document  TEXT    NOT NULL,
    PRIMARY KEY (bucket, kind, id)
) WITHOUT ROWID;

ALTER TABLE objects RENAME TO objects_1;

CREATE TABLE objects (
    bucket        INTEGER NOT NULL,
    key           BLOB    NOT NULL,
    revision      INTEGER NOT NULL,
    version       BLOB    NOT NULL,
    modified      INTEGER NOT NULL,
    length        INTEGER NOT NULL,
    etag          TEXT    NOT NULL,
    flags         INTEGER NOT NULL,                  -- 1: null version; 2: delete marker; 8..15: checksum algorithm; 16..23: checksum type
    storage_class TEXT,                              -- NULL is STANDARD
    owner         TEXT    NOT NULL,
    detail        BLOB    NOT NULL,
    content       BLOB,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

INSERT INTO objects
SELECT o.bucket, o.key, o.revision, o.version, o.modified, o.length, o.etag, o.flags, o.storage_class, b.owner, o.detail, o.content
FROM objects_1 o JOIN buckets b ON b.id = o.bucket;

DROP TABLE objects_1;

-- No program wrote rows here before this format.
DROP TABLE versions;

-- Versions that are no longer current, newest first. The newest stands here too where it is a delete marker: then the key has no row in objects.
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
    owner         TEXT    NOT NULL,
    detail        BLOB    NOT NULL,
    content       BLOB,
    PRIMARY KEY (bucket, key, revision DESC)
) WITHOUT ROWID;

CREATE UNIQUE INDEX versions_by_id ON versions (bucket, key, version);

CREATE UNIQUE INDEX versions_null ON versions (bucket, key) WHERE flags & 1;
