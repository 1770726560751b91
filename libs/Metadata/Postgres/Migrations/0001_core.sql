-- The relational model is that of Sqlite/Migrations, and so are the meanings of its columns. What differs, and why:
--   ids of blobs, versions and uploads are uuid (16 bytes, ordered as bytes);
--   a version's count of changes and its blobs, which stand in its detail, have columns too: the functions below decide on them without decoding it;
--   a bucket's usage has a row for each connection that writes, so that no two writers wait for one row.
-- Every change is one call of a function. A function locks, checks, and only then writes: what it refuses it says by name, with nothing written.
-- Locks are advisory and end with the transaction; 0x446B0001 and on are their classes: buckets (shared by all who change what is in one), keys, slots of usage.

CREATE TABLE cluster (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id        uuid    NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO cluster DEFAULT VALUES;

-- The nodes that joined, each by its store: the data folder whose bytes this index knows.
CREATE TABLE nodes (
    store    uuid   PRIMARY KEY,
    name     text   COLLATE "C" NOT NULL UNIQUE,
    zone     text   NOT NULL,
    address  text,                     -- where its peers find it; NULL is a node that stands alone
    weight   integer NOT NULL,         -- 0: it has no drive
    joined   bigint NOT NULL,
    seen     bigint NOT NULL DEFAULT 0,    -- the newest version of the layout that it works by
    moved    bigint NOT NULL DEFAULT 0     -- the newest version of which it has all that it should hold
);

-- What all nodes share and few change: the layout, the key ring, the root credentials. Whoever replaces one names the revision that was decided on.
CREATE TABLE documents (
    name      text   COLLATE "C" PRIMARY KEY,
    revision  bigint NOT NULL,
    content   bytea  NOT NULL
);

-- Work that one node at a time does. Times are this database's.
CREATE TABLE turns (
    work   text        COLLATE "C" PRIMARY KEY,
    store  uuid        NOT NULL,
    until  timestamptz NOT NULL
);

-- Replicas that lack something, until they were put right.
CREATE TABLE repairs (
    store   uuid    NOT NULL,
    blob    uuid    NOT NULL,
    reason  integer NOT NULL,
    due     bigint  NOT NULL,
    PRIMARY KEY (store, blob)
);

CREATE INDEX repairs_by_due ON repairs (store, due);

CREATE TABLE buckets (
    id          bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name        text    COLLATE "C" NOT NULL UNIQUE,
    owner       text    NOT NULL,
    region      text    NOT NULL,
    created     bigint  NOT NULL,
    versioning  integer NOT NULL,
    revision    bigint  NOT NULL DEFAULT 0
);

CREATE TABLE bucket_settings (
    bucket    bigint NOT NULL,
    kind      text   COLLATE "C" NOT NULL,
    id        text   COLLATE "C" NOT NULL,
    document  text   NOT NULL,
    PRIMARY KEY (bucket, kind, id)
);

CREATE TABLE bucket_usage (
    bucket   bigint  NOT NULL,
    slot     integer NOT NULL,
    objects  bigint  NOT NULL,
    bytes    bigint  NOT NULL,
    PRIMARY KEY (bucket, slot)
) WITH (fillfactor = 10);          -- its rows change all the time: room for their next states on the same page

CREATE TABLE objects (
    bucket         bigint  NOT NULL,
    key            bytea   NOT NULL,
    revision       bigint  NOT NULL,
    version        uuid    NOT NULL,
    modified       bigint  NOT NULL,
    length         bigint  NOT NULL,
    etag           text    NOT NULL,
    flags          integer NOT NULL,
    storage_class  text,
    owner          text    NOT NULL,
    change         bigint  NOT NULL,
    blobs          uuid[]  NOT NULL,
    detail         bytea   NOT NULL,
    content        bytea,
    PRIMARY KEY (bucket, key)
);

CREATE TABLE versions (LIKE objects);

CREATE UNIQUE INDEX versions_newest_first ON versions (bucket, key, revision DESC);

CREATE UNIQUE INDEX versions_by_id ON versions (bucket, key, version);

CREATE UNIQUE INDEX versions_null ON versions (bucket, key) WHERE flags & 1 <> 0;

-- Content is what clients send, often compressed already: trying to compress it again costs more than it wins.
ALTER TABLE objects ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE versions ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE uploads (
    upload  uuid   PRIMARY KEY,
    bucket  bigint NOT NULL,
    key     bytea  NOT NULL,
    detail  bytea  NOT NULL
);

CREATE INDEX uploads_by_key ON uploads (bucket, key, upload);

CREATE TABLE parts (
    upload    uuid    NOT NULL,
    number    integer NOT NULL,
    modified  bigint  NOT NULL,
    blob      uuid    NOT NULL,
    detail    bytea   NOT NULL,
    PRIMARY KEY (upload, number)
);

CREATE TABLE blobs (
    blob   uuid PRIMARY KEY,
    freed  bigint
);

CREATE INDEX blobs_by_freed ON blobs (freed) WHERE freed IS NOT NULL;

CREATE TABLE events (
    sequence  bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    target    text    COLLATE "C" NOT NULL,
    bucket    bigint  NOT NULL,
    key       bytea   NOT NULL,
    occurred  bigint  NOT NULL,
    document  bytea   NOT NULL,
    checksum  bigint  NOT NULL,
    ended     bigint,
    outcome   integer
);

CREATE INDEX events_waiting ON events (target, sequence) WHERE ended IS NULL;

CREATE INDEX events_ended ON events (target, ended, outcome);

CREATE TABLE grain_state (
    name   text   COLLATE "C" NOT NULL,
    grain  text   COLLATE "C" NOT NULL,
    etag   bigint NOT NULL,
    state  bytea  NOT NULL,
    PRIMARY KEY (name, grain)
);

CREATE TABLE reminders (
    grain   text   COLLATE "C" NOT NULL,
    name    text   COLLATE "C" NOT NULL,
    hash    bigint NOT NULL,
    start   bigint NOT NULL,
    period  bigint NOT NULL,
    etag    bigint NOT NULL,
    PRIMARY KEY (grain, name)
);

CREATE INDEX reminders_by_hash ON reminders (hash);

-- Says who is in the way: '' where nobody is, else 'alone NAME' or 'name NAME'. A node may change its name, its zone and its address.
CREATE FUNCTION join_node(p_store uuid, p_name text, p_zone text, p_address text, p_weight integer, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_other text;
BEGIN
    LOCK TABLE nodes IN EXCLUSIVE MODE;
    SELECT name INTO v_other FROM nodes WHERE store <> p_store AND (p_address IS NULL OR address IS NULL) LIMIT 1;
    IF FOUND THEN RETURN 'alone ' || v_other; END IF;
    SELECT name INTO v_other FROM nodes WHERE store <> p_store AND name = p_name;
    IF FOUND THEN RETURN 'name ' || v_other; END IF;
    INSERT INTO nodes (store, name, zone, address, weight, joined) VALUES (p_store, p_name, p_zone, p_address, p_weight, p_now)
    ON CONFLICT (store) DO UPDATE SET name = excluded.name, zone = excluded.zone, address = excluded.address, weight = excluded.weight;
    PERFORM pg_notify('darkstorage_document', 'nodes');
    RETURN '';
END $$;

-- p_revision 0: there is none yet.
CREATE FUNCTION replace_document(p_name text, p_content bytea, p_revision bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_revision = 0 THEN INSERT INTO documents (name, revision, content) VALUES (p_name, 1, p_content) ON CONFLICT (name) DO NOTHING;
    ELSE UPDATE documents SET revision = revision + 1, content = p_content WHERE name = p_name AND revision = p_revision;
    END IF;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM pg_notify('darkstorage_document', p_name);
    RETURN true;
END $$;

CREATE FUNCTION take_turn(p_work text, p_store uuid, p_milliseconds bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO turns AS t (work, store, until) VALUES (p_work, p_store, clock_timestamp() + p_milliseconds * interval '1 millisecond')
    ON CONFLICT (work) DO UPDATE SET store = excluded.store, until = excluded.until WHERE t.store = excluded.store OR t.until < clock_timestamp();
    RETURN FOUND;
END $$;

-- A number that no other connection has for as long as this one lasts: its row of each bucket's usage.
CREATE FUNCTION take_slot() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR slot IN 0..99999 LOOP
        IF pg_try_advisory_lock(x'446B0003'::integer, slot) THEN RETURN slot; END IF;
    END LOOP;
    RAISE EXCEPTION 'every slot of usage is taken';
END $$;

-- To be called first: whoever holds this and finds the bucket's row can count on it until the transaction ends.
CREATE FUNCTION lock_bucket(p_bucket bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
$$;

-- Waits for all who change what is in the bucket, and keeps new ones out. To be called first, too.
CREATE FUNCTION lock_bucket_alone(p_bucket bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(x'446B0001'::integer, (p_bucket & x'7FFFFFFF'::bigint)::integer);
$$;

CREATE FUNCTION lock_key(p_lock integer) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(x'446B0002'::integer, p_lock);
$$;

CREATE FUNCTION count_usage(p_slot integer, p_bucket bigint, p_objects bigint, p_bytes bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO bucket_usage AS u (bucket, slot, objects, bytes) VALUES (p_bucket, p_slot, p_objects, p_bytes)
    ON CONFLICT (bucket, slot) DO UPDATE SET objects = u.objects + excluded.objects, bytes = u.bytes + excluded.bytes;
$$;

CREATE FUNCTION free_blobs(p_blobs uuid[], p_now bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE blobs SET freed = p_now WHERE blob = ANY (p_blobs);
$$;

CREATE FUNCTION add_events(p_bucket bigint, p_key bytea, p_occurred bigint, p_targets text[], p_documents bytea[], p_checksums bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO events (target, bucket, key, occurred, document, checksum)
    SELECT e.target, p_bucket, p_key, p_occurred, e.document, e.checksum
    FROM unnest(p_targets, p_documents, p_checksums) WITH ORDINALITY AS e (target, document, checksum, place) ORDER BY e.place;
$$;

-- Ends an upload: its parts go, and the blobs of those that are not kept are freed. The row's lock keeps parts from coming meanwhile.
CREATE FUNCTION end_upload(p_upload uuid, p_keep uuid[], p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM uploads WHERE upload = p_upload FOR UPDATE;
    IF NOT FOUND THEN RETURN 'NoSuchUpload'; END IF;
    IF (SELECT count(*) FROM parts WHERE upload = p_upload AND blob = ANY (p_keep)) <> cardinality(p_keep) THEN RETURN 'InvalidPart'; END IF;
    UPDATE blobs b SET freed = p_now FROM parts p WHERE p.upload = p_upload AND NOT p.blob = ANY (p_keep) AND b.blob = p.blob;
    DELETE FROM parts WHERE upload = p_upload;
    DELETE FROM uploads WHERE upload = p_upload;
    RETURN '';
END $$;

CREATE FUNCTION save_object(
    p_slot integer, p_lock integer, p_bucket bigint, p_bucket_revision bigint, p_key bytea, p_expected bigint, p_upload uuid,
    p_revision bigint, p_version uuid, p_modified bigint, p_length bigint, p_etag text, p_flags integer, p_storage_class text, p_owner text,
    p_change bigint, p_blobs uuid[], p_detail bytea, p_content bytea, p_targets text[], p_documents bytea[], p_checksums bigint[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_bucket_revision bigint;
    v_top bigint;
    v_current record;
    v_replaced record;
    v_outcome text;
    v_objects bigint := 1 - (p_flags >> 1 & 1);
    v_bytes bigint := p_length;
BEGIN
    PERFORM lock_bucket(p_bucket);
    PERFORM lock_key(p_lock);
    SELECT revision INTO v_bucket_revision FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    IF v_bucket_revision <> p_bucket_revision THEN RETURN 'BucketChanged'; END IF;
    SELECT revision, flags, length, blobs INTO v_current FROM objects WHERE bucket = p_bucket AND key = p_key;
    v_top := v_current.revision;
    IF v_top IS NULL THEN
        SELECT revision INTO v_top FROM versions WHERE bucket = p_bucket AND key = p_key ORDER BY revision DESC LIMIT 1;
    END IF;
    IF coalesce(v_top, 0) <> p_expected THEN RETURN 'Conflict'; END IF;

    IF p_upload IS NOT NULL THEN
        v_outcome := end_upload(p_upload, p_blobs, p_modified);
        IF v_outcome <> '' THEN RETURN v_outcome; END IF;
    ELSIF cardinality(p_blobs) > 0 THEN
        INSERT INTO blobs (blob) SELECT unnest(p_blobs);
    END IF;

    IF p_flags & 1 <> 0 THEN
        -- The null version there may be goes, wherever it is.
        IF v_current.flags & 1 <> 0 THEN
            v_replaced := v_current;
        ELSE
            DELETE FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0 RETURNING revision, flags, length, blobs INTO v_replaced;
        END IF;
        IF v_replaced.revision IS NOT NULL THEN
            IF cardinality(v_replaced.blobs) > 0 THEN PERFORM free_blobs(v_replaced.blobs, p_modified); END IF;
            v_objects := v_objects - (1 - (v_replaced.flags >> 1 & 1));
            v_bytes := v_bytes - v_replaced.length;
        END IF;
    END IF;

    IF v_current.revision IS NOT NULL AND p_flags & v_current.flags & 1 <> 0 AND p_flags & 2 = 0 THEN
        UPDATE objects SET revision = p_revision, version = p_version, modified = p_modified, length = p_length, etag = p_etag, flags = p_flags,
            storage_class = p_storage_class, owner = p_owner, change = p_change, blobs = p_blobs, detail = p_detail, content = p_content
        WHERE bucket = p_bucket AND key = p_key;
    ELSE
        IF v_current.revision IS NOT NULL THEN
            IF p_flags & v_current.flags & 1 = 0 THEN
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
    IF v_objects <> 0 OR v_bytes <> 0 THEN PERFORM count_usage(p_slot, p_bucket, v_objects, v_bytes); END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_modified, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

-- p_name NULL is the null version.
CREATE FUNCTION update_version(
    p_slot integer, p_lock integer, p_bucket bigint, p_key bytea, p_name uuid, p_now bigint,
    p_revision bigint, p_version uuid, p_modified bigint, p_length bigint, p_etag text, p_flags integer, p_storage_class text, p_owner text,
    p_change bigint, p_blobs uuid[], p_detail bytea, p_content bytea, p_targets text[], p_documents bytea[], p_checksums bigint[])
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

    IF v_held.blobs <> p_blobs THEN
        PERFORM free_blobs(ARRAY (SELECT unnest(v_held.blobs) EXCEPT SELECT unnest(p_blobs)), p_now);
        INSERT INTO blobs (blob) SELECT unnest(p_blobs) EXCEPT SELECT unnest(v_held.blobs);
    END IF;
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

-- p_name NULL is the null version; p_latest NULL does not ask whether it is on top.
CREATE FUNCTION remove_version(
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
    SELECT revision, change, flags, length, blobs INTO v_held FROM objects
    WHERE bucket = p_bucket AND key = p_key AND CASE WHEN p_name IS NULL THEN flags & 1 <> 0 ELSE version = p_name AND flags & 1 = 0 END;
    IF NOT FOUND THEN
        v_is_current := false;
        IF p_name IS NULL THEN
            SELECT revision, change, flags, length, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND flags & 1 <> 0;
        ELSE
            SELECT revision, change, flags, length, blobs INTO v_held FROM versions WHERE bucket = p_bucket AND key = p_key AND version = p_name AND flags & 1 = 0;
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
    IF v_held.flags & 2 = 0 THEN PERFORM count_usage(p_slot, p_bucket, -1, -v_held.length); END IF;
    IF cardinality(p_targets) > 0 THEN PERFORM add_events(p_bucket, p_key, p_now, p_targets, p_documents, p_checksums); END IF;
    RETURN '';
END $$;

CREATE FUNCTION create_bucket(p_name text, p_owner text, p_region text, p_created bigint, p_versioning integer, p_kinds text[], p_ids text[], p_documents text[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO buckets (name, owner, region, created, versioning) VALUES (p_name, p_owner, p_region, p_created, p_versioning)
    ON CONFLICT (name) DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN RETURN NULL; END IF;
    INSERT INTO bucket_settings (bucket, kind, id, document) SELECT v_id, s.kind, s.id, s.document FROM unnest(p_kinds, p_ids, p_documents) AS s (kind, id, document);
    RETURN v_id;
END $$;

-- p_versioning NULL leaves it; p_kind NULL leaves the settings; p_document NULL takes the setting away.
CREATE FUNCTION update_bucket(p_bucket bigint, p_expected bigint, p_versioning integer, p_kind text, p_id text, p_document text, p_with_id_max bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_bucket record;
BEGIN
    -- Whoever is amid a change of an object decided on the settings as they were: it ends first, or finds the new revision.
    PERFORM lock_bucket_alone(p_bucket);
    SELECT name, revision INTO v_bucket FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    IF v_bucket.revision <> p_expected THEN RETURN 'Conflict'; END IF;
    IF p_document IS NOT NULL AND p_id <> '' AND (SELECT count(*) FROM bucket_settings WHERE bucket = p_bucket AND kind = p_kind AND id <> p_id) >= p_with_id_max
        THEN RETURN 'TooManySettings'; END IF;
    UPDATE buckets SET revision = revision + 1, versioning = coalesce(p_versioning, versioning) WHERE id = p_bucket;
    IF p_kind IS NOT NULL THEN
        DELETE FROM bucket_settings WHERE bucket = p_bucket AND kind = p_kind AND id = p_id;
        IF p_document IS NOT NULL THEN INSERT INTO bucket_settings (bucket, kind, id, document) VALUES (p_bucket, p_kind, p_id, p_document); END IF;
    END IF;
    PERFORM pg_notify('darkstorage_bucket', v_bucket.name);
    RETURN '';
END $$;

CREATE FUNCTION delete_bucket(p_bucket bigint, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
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
    DELETE FROM bucket_usage WHERE bucket = p_bucket;
    DELETE FROM buckets WHERE id = p_bucket;
    PERFORM pg_notify('darkstorage_bucket', v_name);
    RETURN '';
END $$;

CREATE FUNCTION begin_upload(p_upload uuid, p_bucket bigint, p_key bytea, p_detail bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_bucket(p_bucket);
    PERFORM 1 FROM buckets WHERE id = p_bucket;
    IF NOT FOUND THEN RETURN 'NoSuchBucket'; END IF;
    INSERT INTO uploads (upload, bucket, key, detail) VALUES (p_upload, p_bucket, p_key, p_detail);
    RETURN '';
END $$;

CREATE FUNCTION save_part(p_upload uuid, p_number integer, p_modified bigint, p_blob uuid, p_detail bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM uploads WHERE upload = p_upload FOR UPDATE;
    IF NOT FOUND THEN RETURN 'NoSuchUpload'; END IF;
    INSERT INTO blobs (blob) VALUES (p_blob);
    UPDATE blobs b SET freed = p_modified FROM parts p WHERE p.upload = p_upload AND p.number = p_number AND b.blob = p.blob;
    INSERT INTO parts (upload, number, modified, blob, detail) VALUES (p_upload, p_number, p_modified, p_blob, p_detail)
    ON CONFLICT (upload, number) DO UPDATE SET modified = excluded.modified, blob = excluded.blob, detail = excluded.detail;
    RETURN '';
END $$;

-- The least text that is greater than all that begin with this one. Keys are UTF-8, which has no byte 0xFF.
CREATE FUNCTION behind(p_prefix bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT set_byte(p_prefix, length(p_prefix) - 1, get_byte(p_prefix, length(p_prefix) - 1) + 1);
$$;

-- One page, in one state of the bucket: STABLE, so every query in it sees what the call sees. Where a key folds into a prefix the walk goes on behind that
-- prefix with one seek. One entry more than the page holds says that there is more; its columns mean nothing.
CREATE FUNCTION list_objects(p_bucket bigint, p_start bytea, p_excluded bytea, p_prefix bytea, p_delimiter bytea, p_max integer)
RETURNS TABLE (key bytea, is_prefix boolean, length bigint, modified bigint, etag text, flags integer, storage_class text)
LANGUAGE plpgsql STABLE ROWS 1000 AS $$
DECLARE
    v_from bytea := p_start;
    v_end bytea := CASE WHEN length(p_prefix) > 0 THEN behind(p_prefix) ELSE '\xff' END;
    v_count integer := 0;
    v_at integer;
    v_sought boolean;
BEGIN
    is_prefix := false;
    LOOP
        v_sought := false;
        FOR key, length, modified, etag, flags, storage_class IN
            SELECT o.key, o.length, o.modified, o.etag, o.flags, o.storage_class FROM objects o
            WHERE o.bucket = p_bucket AND o.key >= v_from AND o.key < v_end AND o.key <> p_excluded
            ORDER BY o.key LIMIT p_max + 1 - v_count
        LOOP
            v_count := v_count + 1;
            v_at := CASE WHEN p_delimiter IS NULL THEN 0 ELSE position(p_delimiter IN substring(key FROM length(p_prefix) + 1)) END;
            IF v_at > 0 THEN
                key := substring(key FROM 1 FOR length(p_prefix) + v_at - 1 + length(p_delimiter));
                is_prefix := true;
                RETURN NEXT;
                is_prefix := false;
                v_from := behind(key);
                v_sought := true;
                EXIT;
            END IF;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN NOT v_sought OR v_count > p_max;
    END LOOP;
END $$;

-- As list_objects, over both tables. p_behind is not NULL where versions of the excluded key, older than that revision, belong to the page. Two tables are read by
-- windows, each sorted as a whole: small ones where a fold may throw the rest of one away.
CREATE FUNCTION list_versions(p_bucket bigint, p_start bytea, p_excluded bytea, p_behind bigint, p_prefix bytea, p_delimiter bytea, p_max integer)
RETURNS TABLE (key bytea, is_prefix boolean, length bigint, modified bigint, etag text, flags integer, storage_class text, version uuid, revision bigint, owner text, is_latest boolean)
LANGUAGE plpgsql STABLE ROWS 1000 AS $$
DECLARE
    c_small constant integer := 16;
    v_from bytea := p_start;
    v_end bytea := CASE WHEN length(p_prefix) > 0 THEN behind(p_prefix) ELSE '\xff' END;
    v_amid bytea := p_excluded;        -- of this key what is older than v_amid_behind is still to come
    v_amid_behind bigint := p_behind;
    v_window integer := CASE WHEN p_delimiter IS NULL THEN p_max + 1 ELSE least(c_small, p_max + 1) END;
    v_read integer;
    v_count integer := 0;
    v_at integer;
    v_sought boolean;
    v_seen bytea;
    v_top bigint;
BEGIN
    is_prefix := false;
    IF p_behind IS NOT NULL THEN
        SELECT o.revision INTO v_top FROM objects o WHERE o.bucket = p_bucket AND o.key = p_excluded;
        IF v_top IS NULL THEN
            SELECT v.revision INTO v_top FROM versions v WHERE v.bucket = p_bucket AND v.key = p_excluded ORDER BY v.revision DESC LIMIT 1;
        END IF;
        v_seen := p_excluded;
    END IF;
    LOOP
        v_sought := false;
        v_read := 0;
        FOR key, length, modified, etag, flags, storage_class, version, revision, owner IN
            (SELECT o.key, o.length, o.modified, o.etag, o.flags, o.storage_class, o.version, o.revision, o.owner FROM objects o
             WHERE o.bucket = p_bucket AND o.key >= v_from AND o.key < v_end AND (o.key <> v_amid OR o.revision < v_amid_behind) ORDER BY o.key LIMIT v_window)
            UNION ALL
            (SELECT v.key, v.length, v.modified, v.etag, v.flags, v.storage_class, v.version, v.revision, v.owner FROM versions v
             WHERE v.bucket = p_bucket AND v.key = v_amid AND v.revision < v_amid_behind ORDER BY v.revision DESC LIMIT v_window)
            UNION ALL
            (SELECT v.key, v.length, v.modified, v.etag, v.flags, v.storage_class, v.version, v.revision, v.owner FROM versions v
             WHERE v.bucket = p_bucket AND v.key >= v_from AND v.key < v_end AND v.key <> v_amid ORDER BY v.key, v.revision DESC LIMIT v_window)
            ORDER BY 1, 8 DESC LIMIT v_window
        LOOP
            v_read := v_read + 1;
            v_count := v_count + 1;
            v_at := CASE WHEN p_delimiter IS NULL THEN 0 ELSE position(p_delimiter IN substring(key FROM length(p_prefix) + 1)) END;
            IF v_at > 0 THEN
                key := substring(key FROM 1 FOR length(p_prefix) + v_at - 1 + length(p_delimiter));
                is_prefix := true;
                RETURN NEXT;
                is_prefix := false;
                v_from := behind(key);
                v_amid := '';
                v_amid_behind := NULL;
                v_sought := true;
                EXIT;
            END IF;
            is_latest := CASE WHEN key = p_excluded THEN revision = v_top ELSE key IS DISTINCT FROM v_seen END;
            v_seen := key;
            RETURN NEXT;
            v_from := key;
            v_amid := key;
            v_amid_behind := revision;
        END LOOP;
        EXIT WHEN v_count > p_max OR (NOT v_sought AND v_read < v_window);
        v_window := least(CASE WHEN v_sought THEN c_small ELSE v_window * 4 END, p_max + 1 - v_count);
    END LOOP;
END $$;

-- As list_objects. p_after is not NULL where uploads of the excluded key that began later belong to the page.
CREATE FUNCTION list_uploads(p_bucket bigint, p_start bytea, p_excluded bytea, p_after uuid, p_prefix bytea, p_delimiter bytea, p_max integer)
RETURNS TABLE (key bytea, is_prefix boolean, upload uuid, detail bytea)
LANGUAGE plpgsql STABLE ROWS 1000 AS $$
DECLARE
    v_from bytea := p_start;
    v_end bytea := CASE WHEN length(p_prefix) > 0 THEN behind(p_prefix) ELSE '\xff' END;
    v_count integer := 0;
    v_at integer;
    v_sought boolean;
BEGIN
    is_prefix := false;
    LOOP
        v_sought := false;
        FOR key, upload, detail IN
            SELECT u.key, u.upload, u.detail FROM uploads u
            WHERE u.bucket = p_bucket AND u.key >= v_from AND u.key < v_end AND (u.key <> p_excluded OR u.upload > p_after)
            ORDER BY u.key, u.upload LIMIT p_max + 1 - v_count
        LOOP
            v_count := v_count + 1;
            v_at := CASE WHEN p_delimiter IS NULL THEN 0 ELSE position(p_delimiter IN substring(key FROM length(p_prefix) + 1)) END;
            IF v_at > 0 THEN
                key := substring(key FROM 1 FOR length(p_prefix) + v_at - 1 + length(p_delimiter));
                is_prefix := true;
                RETURN NEXT;
                is_prefix := false;
                v_from := behind(key);
                v_sought := true;
                EXIT;
            END IF;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN NOT v_sought OR v_count > p_max;
    END LOOP;
END $$;
