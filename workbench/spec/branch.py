"""Branches in a spec: new stages on a trained trunk, as a value.

A branch is the whole experiment, the trunk's stages first; that is its identity. `Trunk` beside them says
how it is carried out: how many of its stages are trained once, in a run of their own, for all branches that
begin alike. So a branch is equal to its full run, and nothing in a spec names a run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from workbench.errors import SpecError, suggestion
from workbench.spec.part import INHERIT, Inherit, Part, part, setting

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment
    from workbench.spec.stage import Stage


@part
class Trunk(Part):
    """What a branch shares: its first stages, trained once for all branches with equal settings and seed."""

    stages: int = setting(at_least=1, positional=True, doc="how many of the first stages are the trunk's")
    name: Union[str, None] = setting(None, doc="name of the trunk's run")
    trunk: Union[Trunk, None] = setting(None, doc="where the trunk is a branch itself: the trunk of that")

    def check(self) -> None:
        if self.trunk is not None and self.trunk.stages >= self.stages:
            raise SpecError(
                f"a trunk of {self.stages} stages on one of {self.trunk.stages}",
                where="Trunk.trunk",
                expected="fewer stages",
            )


def branch(
    experiment: Experiment,
    after_stage: int | None,
    at_epoch: int | None,
    stages: tuple[Any, ...] | None,
    name: str | None,
    settings: dict[str, Any],
) -> Experiment:
    """Return the branch of `experiment` with the own `stages`; see `Experiment.branch`."""
    _refuse_settings(experiment, settings)
    shared, rest, cut = split(experiment, after_stage, at_epoch)
    own = stages if stages is not None else (_going_on(rest, settings) if cut else rest)
    if not own:
        raise SpecError("has no stage of its own", where="branch", do="give stages=")
    own = tuple(_with(stage, settings) for stage in own)
    changed = experiment.but(trunk=None, stages=(*shared, *own), name=name)
    return changed.but(trunk=_trunk(experiment, len(shared)))


def split(
    experiment: Experiment, after_stage: int | None, at_epoch: int | None
) -> tuple[tuple[Stage, ...], tuple[Stage, ...], bool]:
    """Return the stages before and after a point, and whether it lies in a stage, which is cut in two."""
    if (after_stage is None) == (at_epoch is None):
        raise SpecError(
            "no point, or two, at which it leaves the trunk",
            where="branch",
            expected="either after_stage= or at_epoch=",
        )
    stages = tuple(experiment.stages)
    if after_stage is not None:
        _within("after_stage", after_stage, len(stages), "stages")
        return stages[:after_stage], stages[after_stage:], False
    assert at_epoch is not None
    _within("at_epoch", at_epoch, experiment.epochs, "epochs")
    ends = list(itertools.accumulate(stage.epochs for stage in stages))
    number = next(number for number, end in enumerate(ends) if end >= at_epoch)
    before, last, after = stages[:number], stages[number], stages[number + 1 :]
    left = ends[number] - at_epoch
    if not left:
        return (*before, last), after, False
    return (*before, last.but(epochs=last.epochs - left)), (last.but(epochs=left), *after), True


def _within(name: str, value: Any, last: int, things: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= last:
        raise SpecError(
            f"{name}={value!r} is not possible",
            where="branch",
            expected=f"a whole number from 1 to {last}, the trunk's {things}",
        )


def _going_on(rest: tuple[Stage, ...], settings: dict[str, Any]) -> tuple[Stage, ...]:
    """Return the trunk's remaining stages, the one that was cut going on where its first half ended."""
    cut = rest[0]
    if not isinstance(cut.learning_rate, Inherit) and "learning_rate" not in settings:
        raise SpecError(
            "cuts a stage whose own learning_rate would begin anew",
            where="branch",
            do="give stages= or learning_rate=, or branch after a stage",
        )
    return (cut.but(optimizer_state="keep", schedule_start=None), *rest[1:])


def _refuse_settings(experiment: Experiment, settings: dict[str, Any]) -> None:
    known = overridable(type(experiment.stages[0]))
    for name in settings:
        if name in known:
            continue
        if name in experiment.settings():
            raise SpecError(
                f"{name!r} is a setting of the whole run, its trunk included",
                where="branch",
                do="use but() on the branch, which then grows on another trunk",
            )
        raise SpecError(f"no setting {name!r}", where="branch", do=suggestion(name, known))


def overridable(stage: type[Stage]) -> tuple[str, ...]:
    """Return the settings of an experiment that a stage may override."""
    fields = stage.__dataclass_fields__  # type: ignore[attr-defined]
    return tuple(name for name, field in fields.items() if field.default is INHERIT)


def _with(stage: Stage, settings: dict[str, Any]) -> Stage:
    """Return the stage with those settings that it leaves to be inherited."""
    if not isinstance(stage, Part):
        raise SpecError(f"{stage!r} is not possible", where="branch: stages", expected="a Stage")
    open_ = {name: value for name, value in settings.items() if isinstance(getattr(stage, name), Inherit)}
    return stage.but(**open_)


def _trunk(experiment: Experiment, stages: int) -> Trunk:
    """Return the trunk of that many stages, itself on the trunks of `experiment` that are shorter."""
    below, name = experiment.trunk, experiment.name
    while below is not None and below.stages >= stages:
        name, below = below.name, below.trunk
    return Trunk(stages=stages, name=name, trunk=below)


def trunk_of(experiment: Experiment) -> Experiment | None:
    """Return the spec that is trained once for all branches that begin alike; None for no branch."""
    trunk = experiment.trunk
    if trunk is None:
        return None
    return experiment.but(trunk=trunk.trunk, stages=experiment.stages[: trunk.stages], name=trunk.name)


def trunk_name(root: Experiment) -> str:
    """Return the name of the run that trains the trunk `root` where no other run has done so."""
    return f"{root.name or 'trunk'}@{root.epochs}"


def own_parameters(experiment: Experiment) -> dict[str, Any]:
    """Return the parameters of a branch's own stages that differ from the stage it grows from."""
    assert experiment.trunk is not None
    found, own = experiment.parameters(), {}
    before = f"stages.{experiment.trunk.stages}."
    for name, value in found.items():
        family, number, field = (name.split(".", 2) + ["", ""])[:3]
        if (
            family == "stages"
            and int(number) > experiment.trunk.stages
            and found.get(before + field) != value
        ):
            own[name] = value
    return own


def same_until(experiment: Experiment, epoch: int, other: Experiment) -> bool:
    """Tell whether `experiment` does, in its first `epoch` epochs, what the whole of `other` does."""
    if experiment.epochs < epoch:
        return False
    shared = split(experiment, None, epoch)[0]
    return experiment.but(trunk=None, stages=shared).id == other.id


def kept_epochs(experiment: Experiment, others: Sequence[Experiment]) -> tuple[int, ...]:
    """Return the epochs at which the branches among `others` leave the course of `experiment`."""
    found = set()
    for other in others:
        root = trunk_of(other)
        while root is not None:
            if root.seed == experiment.seed and same_until(experiment, root.epochs, root):
                found.add(root.epochs)
            root = trunk_of(root)
    own = trunk_of(experiment)
    first = own.epochs if own is not None else 0  # what a branch itself trains begins after its trunk
    return tuple(sorted(epoch for epoch in found if first < epoch < experiment.epochs))
