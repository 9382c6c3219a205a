-- Removes the table of records that were set aside; an error where it still holds some of another pipeline.
DROP TABLE IF EXISTS IF EMPTY {database:Identifier}.pipectl_dead_letters SYNC
