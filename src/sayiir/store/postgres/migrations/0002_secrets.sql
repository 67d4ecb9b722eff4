-- Which values of a definition are secret, as its types declare: a JSON array of documents (see docs/FORMAT.md). What was
-- once marked stays so. An older release that writes here leaves the default.
ALTER TABLE definitions ADD COLUMN secrets text NOT NULL DEFAULT '[]';
