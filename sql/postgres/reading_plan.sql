-- Keys come as an array of any length, which the planner takes for a short one.
SET LOCAL enable_nestloop = off;
SET LOCAL jit = off;
