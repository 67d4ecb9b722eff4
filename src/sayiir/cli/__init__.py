"""The command `sayiir`. Thin: no SQL, no rules of the engine; it parses, checks, and calls what is public.

    commands.py  the commands and their options (click)
    options.py   what a worker's command was asked for, as data that goes to child processes too
    find.py      module:attr → workflows
    work.py      a worker in this process: signals, exit codes
    parent.py    several worker processes: replaces those that die, passes signals on
    child.py     what runs in each of them
    codes.py     exit codes, and refusals in one sentence

Rules: logs go to stderr; nobody is signalled but the processes that were started here, by their id.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the shell asked for."""
    try:
        from sayiir.cli.app import sayiir
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("sayiir: the command line needs click: pip install 'sayiir[cli]'")
    sayiir(prog_name="sayiir")
