"""Measurements, never tests: ratios against a floor that is taken in the same run. Entry: `python -m benchmarks.run`."""
