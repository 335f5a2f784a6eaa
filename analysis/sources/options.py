"""How files are to be understood, where they do not say it themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How files are to be understood.

    `stages` are stage lengths in epochs, `stage_names` their names, `names` the runs' names in order.
    `as_one_run` joins all launches and files, each a stage unless `stages` says otherwise. `loss` is
    "includes" or "excludes" (the regulariser), `zeros_are_gaps` takes zeros for values not measured.
    `first_epoch` is the global epoch of the first value, and `parent` the run that it branches from.
    `epochs_from` is what a file calls its first epoch, 0 or 1; None: what it says, or its numbers tell.
    """

    stages: tuple[int, ...] = ()
    stage_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    as_one_run: bool = False
    loss: str | None = None
    zeros_are_gaps: bool = False
    first_epoch: int = 1
    parent: str | None = None
    epochs_from: int | None = None
