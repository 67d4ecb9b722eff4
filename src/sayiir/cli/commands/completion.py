"""`sayiir completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sayiir.cli.lazy import Command


@click.command(cls=Command, examples="""
eval "$(sayiir completion bash)"                                  in ~/.bashrc
eval "$(sayiir completion zsh)"                                   in ~/.zshrc
sayiir completion fish > ~/.config/fish/completions/sayiir.fish
""")  # fmt: skip
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes your shell complete commands and options."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 -- click knows these three
    made = kind(click.Group(), {}, "sayiir", "_SAYIIR_COMPLETE")
    # Not by source(), which would start the shell to look at its version.
    click.echo(made.source_template % made.source_vars())
