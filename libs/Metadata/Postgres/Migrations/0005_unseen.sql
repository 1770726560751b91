-- A change that was decided on nothing of what is there. Programs from before go on with this: they always say what they decided on.
UPDATE format SET readable_from = 1;

-- As before, but that p_expected may be NULL: then what is on top may be any other version that is older. And in fewer statements, each of which costs as much as what it does: what is there is read
-- in one, locks are taken by assignments, which run none, and usage is counted here.
CREATE OR REPLACE FUNCTION save_object(
    p_slot integer, p_lock integer, p_bucket bigint, p_bucket_revision bigint, p_key bytea, p_expected bigint, p_upload uuid,
    p_revision bigint, p_version uuid, p_modified bigint, p_length bigint, p_etag text, p_flags integer, p_storage_class text, p_owner text,
    p_change bigint, p_blobs uuid[], p_detail bytea, p_content bytea, p_targets text[], p_documents bytea[], p_checksums bigint[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_lock text;
    v_bucket_revision bigint;
    v_top bigint;                      -- of all versions, and
    v_top_version uuid;
    v_revision bigint;                 -- of the current one, if there is one
    v_flags integer;
    v_length bigint;
    v_blobs uuid[];
    v_gone_flags integer;              -- of the null version that goes
    v_gone_length bigint;
    v_gone_blobs uuid[];
    v_outcome text;
    v_objects bigint := 1 - (p_flags >> 1 & 1);
    v_bytes bigint := p_length;
BEGIN
    v_lock := pg_advisory_xact_lock_shared(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
    v_lock := pg_advisory_xact_lock(x'446B0002'::integer, p_lock);
    SELECT b.revision, o.revision, o.flags, o.length, o.blobs, coalesce(o.revision, t.revision), coalesce(o.version, t.version)
    INTO v_bucket_revision, v_revision, v_flags, v_length, v_blobs, v_top, v_top_version
    FROM buckets b
    LEFT JOIN objects o ON o.bucket = p_bucket AND o.key = p_key
    LEFT JOIN LATERAL (
        SELECT v.revision, v.version FROM versions v WHERE o.revision IS NULL AND v.bucket = p_bucket AND v.key = p_key ORDER BY v.revision DESC LIMIT 1
    ) t ON true
    WHERE b.id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    IF v_bucket_revision <> p_bucket_revision THEN RETURN 'BucketChanged'; END IF;
    IF p_expected IS NULL THEN
        IF v_top >= p_revision OR v_top_version = p_version THEN RETURN 'Conflict'; END IF;
    ELSIF coalesce(v_top, 0) <> p_expected THEN
        RETURN 'Conflict';
    END IF;

    IF p_upload IS NOT NULL THEN
        v_outcome := end_upload(p_upload, p_blobs, p_modified);
        IF v_outcome <> '' THEN RETURN v_outcome; END IF;
    ELSIF cardinality(p_blobs) > 0 THEN
        INSERT INTO blobs (blob) SELECT unnest(p_blobs);
    END IF;

    IF p_flags & 1 <> 0 AND v_top IS NOT NULL THEN
        -- The null version there may be goes, wherever it is.
        IF v_flags & 1 <> 0 THEN
            v_gone_flags := v_flags;
            v_gone_length := v_length;
            v_gone_blobs := v_blobs;
        ELSE
            DELETE FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0 RETURNING flags, length, blobs INTO v_gone_flags, v_gone_length, v_gone_blobs;
        END IF;
        IF v_gone_flags IS NOT NULL THEN
            IF cardinality(v_gone_blobs) > 0 THEN PERFORM free_blobs(v_gone_blobs, p_modified); END IF;
            v_objects := v_objects - (1 - (v_gone_flags >> 1 & 1));
            v_bytes := v_bytes - v_gone_length;
        END IF;
    END IF;

    IF v_revision IS NOT NULL AND p_flags & v_flags & 1 <> 0 AND p_flags & 2 = 0 THEN
        UPDATE objects SET revision = p_revision, version = p_version, modified = p_modified, length = p_length, etag = p_etag, flags = p_flags,
            storage_class = p_storage_class, owner = p_owner, change = p_change, blobs = p_blobs, detail = p_detail, content = p_content
        WHERE bucket = p_bucket AND key = p_key;
    ELSE
        IF v_revision IS NOT NULL THEN
            IF p_flags & v_flags & 1 = 0 THEN
                INSERT INTO versions SELECT * FROM objects WHERE bucket = p_bucket AND key = p_key;
            END IF;
            DELETE FROM objects WHERE bucket = p_bucket AND key = p_key;
        END IF;
        IF p_flags & 2 = 0 THEN
            INSERT INTO objects VALUES (p_bucket, p_key, p_revision, p_version, p_modified, p_length, p_etag, p_flags, p_storage_class, p_owner, p_change, p_blobs, p_detail, p_content);
        ELSE
            INSERT INTO versions VALUES (p_bucket, p_key, p_revision, p_version, p_modified, p_length, p_etag, p_flags, p_storage_class, p_owner, p_change, p_blobs, p_detail, p_content);
        END IF;
    END IF;
    IF v_objects <> 0 OR v_bytes <> 0 THEN
        INSERT INTO bucket_usage AS u (bucket, slot, objects, bytes) VALUES (p_bucket, p_slot, v_objects, v_bytes)
        ON CONFLICT (bucket, slot) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes;
    END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_modified, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

-- As before, but in PL/pgSQL: a function in SQL that does not become a part of the statement that calls it is parsed and planned at each call.
CREATE OR REPLACE FUNCTION lock_bucket(p_bucket bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
END $$;

CREATE OR REPLACE FUNCTION lock_bucket_alone(p_bucket bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
END $$;

CREATE OR REPLACE FUNCTION lock_key(p_lock integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'446B0002'::integer, p_lock);
END $$;

CREATE OR REPLACE FUNCTION count_usage(p_slot integer, p_bucket bigint, p_objects bigint, p_bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bucket_usage AS u (bucket, slot, objects, bytes) VALUES (p_bucket, p_slot, p_objects, p_bytes)
    ON CONFLICT (bucket, slot) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes;
END $$;

CREATE OR REPLACE FUNCTION free_blobs(p_blobs uuid[], p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE blobs SET freed = p_now WHERE blob = ANY (p_blobs);
END $$;

CREATE OR REPLACE FUNCTION add_events(p_bucket bigint, p_key bytea, p_occurred bigint, p_targets text[], p_documents bytea[], p_checksums bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (target, bucket, key, occurred, document, checksum)
    SELECT e.target, p_bucket, p_key, p_occurred, e.document, e.checksum
    FROM unnest(p_targets, p_documents, p_checksums) WITH ORDINALITY AS e (target, document, checksum, place) ORDER BY e.place;
END $$;
