-- Statements whose work grew with more than what they are asked for. Signatures are as they were, and so is what is said: programs from before go on with this.
UPDATE format SET readable_from = 1;

-- As before; each part was compared with all that are kept, twice. By set operations, and not by a join: of an array the planner does not know the length, and may go through it for each row.
CREATE OR REPLACE FUNCTION end_upload(p_upload uuid, p_keep uuid[], p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM uploads WHERE upload = p_upload FOR UPDATE;
    IF NOT FOUND THEN RETURN 'NoSuchUpload'; END IF;
    PERFORM 1 FROM (SELECT unnest(p_keep) EXCEPT SELECT blob FROM parts WHERE upload = p_upload) AS missing LIMIT 1;
    IF FOUND THEN RETURN 'InvalidPart'; END IF;
    UPDATE blobs b SET freed = p_now
    FROM (SELECT blob FROM parts WHERE upload = p_upload EXCEPT SELECT unnest(p_keep)) AS gone (blob) WHERE b.blob = gone.blob;
    DELETE FROM parts WHERE upload = p_upload;
    DELETE FROM uploads WHERE upload = p_upload;
    RETURN '';
END $$;

-- As before, but that versions of the key that a page or a window goes on in are sought past: v_from is never below v_amid, so what is not it is behind it. "Not it" was read and thrown away.
CREATE OR REPLACE FUNCTION list_versions(p_bucket bigint, p_start bytea, p_excluded bytea, p_behind bigint, p_prefix bytea, p_delimiter bytea, p_max integer)
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
             WHERE v.bucket = p_bucket AND v.key >= v_from AND v.key < v_end AND v.key > v_amid ORDER BY v.key, v.revision DESC LIMIT v_window)
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

-- The same, of the uploads of one key.
CREATE OR REPLACE FUNCTION list_uploads(p_bucket bigint, p_start bytea, p_excluded bytea, p_after uuid, p_prefix bytea, p_delimiter bytea, p_max integer)
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
            WHERE u.bucket = p_bucket AND u.key >= v_from AND u.key < v_end AND (u.key, u.upload) > (p_excluded, coalesce(p_after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
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
