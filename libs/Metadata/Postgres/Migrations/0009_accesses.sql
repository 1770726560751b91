-- Accesses of versions, in buckets that have them counted (docs/LIFECYCLE.md). Programs from before would count none: the level of this script is what they need before there are any.
UPDATE format SET readable_from = 1;

CREATE TABLE accesses (
    bucket   bigint  NOT NULL,
    key      bytea   NOT NULL,
    version  uuid    NOT NULL,      -- the id, of the null version too
    day      integer NOT NULL,      -- since 0001-01-01, in UTC; 0 is all days together
    count    bigint  NOT NULL,
    last     bigint  NOT NULL,      -- when the last of them was
    PRIMARY KEY (bucket, key, version, day)
);
