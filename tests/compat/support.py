"""Runs a program of the documentation."""

import textwrap


def program(text, **given):
    """Run a program of the documentation and return its names."""
    names = {"__name__": "documented", **given}
    exec(compile(textwrap.dedent(text), "documentation", "exec"), names)
    return names
