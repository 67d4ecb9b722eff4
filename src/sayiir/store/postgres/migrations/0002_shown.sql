-- For whoever shows instances and has none of their code. Nothing runs by it.
-- Which values of a definition are secret, as its types declare: a JSON array of documents (see docs/FORMAT.md). What was
-- once marked stays so. An older release that writes here leaves the default.
ALTER TABLE definitions ADD COLUMN secrets text NOT NULL DEFAULT '[]';
-- How many attempts tasks have that are retried, JSON: node → number, as the newest registration says. Workers ask the code.
ALTER TABLE definitions ADD COLUMN attempts text NOT NULL DEFAULT '{}';
