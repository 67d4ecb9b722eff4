"""The storage port and the stores behind it. Never imports `flow`."""
