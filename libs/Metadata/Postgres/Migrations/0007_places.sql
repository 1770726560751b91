-- Content outside, and moves of it. Programs from before would not know where the bytes of such a version are: the level of this script is what they need before there is one.
UPDATE format SET readable_from = 1;

-- Of a blob outside: the name of the integration. Its row is made before anything is put there, with a time in the future at which it is garbage if no version names it by then. Where it is being deleted
-- there, freed is the time at which that was last tried, negated, and no version may come to name it.
ALTER TABLE blobs ADD COLUMN place text COLLATE "C";

-- Garbage on the drives: what is outside may be very much, and wait for long. The index from before is for programs from before.
CREATE INDEX blobs_here_by_freed ON blobs (freed) WHERE freed IS NOT NULL AND place IS NULL;

CREATE INDEX blobs_outside ON blobs (place, abs(freed)) WHERE place IS NOT NULL;

-- Versions whose bytes are to go elsewhere. At most one for each.
CREATE TABLE moves (
    bucket         bigint  NOT NULL,
    key            bytea   NOT NULL,
    version        uuid    NOT NULL,      -- the id, of the null version too
    storage_class  text    NOT NULL,      -- whose tier is wanted
    origin         integer NOT NULL,      -- MoveOrigin
    asked          bigint  NOT NULL,
    due            bigint  NOT NULL,      -- not before; while somebody works on it: until when it is left to them
    attempts       integer NOT NULL,
    failure        text,                  -- of the last attempt
    PRIMARY KEY (bucket, key, version)
);

CREATE INDEX moves_by_due ON moves (due);

CREATE INDEX moves_by_class ON moves (storage_class, due);

-- As before, but that the blob of a version whose bytes are outside (flag 4) is one that was entered for it, and is garbage no longer; and that a change can be what was wished for, and the wish goes with it.
DROP FUNCTION update_version(integer, integer, bigint, bytea, uuid, bigint, bigint, uuid, bigint, bigint, text, integer, text, text, bigint, uuid[], bytea, bytea, text[], bytea[], bigint[]);

CREATE FUNCTION update_version(
    p_slot integer, p_lock integer, p_bucket bigint, p_key bytea, p_name uuid, p_now bigint,
    p_revision bigint, p_version uuid, p_modified bigint, p_length bigint, p_etag text, p_flags integer, p_storage_class text, p_owner text,
    p_change bigint, p_blobs uuid[], p_detail bytea, p_content bytea, p_targets text[], p_documents bytea[], p_checksums bigint[], p_fulfils boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_held record;
    v_is_current boolean := true;
BEGIN
    PERFORM lock_bucket(p_bucket);
    PERFORM lock_key(p_lock);
    PERFORM 1 FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    SELECT revision, change, length, blobs INTO v_held FROM objects
    WHERE bucket = p_bucket AND key = p_key AND CASE WHEN p_name IS NULL THEN flags & 1 <> 0 ELSE version = p_name AND flags & 1 = 0 END;
    IF NOT FOUND THEN
        v_is_current := false;
        IF p_name IS NULL THEN
            SELECT revision, change, length, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0;
        ELSE
            SELECT revision, change, length, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND version = p_name AND flags & 1 = 0;
        END IF;
        IF NOT FOUND THEN RETURN 'Conflict'; END IF;
    END IF;
    IF v_held.revision <> p_revision OR v_held.change <> p_change - 1 THEN RETURN 'Conflict'; END IF;

    IF p_fulfils THEN
        PERFORM 1 FROM moves WHERE bucket = p_bucket AND key = p_key AND version = p_version AND storage_class = coalesce(p_storage_class, 'STANDARD') FOR UPDATE;
        IF NOT FOUND THEN RETURN 'MoveChanged'; END IF;
    END IF;
    IF v_held.blobs <> p_blobs THEN
        IF p_flags & 4 <> 0 THEN
            -- Not one that is being deleted there, or was. Nothing was written yet that would have to be taken back.
            UPDATE blobs SET freed = NULL WHERE blob = p_blobs[1] AND place IS NOT NULL AND freed > 0;
            IF NOT FOUND THEN RETURN 'Conflict'; END IF;
        ELSE
            INSERT INTO blobs (blob) SELECT unnest(p_blobs) EXCEPT SELECT unnest(v_held.blobs);
        END IF;
        PERFORM free_blobs(ARRAY (SELECT unnest(v_held.blobs) EXCEPT SELECT unnest(p_blobs)), p_now);
    END IF;
    IF p_fulfils THEN DELETE FROM moves WHERE bucket = p_bucket AND key = p_key AND version = p_version; END IF;
    IF v_is_current THEN
        UPDATE objects SET version = p_version, modified = p_modified, length = p_length, etag = p_etag, flags = p_flags,
            storage_class = p_storage_class, owner = p_owner, change = p_change, blobs = p_blobs, detail = p_detail, content = p_content
        WHERE bucket = p_bucket AND key = p_key;
    ELSE
        UPDATE versions SET version = p_version, modified = p_modified, length = p_length, etag = p_etag, flags = p_flags,
            storage_class = p_storage_class, owner = p_owner, change = p_change, blobs = p_blobs, detail = p_detail, content = p_content
        WHERE bucket = p_bucket AND key = p_key AND revision = p_revision;
    END IF;
    IF p_length <> v_held.length THEN PERFORM count_usage(p_slot, p_bucket, 0, p_length - v_held.length); END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_now, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;
