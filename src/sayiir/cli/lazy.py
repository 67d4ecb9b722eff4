"""Groups whose commands are imported when they are asked for, commands that show examples, errors as one sentence.

Rules of this file: nothing of the engine is imported here, so that `--help` and `--version` start at once. The short
help of a command stands in the table of its group, for a list of commands must not import them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import click
from click.shell_completion import CompletionItem

from sayiir.cli.codes import INTERRUPTED, RefusedError, code_of, one_line
from sayiir.cli.out import harmless

Entries: TypeAlias = Mapping[str, tuple[str, str]]
"""Name of a command → ("module:attr" below `sayiir.cli.commands`, its short help)."""
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command with examples at the end of its help.

    Args:
        examples: lines as a shell would take them.
        more: commands below this one, which `Default` hands over to.
    """

    def __init__(self, *args: Any, examples: str = "", more: Entries | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.examples = examples.strip().splitlines()
        self.more = more or {}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the other commands and the examples."""
        if self.more:
            with formatter.section("Commands"):
                formatter.write_dl([(name, short) for name, (_, short) in self.more.items()])
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{' ' * formatter.current_indent}{line}\n")
        super().format_epilog(ctx, formatter)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them on demand.

    Args:
        entries: its commands.
    """

    def __init__(self, *args: Any, entries: Entries, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the names, in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- likewise
        """Import a command."""
        if cmd_name not in self.entries:
            return None
        module, _, attribute = self.entries[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(f"sayiir.cli.commands.{module}"), attribute))

    def sections(self) -> dict[str, list[str]]:
        """Return the headings of the help and the commands below each."""
        return {"Commands": list(self.entries)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- likewise
        """Write the commands without importing them."""
        widest = max(map(len, self.entries))
        for heading, names in self.sections().items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), self.entries[name][1]) for name in names])


class Default(LazyGroup):
    """A group that is a command, too: what names none of its commands goes to `command`.

    Args:
        command: what `sayiir worker shop:flows` runs, where `sayiir worker list` is one of the entries.
    """

    def __init__(self, *args: Any, command: Command, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.command_itself = command
        command.more = self.entries

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Choose between the group and the command by the first word."""
        is_asked = not args and extra.get("resilient_parsing")  # a shell that wants to know what may come
        if is_asked or (args and args[0] in self.entries):
            return super().make_context(info_name, args, parent, **extra)
        return self.command_itself.make_context(info_name, args, parent, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the group's commands, and what the command takes."""
        itself = click.Context(self.command_itself, ctx.parent, ctx.info_name, resilient_parsing=True)
        offered = [*super().shell_complete(ctx, incomplete), *self.command_itself.shell_complete(itself, incomplete)]
        return list({item.value: item for item in offered}.values())


class Root(LazyGroup):
    """The group at the top, where every error that has a sentence becomes that sentence and its exit code.

    Args:
        headings: sections of its help.
    """

    def __init__(self, *args: Any, headings: dict[str, list[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headings = headings

    def sections(self) -> dict[str, list[str]]:
        """Return the headings of the help."""
        return self._headings

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; nothing but a mistake of this program ends with a traceback."""
        from sayiir.errors import WorkflowError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except (RefusedError, WorkflowError, ValueError) as error:
            click.echo(f"sayiir: {harmless(one_line(error))}", err=True)
            ctx.exit(code_of(error))
