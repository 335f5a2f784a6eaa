"""One experiment of a study, ready to run: its name there, and what changed it on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.spec.experiment import Experiment


@dataclass(frozen=True)
class Variant:
    """One experiment of a study, ready to run: its name there, and what changed it on the way.

    `overrides` says for each changed setting what changed it, such as `--set` or `--quick`.
    """

    name: str
    experiment: Experiment
    study: str = ""
    source: str = ""
    path: str = ""
    question: str = ""
    quick: bool = False
    overrides: dict[str, str] = field(default_factory=dict)

    def changed(self, experiment: Experiment, overrides: Mapping[str, str], quick: bool = False) -> Variant:
        """Return this variant with other settings; `overrides` are all that changed them, the earlier ones too."""
        return dataclasses.replace(
            self, experiment=experiment, overrides=dict(overrides), quick=self.quick or quick
        )
