"""Measurements, never tests: ratios to a floor that is taken in the same run. Entry: `python -m benchmarks.run`."""
