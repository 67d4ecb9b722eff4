"""The command `sayiir`. Thin: no SQL, no rules of the engine; it parses, checks, and calls what is public.

    app.py       the command at the top: which commands there are, and its help
    lazy.py      commands imported on demand, with examples; errors as one sentence
    codes.py     exit codes: the only table
    commands/    one file for each command or group
    place.py     where the instances live: a database, or a server; `Api`, what commands ask of either
    remote.py    `Api` over a server's HTTP API
    out.py       tables, JSON, ids; sheets.py, tree.py, follow.py, when.py: what they show
    given.py     JSON, ids and filters that the shell hands in; bulk.py: steering many at once
    serving.py   a server in this process; reload.py: a child that is started anew when code changes

    options.py   what a worker's command was asked for, as data that goes to child processes too
    find.py      module:attr → workflows
    work.py      a worker in this process: signals, exit codes
    parent.py    several worker processes: replaces those that die, passes signals on
    child.py     what runs in each of them

Rules: data goes to stdout, everything else to stderr; nobody is signalled but the processes that were started here, by
their id.
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
