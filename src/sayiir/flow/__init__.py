"""What authors write: `@task`, `Flow` and its builders, `Workflow`. No storage, no running."""
