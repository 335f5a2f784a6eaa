"""`--lower METRIC` and `--higher METRIC`: what the user says of metrics whose names do not tell.

They hold for every best, bold and target of the command that takes them, and go before the table of
`workbench.names` and before what a spec or a record says.
"""

from __future__ import annotations

import click

from workbench.commands.common_options import Command
from workbench.errors import InputError
from workbench.names import DIRECTIONS, directions


def _hold(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    metrics = [name for text in value for name in text.split(",") if name]
    said = ctx.meta.setdefault(__name__, {})
    for name in metrics:
        if said.setdefault(name, parameter.name) != parameter.name:
            raise InputError(f"{name!r} is said to fall and to rise", where="--lower and --higher")
    if metrics:
        ctx.with_resource(directions(**{str(parameter.name): metrics}))


def direction_options(command: Command) -> Command:
    """Give a command `--lower` and `--higher`."""
    words = {"lower": "smaller", "higher": "greater"}
    for side in reversed(DIRECTIONS):
        command = click.option(
            f"--{side}",
            multiple=True,
            metavar="METRIC",
            expose_value=False,
            callback=_hold,
            help=f"A metric of which {words[side]} values are better, where its name does not tell.",
        )(command)
    return command
