"""Options that most commands have, each written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def store_option(text: str = "Where the records are.") -> Callable[[Command], Command]:
    """Return `--store`, with a help of its own where a command writes there or takes more than the others."""
    return click.option("--store", metavar="URI", help=text)


def debug_option(text: str = "Show tracebacks.", passed: bool = True) -> Callable[[Command], Command]:
    """Return `--debug`; `passed` to the command's function only where that does more with it than `cli.main` does."""
    return click.option("--debug", is_flag=True, expose_value=passed, help=text)


STORE, DEBUG = store_option(), debug_option(passed=False)
