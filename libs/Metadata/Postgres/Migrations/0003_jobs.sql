-- What becomes of each change of the layout. Programs from before this script change layouts past it, by replace_document: of those changes nothing is written here, and all else goes on.
UPDATE format SET readable_from = 1;

CREATE TABLE layout_jobs (
    id       bigint PRIMARY KEY,       -- the version of the layout that the change made
    kind     text   NOT NULL,          -- add, drain, reweigh, remove or replication
    node     text,                     -- the name of the node that it is about; NULL where it is about all
    change   text   NOT NULL,          -- a document: what was asked for
    undo     text,                     -- a document: what takes it back; NULL where nothing does
    begun    bigint NOT NULL,
    ended    bigint,
    outcome  text,                     -- done or cancelled; NULL until it has ended
    CHECK ((ended IS NULL) = (outcome IS NULL))
);

-- How far each node is with what such a change has it fetch.
CREATE TABLE layout_progress (
    job     bigint NOT NULL REFERENCES layout_jobs ON DELETE CASCADE,
    store   uuid   NOT NULL,
    blobs   bigint NOT NULL,           -- that it has to look at
    passed  bigint NOT NULL,           -- that it has looked at
    copied  bigint NOT NULL,           -- of which something was to be copied
    bytes   bigint NOT NULL,           -- that were copied
    begun   bigint NOT NULL,
    told    bigint NOT NULL,
    PRIMARY KEY (job, store)
);

-- Replaces the layout, and in the same transaction enters the change (p_kind NULL: none), ends the one that it takes back (p_cancels), and ends all up to a version whose movements are over (p_settled).
-- False where the layout has another revision: then nothing is changed.
CREATE FUNCTION replace_layout(
    p_content bytea, p_revision bigint, p_now bigint, p_id bigint, p_kind text, p_node text, p_change text, p_undo text, p_cancels bigint, p_settled bigint, p_ended_max bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT replace_document('layout', p_content, p_revision) THEN RETURN false; END IF;
    IF p_kind IS NOT NULL THEN INSERT INTO layout_jobs (id, kind, node, change, undo, begun) VALUES (p_id, p_kind, p_node, p_change, p_undo, p_now); END IF;
    UPDATE layout_jobs SET ended = p_now, outcome = 'cancelled' WHERE id = p_cancels AND ended IS NULL;
    UPDATE layout_jobs SET ended = p_now, outcome = 'done' WHERE id <= p_settled AND ended IS NULL;
    DELETE FROM layout_jobs WHERE id IN (SELECT id FROM layout_jobs WHERE ended IS NOT NULL ORDER BY id DESC OFFSET p_ended_max);
    RETURN true;
END $$;

-- What is told of a change that is not known, or not any more, is let go.
CREATE FUNCTION report_progress(p_job bigint, p_store uuid, p_blobs bigint, p_passed bigint, p_copied bigint, p_bytes bigint, p_begun bigint, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO layout_progress (job, store, blobs, passed, copied, bytes, begun, told)
    SELECT p_job, p_store, p_blobs, p_passed, p_copied, p_bytes, p_begun, p_now FROM layout_jobs WHERE id = p_job
    ON CONFLICT (job, store) DO UPDATE SET blobs = excluded.blobs, passed = excluded.passed, copied = excluded.copied, bytes = excluded.bytes, begun = excluded.begun, told = excluded.told;
    RETURN FOUND;
END $$;

-- All nodes hear of it: one that was taken out, and is back before that was through, has to enter itself again.
CREATE FUNCTION remove_node(p_store uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM nodes WHERE store = p_store;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM pg_notify('darkstorage_document', 'nodes');
    RETURN true;
END $$;
