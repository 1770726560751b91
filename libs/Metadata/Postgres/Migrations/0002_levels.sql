-- How new each node's program is: the number of the newest script here that it knows. Programs from before this one do not say, and are of level 1.
-- They go on working with what this leaves, so that a cluster is upgraded node by node, until something is stored that they would not understand: see use_level.
UPDATE format SET readable_from = 1;

ALTER TABLE nodes ADD COLUMN level integer NOT NULL DEFAULT 1;

-- Says who is in the way: '' where nobody is, else 'alone NAME', 'name NAME', or 'level NUMBER' where the cluster keeps what takes a newer program. A node may change its name, its zone, its address and its level.
CREATE FUNCTION join_node(p_store uuid, p_name text, p_zone text, p_address text, p_weight integer, p_now bigint, p_level integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_other text;
    v_needed integer;
BEGIN
    LOCK TABLE nodes IN EXCLUSIVE MODE;
    SELECT readable_from INTO v_needed FROM format;
    IF p_level < v_needed THEN RETURN 'level ' || v_needed; END IF;
    SELECT name INTO v_other FROM nodes WHERE store <> p_store AND (p_address IS NULL OR address IS NULL) LIMIT 1;
    IF FOUND THEN RETURN 'alone ' || v_other; END IF;
    SELECT name INTO v_other FROM nodes WHERE store <> p_store AND name = p_name;
    IF FOUND THEN RETURN 'name ' || v_other; END IF;
    INSERT INTO nodes (store, name, zone, address, weight, joined, level) VALUES (p_store, p_name, p_zone, p_address, p_weight, p_now, p_level)
    ON CONFLICT (store) DO UPDATE SET name = excluded.name, zone = excluded.zone, address = excluded.address, weight = excluded.weight, level = excluded.level;
    PERFORM pg_notify('darkstorage_document', 'nodes');
    RETURN '';
END $$;

-- What programs of level 1 call: also a node that went back to one.
CREATE OR REPLACE FUNCTION join_node(p_store uuid, p_name text, p_zone text, p_address text, p_weight integer, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN join_node(p_store, p_name, p_zone, p_address, p_weight, p_now, 1);
END $$;

-- Before something is stored that takes a program of a level: from here on older ones are refused, at their start and when they join. Says which nodes are in the way, and nothing is changed: '' where none is.
CREATE FUNCTION use_level(p_level integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_older text;
BEGIN
    LOCK TABLE nodes IN EXCLUSIVE MODE;
    SELECT string_agg(name, ', ' ORDER BY name) INTO v_older FROM nodes WHERE level < p_level;
    IF v_older IS NOT NULL THEN RETURN v_older; END IF;
    UPDATE format SET readable_from = p_level WHERE readable_from < p_level;
    RETURN '';
END $$;
