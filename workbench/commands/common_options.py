"""Options that several commands have, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
Option = Callable[[Command], Command]


def say(line: str) -> None:
    """Print a line for people to the error output, where it does not stand among results."""
    click.echo(line, err=True)


def store_option(text: str = "Where the records are.") -> Option:
    """Return `--store`, with a help of its own where a command writes there or takes more than the others."""
    return click.option("--store", metavar="URI", help=text)


def debug_option(text: str = "Show tracebacks.", passed: bool = True) -> Option:
    """Return `--debug`; `passed` to the command's function only where that does more with it than `cli.main` does."""
    return click.option("--debug", is_flag=True, expose_value=passed, help=text)


def json_option(what: str = "one JSON line") -> Option:
    """Return `--json`, which prints `what` in the place of a text for people."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


def which_option(text: str = "Checkpoint.") -> Option:
    """Return `--which`: what a run kept of its best or its last epoch."""
    choice = click.Choice(["best", "last"])
    return click.option("--which", type=choice, default="best", show_default=True, help=text)


def trust_option(text: str = "Run the code of a record that another store made.") -> Option:
    """Return `--trust-code`: the one way to say that whoever made a record or a model file is trusted."""
    return click.option("--trust-code", is_flag=True, help=text)


PATH = click.Path(path_type=Path)
STORE, DEBUG, JSON = store_option(), debug_option(passed=False), json_option()
WHICH, TRUST_CODE = which_option(), trust_option()
SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SETTING=VALUE",
    help="Override a setting, by its dotted name.",
)
TRY_QUICK = click.option(
    "--quick", is_flag=True, help="Try the whole run in minutes: little data, small images, few steps."
)
