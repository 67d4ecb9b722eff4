"""The pure core: definitions, lifecycle, planner, values. No I/O, no clock, no chance, no threads."""
