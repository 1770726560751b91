-- Events of objects for the targets of bucket notifications. A row waits until it is delivered or given up, and is kept for a while after that.

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,      -- never used twice: receivers know an event by it
    target   TEXT    NOT NULL,
    bucket   INTEGER NOT NULL,                       -- with the key: what the order is kept for
    key      BLOB    NOT NULL,
    occurred INTEGER NOT NULL,                       -- milliseconds since 1970
    document BLOB    NOT NULL,                       -- JSON
    checksum INTEGER NOT NULL,                       -- CRC-32C of the columns above but the sequence
    ended    INTEGER,                                -- when it stopped to wait; NULL while it does
    outcome  INTEGER                                 -- 1 delivered, 2 given up
);

CREATE INDEX events_of_target ON events (target, ended, sequence, outcome);
