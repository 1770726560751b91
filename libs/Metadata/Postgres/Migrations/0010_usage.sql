-- Usage by storage class and month (docs/FORMATS.md). Programs from before go on with this: what they call counts for them too. They don't know what requests cost in a tier: the level of this script is that.
UPDATE format SET readable_from = 1;

-- A row is what a month changed in what a bucket has of one class, by one connection: what is there is the sum of all. Months are those of UTC, as year * 12 + month - 1; bucket 0 is all that are gone.
CREATE TABLE usage (
    bucket         bigint  NOT NULL,
    month          integer NOT NULL,
    storage_class  text    COLLATE "C" NOT NULL,
    writer         integer NOT NULL,                  -- the connection's slot; -1 is nobody's own
    objects        bigint  NOT NULL DEFAULT 0,
    bytes          bigint  NOT NULL DEFAULT 0,
    moment         numeric NOT NULL DEFAULT 0,        -- the sum of each change of bytes, times the milliseconds since the month's begin at which it was
    reads          bigint  NOT NULL DEFAULT 0,        -- requests
    writes         bigint  NOT NULL DEFAULT 0,
    deletes        bigint  NOT NULL DEFAULT 0,
    received       bigint  NOT NULL DEFAULT 0,        -- bytes
    sent           bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, month, storage_class, writer)
) WITH (fillfactor = 50);                             -- those of this month change all the time: room for their next states on the same page

CREATE INDEX usage_unsorted ON usage (bucket) WHERE storage_class = '';

