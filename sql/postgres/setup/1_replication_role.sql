-- The role that pipectl logs in with: LOGIN and REPLICATION, no superuser, owner of the database whose tables it follows. As superuser:
--   PIPECTL_PASSWORD=… psql -d shop -f sql/postgres/setup/1_replication_role.sql
-- The image of Postgres runs this once, when its data is made (docker-compose.yml).
\set ON_ERROR_STOP on
\getenv password PIPECTL_PASSWORD
\if :{?password}
\else
    DO $$ BEGIN RAISE EXCEPTION 'PIPECTL_PASSWORD is not set: it is the password of the new role'; END $$;
\endif

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pipectl') AS missing \gset
\if :missing
    CREATE ROLE pipectl;
\endif
ALTER ROLE pipectl LOGIN REPLICATION PASSWORD :'password';

-- As owner of the database it may make publications, and in Postgres 15 and later tables in the schema public.
SELECT format('ALTER DATABASE %I OWNER TO pipectl', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO pipectl;
