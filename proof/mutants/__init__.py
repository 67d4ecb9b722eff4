"""Faults made by hand in our own code, each of which the tests must notice. A survivor is a missing test."""
