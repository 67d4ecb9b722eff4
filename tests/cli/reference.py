"""Writes docs/cli.md out of the command's own help: `python -m tests.cli.reference`. A test says when it is out of date."""

from collections.abc import Iterator
from pathlib import Path

import click

from sayiir.cli.app import sayiir
from sayiir.cli.codes import TABLE
from sayiir.cli.lazy import SETTINGS, Default

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
INTRODUCTION = """\
# The command line

`pip install 'sayiir[cli]'` brings `sayiir`: workers, a server, and everything to see and steer instances, in a shell or a
script. This page is made from the command's own help.

Every command finds the instances by `--url` or `SAYIIR_URL`: `sqlite:///orders.db`, `postgresql://user@host/database`, or the
address of a `sayiir server`, to which the same commands talk over its HTTP API (`--token` or `SAYIIR_TOKEN`). In a folder
with a `sayiir.db`, which is where `sayiir dev` keeps its instances, nothing need be said.

**Output.** `-o table` (default) and `-o wide` are for people: relative times, colours only on a terminal and with
[rich](https://rich.readthedocs.io) installed, none with `NO_COLOR`. `-o json` is what the HTTP API gives, with exact
times; `-o jsonl` is a line for each; `-o ids` feeds the next command:

```sh
sayiir instance list status:failed since:1d -o ids | sayiir instance retry -
```

Data goes to stdout, everything else to stderr. An error is one sentence with what to do.

**Many at once.** Where ids are asked for, `-` reads them from stdin. `--where` takes the words of a filter instead;
`--dry-run` says what would be done, `--yes` does not ask.

## Exit codes

| code | |
|---|---|
"""


def commands(group: click.Group = sayiir, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name."""
    context = click.Context(group, info_name="sayiir")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, Default):
            yield f"{path}{name}", command.command_itself
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def help_of(name: str) -> str:
    """Return the help of a command, as wide as a page."""
    wide = {**SETTINGS, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(sayiir, info_name="sayiir", **wide)
    command: click.Command = sayiir
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
        context = click.Context(command, context, word, **wide)
    if isinstance(command, Default):
        command = command.command_itself
    return command.get_help(context)


def reference() -> str:
    """Return the page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in TABLE)
    parts = [INTRODUCTION + codes, f"## sayiir\n\n```text\n{help_of('')}\n```\n"]
    parts += [f"## sayiir {name}\n\n```text\n{help_of(name)}\n```\n" for name, _ in commands()]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