CREATE FUNCTION month_of(p_time bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_time timestamp := timestamp '1970-01-01' + p_time * interval '1 millisecond';
BEGIN
    RETURN date_part('year', v_time) * 12 + date_part('month', v_time) - 1;
END $$;

CREATE FUNCTION month_begin(p_month integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (make_date(p_month / 12, p_month % 12 + 1, 1) - date '1970-01-01') * 86400000::bigint;
END $$;

-- bucket_usage keeps what was there until now, which is of no class, and gets what functions from before still add that are under way. sort_usage says of which classes it is, and then it goes. It counts
-- from the begin of this month.
CREATE TABLE usage_since (month integer NOT NULL);

INSERT INTO usage_since VALUES (month_of((extract(epoch FROM clock_timestamp()) * 1000)::bigint));

-- p_class NULL is STANDARD.
CREATE FUNCTION count_usage(p_slot integer, p_bucket bigint, p_class text, p_time bigint, p_objects bigint, p_bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_month integer := month_of(p_time);
    v_moment numeric := p_bytes::numeric * (p_time - month_begin(v_month));
BEGIN
    INSERT INTO usage AS u (bucket, month, storage_class, writer, objects, bytes, moment) VALUES (p_bucket, v_month, coalesce(p_class, 'STANDARD'), p_slot, p_objects, p_bytes, v_moment)
    ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes, moment = u.moment + excluded.moment;
END $$;

-- What of a bucket is of no class yet, and what classes are to be added for it: what is there, less what was counted by class. One statement, which sees one state of everything.
CREATE FUNCTION unsorted_usage(p_bucket bigint, OUT objects bigint, OUT bytes bigint, OUT class text, OUT class_objects bigint, OUT class_bytes bigint) RETURNS SETOF record LANGUAGE sql STABLE AS $$
    WITH unsorted AS (
        SELECT sum(u.objects) AS objects, sum(u.bytes) AS bytes FROM (
            SELECT b.objects, b.bytes FROM bucket_usage b WHERE b.bucket = p_bucket
            UNION ALL SELECT s.objects, s.bytes FROM usage s WHERE s.bucket = p_bucket AND s.storage_class = '') u
        HAVING sum(u.objects) <> 0 OR sum(u.bytes) <> 0),
    held AS (
        SELECT o.storage_class, o.length FROM objects o WHERE o.bucket = p_bucket AND EXISTS (SELECT FROM unsorted)
        UNION ALL SELECT v.storage_class, v.length FROM versions v WHERE v.bucket = p_bucket AND v.flags & 2 = 0 AND EXISTS (SELECT FROM unsorted)),
    sorted AS (
        SELECT c.class, sum(c.objects) AS objects, sum(c.bytes) AS bytes FROM (
            SELECT coalesce(h.storage_class, 'STANDARD') AS class, 1::bigint AS objects, h.length AS bytes FROM held h
            UNION ALL SELECT s.storage_class, -s.objects, -s.bytes FROM usage s WHERE s.bucket = p_bucket AND s.storage_class <> '') c GROUP BY c.class)
    SELECT n.objects::bigint, n.bytes::bigint, s.class, coalesce(s.objects, 0)::bigint, coalesce(s.bytes, 0)::bigint
    FROM unsorted n LEFT JOIN sorted s ON s.objects <> 0 OR s.bytes <> 0 ORDER BY s.class;
$$;

-- Adds what unsorted_usage has found, if nobody did so since: rows are only added, so whatever was counted meanwhile stays right. Called again it finds what functions from before have added since. Where all is
-- sorted, and nobody is adding, what was of no class goes.
CREATE FUNCTION sort_usage(p_bucket bigint, p_objects bigint, p_bytes bigint, p_classes text[], p_class_objects bigint[], p_class_bytes bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_month integer;
    v_unsorted record;
BEGIN
    PERFORM lock_bucket(p_bucket);
    PERFORM pg_advisory_xact_lock(x'446B0004'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
    PERFORM 1 FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT coalesce(sum(u.objects), 0) AS objects, coalesce(sum(u.bytes), 0) AS bytes INTO v_unsorted FROM (
        SELECT objects, bytes FROM bucket_usage WHERE bucket = p_bucket UNION ALL SELECT objects, bytes FROM usage WHERE bucket = p_bucket AND storage_class = '') u;
    IF v_unsorted.objects <> p_objects OR v_unsorted.bytes <> p_bytes THEN RETURN; END IF;
    SELECT month INTO v_month FROM usage_since;
    INSERT INTO usage AS u (bucket, month, storage_class, writer, objects, bytes)
    SELECT p_bucket, v_month, s.class, -1, s.objects, s.bytes
    FROM (SELECT class, objects, bytes FROM unnest(p_classes, p_class_objects, p_class_bytes) AS c (class, objects, bytes) UNION ALL SELECT '', -p_objects, -p_bytes) s ORDER BY s.class COLLATE "C"
    ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes;
    -- Not those that somebody has just added to and not committed: they, and what makes up for them, stay for the next time.
    WITH quiet AS (SELECT slot, objects, bytes FROM bucket_usage WHERE bucket = p_bucket FOR UPDATE SKIP LOCKED)
    SELECT array_agg(slot) AS slots, count(*) = (SELECT count(*) FROM bucket_usage WHERE bucket = p_bucket) AS is_all, coalesce(sum(objects), 0) AS objects, coalesce(sum(bytes), 0) AS bytes INTO v_unsorted FROM quiet;
    IF v_unsorted.is_all AND (SELECT (coalesce(sum(objects), 0), coalesce(sum(bytes), 0)) = (-v_unsorted.objects, -v_unsorted.bytes) FROM usage WHERE bucket = p_bucket AND storage_class = '') THEN
        DELETE FROM bucket_usage WHERE bucket = p_bucket AND slot = ANY (v_unsorted.slots);
        DELETE FROM usage WHERE bucket = p_bucket AND storage_class = '';
    END IF;
END $$;

-- What was there is still to be paid when the bucket is gone.
CREATE FUNCTION leave_usage(p_bucket bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (DELETE FROM usage WHERE bucket = p_bucket RETURNING *)
    INSERT INTO usage AS u (bucket, month, storage_class, writer, objects, bytes, moment, reads, writes, deletes, received, sent)
    SELECT 0, month, storage_class, -1, sum(objects), sum(bytes), sum(moment), sum(reads), sum(writes), sum(deletes), sum(received), sum(sent) FROM gone GROUP BY month, storage_class ORDER BY month, storage_class
    ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes, moment = u.moment + excluded.moment,
        reads = u.reads + excluded.reads, writes = u.writes + excluded.writes, deletes = u.deletes + excluded.deletes, received = u.received + excluded.received, sent = u.sent + excluded.sent;
END $$;

-- Makes one row of those that all connections have of a month. One that somebody adds to meanwhile is left to the next time, or made anew by them; and so is a bucket that is being deleted, or changed.
CREATE FUNCTION fold_usage(p_before integer, p_max integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT bucket, month, storage_class, writer FROM usage WHERE month < p_before AND writer >= 0 ORDER BY bucket, month, storage_class, writer LIMIT p_max FOR UPDATE SKIP LOCKED),
    quiet AS MATERIALIZED (
        SELECT bucket FROM (SELECT DISTINCT bucket FROM old) b WHERE pg_try_advisory_xact_lock_shared(x'446B0001'::integer, (bucket & x'7FFFFFFF'::bigint)::integer)),
    gone AS (
        DELETE FROM usage u USING old o, quiet q WHERE q.bucket = o.bucket AND u.bucket = o.bucket AND u.month = o.month AND u.storage_class = o.storage_class AND u.writer = o.writer RETURNING u.*),
    folded AS (
        INSERT INTO usage AS u (bucket, month, storage_class, writer, objects, bytes, moment)
        SELECT bucket, month, storage_class, -1, sum(objects), sum(bytes), sum(moment) FROM gone GROUP BY bucket, month, storage_class ORDER BY bucket, month, storage_class
        ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes, moment = u.moment + excluded.moment)
    SELECT count(*) INTO v_gone FROM gone;
    RETURN v_gone;
END $$;

-- As before, but that usage is counted by class.
CREATE OR REPLACE FUNCTION save_object(
    p_slot integer, p_lock integer, p_bucket bigint, p_bucket_revision bigint, p_key bytea, p_expected bigint, p_upload uuid,
    p_revision bigint, p_version uuid, p_modified bigint, p_length bigint, p_etag text, p_flags integer, p_storage_class text, p_owner text,
    p_change bigint, p_blobs uuid[], p_detail bytea, p_content bytea, p_targets text[], p_documents bytea[], p_checksums bigint[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_nothing text;
    v_bucket_revision bigint;
    v_top bigint;                      -- of all versions, and
    v_top_version uuid;
    v_revision bigint;                 -- of the current one, if there is one
    v_flags integer;
    v_length bigint;
    v_blobs uuid[];
    v_class text;
    v_gone_flags integer;              -- of the null version that goes
    v_gone_length bigint;
    v_gone_class text;
    v_gone_blobs uuid[];
    v_outcome text;
    v_objects bigint := 1 - (p_flags >> 1 & 1);
    v_bytes bigint := p_length;
BEGIN
    v_nothing := pg_advisory_xact_lock_shared(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
    v_nothing := pg_advisory_xact_lock(x'446B0002'::integer, p_lock);
    SELECT b.revision, o.revision, o.flags, o.length, o.blobs, o.storage_class, coalesce(o.revision, t.revision), coalesce(o.version, t.version)
    INTO v_bucket_revision, v_revision, v_flags, v_length, v_blobs, v_class, v_top, v_top_version
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
            v_gone_class := v_class;
        ELSE
            DELETE FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0 RETURNING flags, length, blobs, storage_class INTO v_gone_flags, v_gone_length, v_gone_blobs, v_gone_class;
        END IF;
        IF v_gone_flags IS NOT NULL THEN
            IF cardinality(v_gone_blobs) > 0 THEN PERFORM free_blobs(v_gone_blobs, p_modified); END IF;
            IF v_gone_class IS NOT DISTINCT FROM p_storage_class THEN
                v_objects := v_objects - (1 - (v_gone_flags >> 1 & 1));
                v_bytes := v_bytes - v_gone_length;
            ELSIF v_gone_flags & 2 = 0 THEN
                v_nothing := count_usage(p_slot, p_bucket, v_gone_class, p_modified, -1, -v_gone_length);
            END IF;
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
    IF v_objects <> 0 OR v_bytes <> 0 THEN v_nothing := count_usage(p_slot, p_bucket, p_storage_class, p_modified, v_objects, v_bytes); END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_modified, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

CREATE OR REPLACE FUNCTION update_version(
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
    SELECT revision, change, length, storage_class, blobs INTO v_held FROM objects
    WHERE bucket = p_bucket AND key = p_key AND CASE WHEN p_name IS NULL THEN flags & 1 <> 0 ELSE version = p_name AND flags & 1 = 0 END;
    IF NOT FOUND THEN
        v_is_current := false;
        IF p_name IS NULL THEN
            SELECT revision, change, length, storage_class, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0;
        ELSE
            SELECT revision, change, length, storage_class, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND version = p_name AND flags & 1 = 0;
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
    IF v_held.storage_class IS NOT DISTINCT FROM p_storage_class THEN
        IF p_length <> v_held.length THEN PERFORM count_usage(p_slot, p_bucket, p_storage_class, p_now, 0, p_length - v_held.length); END IF;
    ELSIF p_flags & 2 = 0 THEN
        PERFORM count_usage(p_slot, p_bucket, v_held.storage_class, p_now, -1, -v_held.length);
        PERFORM count_usage(p_slot, p_bucket, p_storage_class, p_now, 1, p_length);
    END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_now, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

CREATE OR REPLACE FUNCTION remove_version(
    p_slot integer, p_lock integer, p_bucket bigint, p_bucket_revision bigint, p_key bytea, p_name uuid, p_revision bigint, p_change bigint, p_latest boolean, p_now bigint,
    p_targets text[], p_documents bytea[], p_checksums bigint[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_bucket_revision bigint;
    v_held record;
    v_is_current boolean := true;
    v_current bigint;
    v_newest record;
BEGIN
    PERFORM lock_bucket(p_bucket);
    PERFORM lock_key(p_lock);
    SELECT revision INTO v_bucket_revision FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    IF v_bucket_revision <> p_bucket_revision THEN RETURN 'BucketChanged'; END IF;
    SELECT revision, change, flags, length, storage_class, blobs INTO v_held FROM objects
    WHERE bucket = p_bucket AND key = p_key AND CASE WHEN p_name IS NULL THEN flags & 1 <> 0 ELSE version = p_name AND flags & 1 = 0 END;
    IF NOT FOUND THEN
        v_is_current := false;
        IF p_name IS NULL THEN
            SELECT revision, change, flags, length, storage_class, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0;
        ELSE
            SELECT revision, change, flags, length, storage_class, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND version = p_name AND flags & 1 = 0;
        END IF;
        IF NOT FOUND THEN RETURN 'Absent'; END IF;
    END IF;
    IF v_held.revision <> p_revision OR v_held.change <> p_change THEN RETURN 'Conflict'; END IF;
    IF p_latest IS NOT NULL THEN
        SELECT revision INTO v_current FROM objects WHERE bucket = p_bucket AND key = p_key;
        IF v_current IS NULL THEN
            SELECT revision INTO v_current FROM versions WHERE bucket = p_bucket AND key = p_key ORDER BY revision DESC LIMIT 1;
        END IF;
        IF p_latest <> (v_current = p_revision) THEN RETURN 'Conflict'; END IF;
    END IF;

    IF cardinality(v_held.blobs) > 0 THEN PERFORM free_blobs(v_held.blobs, p_now); END IF;
    IF v_is_current THEN DELETE FROM objects WHERE bucket = p_bucket AND key = p_key;
    ELSE DELETE FROM versions WHERE bucket = p_bucket AND key = p_key AND revision = p_revision;
    END IF;
    -- The newest that is left comes up, unless it is a delete marker.
    PERFORM 1 FROM objects WHERE bucket = p_bucket AND key = p_key;
    IF NOT FOUND THEN
        SELECT revision, flags INTO v_newest FROM versions WHERE bucket = p_bucket AND key = p_key ORDER BY revision DESC LIMIT 1;
        IF FOUND AND v_newest.flags & 2 = 0 THEN
            INSERT INTO objects SELECT * FROM versions WHERE bucket = p_bucket AND key = p_key AND revision = v_newest.revision;
            DELETE FROM versions WHERE bucket = p_bucket AND key = p_key AND revision = v_newest.revision;
        END IF;
    END IF;
    IF v_held.flags & 2 = 0 THEN PERFORM count_usage(p_slot, p_bucket, v_held.storage_class, p_now, -1, -v_held.length); END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_now, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

-- As before, but that usage stays, as that of the bucket 0.
CREATE OR REPLACE FUNCTION delete_bucket(p_bucket bigint, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
    v_upload uuid;
BEGIN
    PERFORM lock_bucket_alone(p_bucket);
    SELECT name INTO v_name FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    PERFORM 1 FROM objects WHERE bucket = p_bucket LIMIT 1;
    IF FOUND THEN RETURN 'BucketNotEmpty'; END IF;
    PERFORM 1 FROM versions WHERE bucket = p_bucket LIMIT 1;
    IF FOUND THEN RETURN 'BucketNotEmpty'; END IF;
    FOR v_upload IN SELECT upload FROM uploads WHERE bucket = p_bucket ORDER BY upload LOOP
        PERFORM end_upload(v_upload, '{}', p_now);
    END LOOP;
    DELETE FROM bucket_settings WHERE bucket = p_bucket;
    -- Empty, and nobody changes it: what was of no class is what is missing to nothing in each.
    INSERT INTO usage AS u (bucket, month, storage_class, writer, objects, bytes)
    SELECT p_bucket, n.month, c.storage_class, -1, -c.objects, -c.bytes
    FROM (SELECT storage_class, sum(objects) AS objects, sum(bytes) AS bytes FROM usage WHERE bucket = p_bucket GROUP BY storage_class) c CROSS JOIN usage_since n WHERE c.objects <> 0 OR c.bytes <> 0 ORDER BY c.storage_class
    ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes;
    DELETE FROM bucket_usage WHERE bucket = p_bucket;
    DELETE FROM usage WHERE bucket = p_bucket AND storage_class = '';
    PERFORM leave_usage(p_bucket);
    DELETE FROM buckets WHERE id = p_bucket;
    PERFORM pg_notify('darkstorage_bucket', v_name);
    RETURN '';
END $$;
