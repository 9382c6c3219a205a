-- A transaction that only reads. Sums of many small groups fit into this memory; compiling the long expressions takes longer than
-- interpreting them.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off;
