"""What the variants of a study are called: by their own name, else by their difference from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import SpecError
from workbench.spec import branch
from workbench.spec.experiment import Experiment
from workbench.spec.parameters import is_default

FIRST = "base"  # the name of a study's first variant where the spec gives none


def variant_names(experiments: Sequence[Experiment], where: object = None) -> list[str]:
    """Return a name for each: its own, else its difference from the first, which is `base`.

    A name depends on the first variant and itself only, so adding a variant changes no other name.
    """
    names = [item.name or difference_name(item, experiments[0]) for item in experiments]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"two variants named {name!r}", where=where, do="give one of them a name=")
    return names


def difference_name(experiment: Experiment, first: Experiment) -> str:
    """Return `label_smoothing=0.1,backbone=GhostNet`: what differs from the first variant.

    A branch of another trunk than the first is `@80,stages.3.loss=CosFace`: its trunk's name or difference,
    the epoch after which it leaves it, and what its own stages change.
    """
    if experiment is first:
        return FIRST
    root = branch.trunk_of(experiment)
    if experiment.trunk is None or root is None or experiment.trunk == first.trunk:
        return _words({name: here for name, (here, _) in experiment.diff(first).items()}) or FIRST
    own = _words(
        {
            name: here
            for name, here in branch.own_parameters(experiment).items()
            if name.count(".") == 2 or not is_default(experiment, name)
        }
    )
    if root.trunk is not None or root.name:
        return f"{root.name or difference_name(root, first)}@{root.epochs},{own}"
    shared = {name: here for name, (here, _) in root.diff(first).items() if _of_trunk(name, root)}
    return f"{_words(shared)}@{root.epochs},{own}".rstrip(",")


def _of_trunk(setting: str, root: Experiment) -> bool:
    """Tell whether a setting says something of a trunk other than where it was cut."""
    family, _, rest = setting.partition(".")
    number, last = rest.partition(".")[0], len(root.stages)
    return family != "stages" or (int(number) <= last and setting != f"stages.{last}.epochs")


def _words(differences: Mapping[str, Any]) -> str:
    words = []
    for setting, here in differences.items():
        value = f"{here:g}" if isinstance(here, float) else ("off" if here is None else str(here))
        words.append(f"{setting}={value}")
    return ",".join(words)
