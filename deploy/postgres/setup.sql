-- Makes the role and the database of a cluster's index, in PostgreSQL 14 or newer. To be run by a superuser with psql, as often as one likes:
--   psql -U postgres -d postgres -v password_file=/path/to/password -f setup.sql
-- Variables: role and database (darkstorage), connections (200: what the role may have at once), password_file (a file with the password; without it the role's password stays as it is,
-- and a role that has none logs in by a certificate, peer or what else pg_hba.conf says).
\set ON_ERROR_STOP on
\if :{?role} \else \set role darkstorage \endif
\if :{?database} \else \set database darkstorage \endif
\if :{?connections} \else \set connections 200 \endif

SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT :connections;

\if :{?password_file}
    -- The statement holds the password: it must reach no log of the server.
    SET log_statement = 'none';
    SET log_min_duration_statement = -1;
    SET log_min_error_statement = 'panic';
    SET password_encryption = 'scram-sha-256';
    \set password `tr -d '\r\n' < :'password_file'`
    ALTER ROLE :"role" PASSWORD :'password';
    \unset password
    RESET log_statement;
    RESET log_min_duration_statement;
    RESET log_min_error_statement;
\endif

SELECT format('CREATE DATABASE %I ENCODING ''UTF8'' LOCALE ''C'' TEMPLATE template0', :'database') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

-- The role makes and owns the schemas darkstorage and darkstorage_engine; the database is not its own, and nobody else has any business in it.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE :"database" TO :"role";

-- A node that vanished leaves no session behind that holds locks: its connections are found out within half a minute.
ALTER ROLE :"role" IN DATABASE :"database" SET tcp_keepalives_idle = 10;
ALTER ROLE :"role" IN DATABASE :"database" SET tcp_keepalives_interval = 5;
ALTER ROLE :"role" IN DATABASE :"database" SET tcp_keepalives_count = 3;
ALTER ROLE :"role" IN DATABASE :"database" SET tcp_user_timeout = 25000;
-- Nodes bound their statements themselves (Postgres:Timeout), and the one that listens idles: a bound for either would end a migration, or that one, again and again.
ALTER ROLE :"role" IN DATABASE :"database" SET statement_timeout = 0;
ALTER ROLE :"role" IN DATABASE :"database" SET idle_session_timeout = 0;
-- 'on' is the least that nodes take: with a synchronous standby it means both machines. Nodes turn 'off' and 'local' into it.
ALTER ROLE :"role" IN DATABASE :"database" SET synchronous_commit = 'on';

\connect :"database"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
