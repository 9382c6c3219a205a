-- The demo shop's tables, owned by the role pipectl. As superuser, after 1_replication_role.sql:
--   psql -d shop -f sql/postgres/setup/2_shop.sql
-- `pipectl seed --create` makes the same tables; what is there already is left as it is.
\set ON_ERROR_STOP on
SELECT to_regclass('public.orders') IS NULL AS missing \gset
\if :missing
    SET ROLE pipectl;
    \ir ../shop/create.sql
    RESET ROLE;
\endif
