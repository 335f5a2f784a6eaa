"""The options and the meaning of MODEL that the commands of verification share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from workbench.commands.common_options import DEBUG, STORE
from workbench.verification import models
from workbench.verification.embedders import Embedder

F = TypeVar("F", bound=Callable[..., Any])


def model_options(function: F) -> F:
    """Add the options that say how MODEL is opened."""
    for option in (
        click.option(
            "--which",
            type=click.Choice(["best", "last"]),
            default="best",
            show_default=True,
            help="Checkpoint of a run.",
        ),
        click.option("--size", type=int, help="Input side in pixels, for a model that leaves it open."),
        click.option(
            "--raw", is_flag=True, help="The model takes grey levels 0..255, not (x - 127.5) / 128."
        ),
        click.option(
            "--trust-code",
            is_flag=True,
            help="Open a model file, or a run of another store, though it holds code, which then runs.",
        ),
        STORE,
        DEBUG,
    ):
        function = option(function)
    return function


def embedder_of(
    text: str, store: str | None, which: str, size: int | None, raw: bool, trust_code: bool = False
) -> Embedder:
    """Return the embedder that MODEL means: a file or folder, else a run of the store.

    Raises `InputError` for one that cannot be used.
    """
    if models.is_file(text):
        return models.from_file(text, size, "raw" if raw else "unit", trust_code)
    return of_run(text, store, which, trust_code)[0]


def of_run(text: str, store: str | None, which: str, trust_code: bool = False) -> tuple[Embedder, Any, str]:
    """Return the embedder of a run's checkpoint, its experiment and its full name."""
    from workbench.train.from_record import load_chosen, open_run

    found = open_run(text, store, trust_code=trust_code)
    network, words = load_chosen(found.experiment, found.checkpoints, which)
    return models.from_keras(network, f"run {found.run} ({words})"), found.experiment, found.run


def rates(values: tuple[str, ...]) -> tuple[float, ...]:
    """Return rates given on the command line as numbers; raises `click.BadParameter`."""
    try:
        return tuple(float(value) for text in values for value in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)} are not rates; give --far 1e-3,1e-4") from error
