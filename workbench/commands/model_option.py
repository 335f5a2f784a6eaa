"""The options and the meaning of MODEL that the commands of verification share."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import click

from workbench.commands.common_options import DEBUG, STORE, Command, trust_option, which_option
from workbench.errors import RecordError
from workbench.models.heads.full import Dense
from workbench.train.from_record import load_chosen, load_model, open_run
from workbench.verification import models
from workbench.verification.embedders import Embedder


@dataclass(frozen=True)
class ModelOptions:
    """How MODEL is opened: a file or folder, else a run of the store."""

    which: str = "best"
    size: int | None = None
    raw: bool = False
    trust_code: bool = False
    store: str | None = None

    def embedder(self, text: str) -> Embedder:
        """Return the embedder that `text` means; raises `InputError` for one that cannot be used."""
        if models.is_file(text):
            return models.from_file(text, self.size, "raw" if self.raw else "unit", self.trust_code)
        found = open_run(text, self.store, trust_code=self.trust_code)
        network, words = load_chosen(found.experiment, found.checkpoints, self.which)
        return models.from_keras(network, f"run {found.run} ({words})")


def logits_of(text: str, trust_code: bool) -> Embedder:
    """Return what gives the logits [B, C] of a run, from its last checkpoint, for students (`DistillLogits`).

    Raises `RecordError` where its head gives none.
    """
    found = open_run(text, None, trust_code=trust_code)
    head = found.experiment.plans()[-1].loss.classifier()
    if not isinstance(head, Dense):
        raise RecordError(
            f"its last stage has the head {type(head).__name__ if head else None}",
            where=found.run,
            expected="Dense logits",
            do="distill its embeddings instead, without --logits",
        )
    network = load_model(found.experiment, found.checkpoints, "last", "logits")
    return models.from_keras(network, f"run {found.run}, logits")


def model_options(function: Command) -> Command:
    """Add the options that say how MODEL is opened; the command gets them as one value, `opened`."""

    @functools.wraps(function)
    def collected(*args: Any, **given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in dataclasses.fields(ModelOptions)}
        return function(*args, opened=ModelOptions(**own), **given)

    command: Command = collected
    for option in (
        which_option("Checkpoint of a run."),
        click.option("--size", type=int, help="Input side in pixels, for a model that leaves it open."),
        click.option(
            "--raw", is_flag=True, help="The model takes grey levels 0..255, not (x - 127.5) / 128."
        ),
        trust_option("Open a model file, or a run of another store, though it holds code, which then runs."),
        STORE,
        DEBUG,
    ):
        command = option(command)
    return command


def rates(values: tuple[str, ...]) -> tuple[float, ...]:
    """Return rates given on the command line as numbers; raises `click.BadParameter`."""
    try:
        return tuple(float(value) for text in values for value in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{', '.join(values)} are not rates; give --far 1e-3,1e-4") from error
