"""A sweep as a frozen value: a base experiment, what varies, how values are chosen, what is sought.

Everything that can be refused is refused when the value is made: unknown fields, values that a field
does not admit, an objective that no run would record. No Keras Tuner here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from workbench import names
from workbench.errors import SpecError, nearest, suggestion
from workbench.optimizers import plateau, schedule_preview
from workbench.spec import html
from workbench.spec.experiment import Experiment
from workbench.spec.part import Part, part, replace, setting, to_json
from workbench.spec.recorded_metrics import recorded_metrics, refuse_select
from workbench.sweep.search_space import Domain, grid, lattice
from workbench.sweep.tuners import Tuner

if TYPE_CHECKING:
    from keras_tuner import HyperModel

TRIED = 512  # combinations of values that are made into specs before the first trial
COUNTED = 100_000  # combinations with conditional settings are counted one by one up to here
REFUSED = ("seed", "name")


@part
class Sweep(Part):
    """Experiments that differ from `base` in some settings, chosen by a tuner; each trial is a run."""

    base: Experiment = setting(doc="what every trial starts from")
    space: Any = setting(doc="what varies: setting by dotted name, and its values")
    tuner: Tuner = setting(doc="how values are chosen")
    objective: Union[str, None] = setting(
        None, doc="metric whose best epoch counts; None: what `base` selects"
    )
    executions: int = setting(1, at_least=1, doc="runs of a trial, which differ in their seed")
    max_failed: int = setting(3, at_least=1, doc="failed trials in a row that end the sweep")
    seed: int = setting(0, at_least=0, doc="of the choice of values; the seed of trainings is that of `base`")
    name: Union[str, None] = setting(None, place=True, doc="short name; None: that of its file")

    def __repr__(self) -> str:
        how = f"{type(self.tuner).__name__} over {', '.join(self.domains)}"
        return f"<Sweep {self.name or self.id}: {self.target} by {how}; base {self.base!r}>"

    def _repr_html_(self) -> str:
        return html.sweep(self)

    def check(self) -> None:
        # The mapping that people write becomes pairs: a frozen value is hashed, and the order of settings matters.
        object.__setattr__(self, "space", _pairs(self.space))
        for name, domain in self.space:
            self._check_condition(name, domain)
        for values in _trial_values(self.space):
            schedule_preview.refuse(*self.experiment(values).judged())
            plateau.refuse_unmeasured(self.experiment(values))
        refuse_select(self.base)
        known = recorded_metrics(self.base)
        if self.target not in known:
            raise SpecError(
                f"no run of it records {self.target!r}",
                where="Sweep.objective",
                do=suggestion(self.target, sorted(known)),
            )
        if self.base.direction(self.target) is None:
            raise SpecError(
                f"whether {self.target!r} should fall or rise is not known",
                where="Sweep.objective",
                do="let the base select it, with a select_direction",
            )
        longest = max(self.experiment(values).epochs for values in _trial_values(self.space))
        self.tuner.refuse(longest, self.combinations)

    def _check_condition(self, name: str, domain: Domain) -> None:
        where = f"Sweep.space[{name!r}]"
        if name in REFUSED:
            do = "use executions= for repeats with other seeds" if name == "seed" else "leave it out"
            raise SpecError("cannot vary", where=where, do=do)
        if domain.only_if is None:
            return
        parent, values = domain.only_if
        before = list(itertools.takewhile(lambda other: other != name, self.domains))
        if parent not in before:
            raise SpecError(
                f"depends on {parent!r}, which is not in the space before it",
                where=where,
                do=suggestion(parent, before) if before else "put the other setting first",
            )
        for value in values:
            try:
                self.domains[parent].encode(value)
            except SpecError as error:
                raise SpecError(f"depends on {parent}={value}: {error}", where=where) from error

    @property
    def domains(self) -> dict[str, Domain]:
        """What varies: the values by the dotted name of the setting, in order."""
        return dict(self.space)

    @property
    def target(self) -> str:
        """The metric that is sought."""
        return self.objective or self.base.selector()

    @property
    def lower(self) -> bool:
        """Whether small values of the target are good."""
        return self.base.direction(self.target) == names.LOWER

    @property
    def combinations(self) -> int | None:
        """The number of distinct trials; None where a range without a step makes it unlimited (or
        conditions among very many make it unknown)."""
        values = {name: lattice(domain) for name, domain in self.space}
        listed = {name: own for name, own in values.items() if own is not None}
        if len(listed) < len(values):
            return None
        product = math.prod(len(own) for own in listed.values())
        if all(domain.only_if is None for domain in self.domains.values()):
            return product
        return sum(1 for _ in grid(listed, self.space)) if product <= COUNTED else None

    @property
    def id(self) -> str:
        """The identity: 12 hex digits over base, space, tuner and objective."""
        text = json.dumps(to_json(self, identity=True), sort_keys=True, allow_nan=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def experiment(self, values: Mapping[str, Any]) -> Experiment:
        """Return the experiment of a trial from its raw `values`; raises `SpecError` naming what is refused.

        Settings are put in as the order of the space says; one that does not fit yet waits for the others.
        """
        result, waiting = self.base, [name for name in self.domains if name in values]
        while waiting:
            refusals: dict[str, SpecError] = {}
            for name in waiting:
                try:
                    result = replace(result, name, self.domains[name].decode(values[name]))
                except SpecError as error:
                    refusals[name] = error
            if len(refusals) == len(waiting):
                name, first = next(iter(refusals.items()))
                raise self._refusal(name, values[name], first) from first
            waiting = list(refusals)
        return result

    def _refusal(self, name: str, raw: Any, error: SpecError) -> SpecError:
        value, parent = self.domains[name].decode(raw), name.rpartition(".")[0]
        free = parent in self.domains and self.domains[name].only_if is None
        hint = f"or does it depend on another value? .when({parent!r}, ...)" if free else None
        return SpecError(f"{name}={value}: {error}", where="Sweep.space", do=hint)

    def hypermodel(self) -> HyperModel:
        """Return a Keras Tuner `HyperModel` of the base and the space, for a tuner of your own."""
        from workbench.sweep.hypermodel import SpecModel

        return SpecModel(self)


def _pairs(space: Any) -> tuple[tuple[str, Domain], ...]:
    """Return a space as pairs of name and domain; raises `SpecError` for anything else."""
    pairs = tuple(space.items()) if isinstance(space, Mapping) else space
    if not pairs:
        raise SpecError(
            "nothing to search", where="Sweep.space", expected='{"weight_decay": Choice(0, 1e-4), ...}'
        )
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[1], Domain):
            raise SpecError(
                f"{pair[-1]!r} is not possible",
                where=f"Sweep.space[{pair[0]!r}]",
                expected="Choice, Int, Float or Boolean",
            )
    return tuple((str(name), domain) for name, domain in pairs)


def _trial_values(space: tuple[tuple[str, Domain], ...]) -> list[dict[str, Any]]:
    """Return combinations that are to be tried as specs: all of the candidates, or a sample of them with
    every candidate in it."""
    values = {name: domain.candidates() for name, domain in space}
    count = math.prod(len(found) for found in values.values())
    if count <= TRIED:
        return list(grid(values, space))
    # Always the same sample: a spec that is refused today is refused tomorrow.
    chance, found = random.Random(0), []
    for number in range(max(TRIED, max(len(own) for own in values.values()))):
        drawn = {
            name: (own[number % len(own)] if chance.random() < 0.5 else chance.choice(own),)
            for name, own in values.items()
        }
        found += list(grid(drawn, space))
    for name, own in values.items():  # whatever the draws missed
        for value in own:
            found += list(itertools.islice(grid({**values, name: (value,)}, space), 1))
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """Return in words what differs between two sweeps' JSON, or between the parts of them at `path`."""
    said = []
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if not path and name == "space":
            said += _space_changes(dict(before or ()), dict(after or ()))
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            said += changes(before, after, f"{path}{name}.")
        else:
            said.append(f"{path}{name} was {_text(before)} and is {_text(after)}")
    return said


def _space_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = [f"{name!r} is gone from the space" for name in old if name not in new]
    for name, domain in new.items():
        if name not in old:
            close = nearest(name, old)
            said.append(f"{name!r} is new in the space" + (f" (it had {close[0]!r})" if close else ""))
        elif old[name] != domain:
            said.append(f"{name!r} was {_text(old[name])} and is {_text(domain)}")
    return said


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and "part" in value:
        inner = ", ".join(
            f"{name}={_text(item)}" for name, item in value.items() if name != "part" and item is not None
        )
        return f"{value['part']}({inner})"
    if isinstance(value, list):
        return "(" + ", ".join(map(_text, value)) + ")"
    return "off" if value is None else str(value)
