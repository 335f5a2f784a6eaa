"""The spec: an experiment as a frozen value, its stages, what they inherit, and its identity.

No TensorFlow here: a spec can be made, compared, named and refused in milliseconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal, Union

from workbench import names
from workbench.errors import SpecError
from workbench.spec import branch as trunks
from workbench.spec import folding
from workbench.spec.branch import Trunk
from workbench.spec.devices import Devices, OneDevice
from workbench.spec.flatten import flatten
from workbench.spec.folding import Fold
from workbench.spec.interfaces import Augmentation, Backbone, Embedding, PairSet, Source, Start
from workbench.spec.optimization import Optimizer, Schedule, WeightDecay
from workbench.spec.part import Inherit, Part, part, setting, to_json
from workbench.spec.plan import Plan
from workbench.spec.stage import Stage, Stages, flat, stage_name
from workbench.spec.watchers import Watcher

SCHEMA = 1  # raised when the meaning of settings changes; part of every identity


@part
class Safety(Part):
    """How a run protects itself; no part of its identity."""

    every_steps: Union[int, None] = setting(None, at_least=1, doc="also checkpoint every n steps")
    every_minutes: Union[float, None] = setting(None, above=0, doc="also checkpoint every n minutes")
    retries: int = setting(0, at_least=0, doc="automatic resumes after a failure that may pass")
    grace_seconds: float = setting(30.0, above=0, doc="time for a checkpoint after SIGTERM, seconds")
    keep: tuple[int, ...] = setting((), at_least=1, doc="epochs whose state is kept for branches")


@part
class Experiment(Part):
    """One idea: data, network, a schedule of stages and every setting of the training."""

    data: Source = setting(doc="images with identities")
    backbone: Backbone = setting(doc="network from image to feature maps")
    embedding: Embedding = setting(doc="layers from feature maps to the embedding")
    stages: Any = setting(doc="the schedule of stages")
    optimizer: Optimizer = setting(doc="rule of updating weights")
    learning_rate: Schedule = setting(doc="schedule over the run; a number is constant")
    batch_size: int = setting(at_least=1, doc="images a step, over all devices")
    evaluate: Union[PairSet, Source, tuple[Union[PairSet, Source], ...]] = setting(
        (), doc="evaluation sets of pairs; labelled images among them become `validation`"
    )
    weight_decay: Union[WeightDecay, None] = setting(None, doc="a number is decoupled decay")
    label_smoothing: float = setting(0.0, at_least=0, below=1, doc="share of probability on other labels")
    augment: Union[Augmentation, tuple[Augmentation, ...], None] = setting(
        None, doc="changes of training images"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = setting("float32", doc="of layers")
    devices: Devices = setting(OneDevice(), place=True, doc="where the run executes")
    evaluate_every: Union[int, None] = setting(None, at_least=1, doc="also evaluate every n steps")
    select: Union[str, None] = setting(None, doc="metric that chooses the best epoch; None: the last set")
    validation: Union[Source, None] = setting(
        None, later=True, doc="labelled images for val_accuracy and val_loss; None: the source's hold_out"
    )
    select_direction: Union[Literal["lower", "higher"], None] = setting(
        None, later=True, doc="which values of `select` are better; None: as its name says"
    )
    watch: Union[Watcher, tuple[Watcher, ...]] = setting(
        (), later=True, doc="watchers, which record metrics and figures and may ask for a stop"
    )
    start: Union[Start, None] = setting(None, later=True, doc="weights to start from; None: at random")
    safety: Safety = setting(Safety(), place=True, doc="checkpoints and retries")
    log_model: Literal["full", "all", "none"] = setting(
        "full", place=True, doc="runs that log their best network in MLflow; full: no quick ones, no trials"
    )
    trunk: Union[Trunk, None] = setting(None, place=True, doc="the part that branches share; see branch()")
    fold: Union[Fold, None] = setting(
        None, place=True, doc="which fold of an experiment this is; see folds()"
    )
    seed: int = setting(0, at_least=0, place=True, doc="of weights, shuffling and augmentation")
    name: Union[str, None] = setting(None, place=True, doc="short name of the variant")

    def __init_subclass__(cls, **options: Any) -> None:
        raise TypeError("an experiment is a value: use but() instead of a subclass")

    def __repr__(self) -> str:
        stages = ", ".join(f"{plan.name} ({plan.epochs})" for plan in self.plans())
        kinds = f"{type(self.backbone).__name__}, {type(self.embedding).__name__}"
        return f"<Experiment {self.name or self.id}: {kinds} on {self.data}; {stages}; seed {self.seed}>"

    def _repr_html_(self) -> str:
        from workbench.spec import html  # which knows experiments

        return html.experiment(self)

    def check(self) -> None:
        self._normalise()
        self._check_sets()
        self._check_validation()
        self._check_select()
        self._check_trunk()
        for plan in self.plans():
            where = f"stage {plan.number} ({plan.name})"
            if plan.train == "head" and plan.loss.classifier() is None:
                raise SpecError(
                    "nothing to train: its loss has no classification head",
                    where=where,
                    do='add a loss on logits, or leave out train="head"',
                )
            try:
                plan.optimizer.admits(plan.weight_decay)
            except SpecError as error:
                raise SpecError(str(error), where=where) from error

    def _normalise(self) -> None:
        # Before any check and before the identity: one stage, a list and a schedule of one are the same experiment.
        stages = Stages(flat(self.stages))
        if not stages:
            raise SpecError("no stage", where="Experiment.stages", expected="at least one Stage")
        for stage in stages:
            if not isinstance(stage, Stage):
                raise SpecError(f"{stage!r} is not possible", where="Experiment.stages", expected="a Stage")
        object.__setattr__(self, "stages", stages)
        given = _as_tuple(self.evaluate)
        labelled = [part for part in (self.validation, *given) if isinstance(part, Source)]
        if len(set(labelled)) > 1:
            raise SpecError(
                "two sets of labelled images",
                where="Experiment.validation",
                expected="one",
                do="keep one of them",
            )
        object.__setattr__(self, "evaluate", tuple(part for part in given if isinstance(part, PairSet)))
        object.__setattr__(self, "validation", labelled[0] if labelled else None)
        object.__setattr__(self, "watch", _as_tuple(self.watch))

    def _check_validation(self) -> None:
        if self.validation and any(source.hold_out for source in (*self.trained_on, self.validation)):
            raise SpecError(
                "hold_out= beside validation=: val_accuracy would be of two sets",
                where="Experiment.validation",
                do="leave one of them out",
            )

    def _check_sets(self) -> None:
        labels = [pairs.label() for pairs in self.sets]
        for label in labels:
            if labels.count(label) > 1:
                raise SpecError(
                    f"two evaluation sets named {label!r}", where="Experiment.evaluate", do="give one a name="
                )

    def _check_select(self) -> None:
        if self.direction(self.selector()) is None:
            from workbench.spec.recorded_metrics import refuse_select  # which knows experiments

            refuse_select(self)  # a misspelt name has no direction either
            raise SpecError(
                f"whether {self.select!r} should fall or rise is not known",
                where="Experiment.select",
                do='add select_direction="lower" or select_direction="higher"',
            )

    def _check_trunk(self) -> None:
        if self.trunk is not None and self.trunk.stages >= len(self.stages):
            raise SpecError(
                f"{self.trunk.stages} of {len(self.stages)} stages are the trunk's",
                where="Experiment.trunk",
                expected="a stage of the branch's own after them",
                do="make branches with branch()",
            )

    def branch(
        self,
        *,
        after_stage: int | None = None,
        at_epoch: int | None = None,
        stages: Any = None,
        name: str | None = None,
        **settings: Any,
    ) -> Experiment:
        """Return a branch: this experiment up to a point, trained once for all its branches, and then other stages.

        `but()` on a branch changes the whole run, its trunk included.

        Args:
            after_stage: The last stage that is shared, from 1; give it or `at_epoch`.
            at_epoch: The last epoch that is shared, from 1; it may lie within a stage.
            stages: What follows; None: the rest of this experiment.
            name: Of the branch; None: its difference from the study's first variant.
            settings: Settings that a stage may override, for those of the branch's own stages that leave them out.

        Raises:
            SpecError: There is no such point, or a setting is one of the whole run.
        """
        own = None if stages is None else tuple(flat(stages))
        return trunks.branch(self, after_stage, at_epoch, own, name, settings)

    def folds(self, count: int = folding.COUNT) -> tuple[Experiment, ...]:
        """Return this experiment once for each set of its evaluation list, `Pairs` of a `.txt` as of LFW.

        Fold k is tested on set k and trained without the people of that set. Tables show all folds as one row.

        Args:
            count: How many sets the list has.

        Raises:
            SpecError: There is no such list, or data that cannot leave people out.
        """
        return folding.folds(self, count)

    def with_sources(self, change: Callable[[Source], Source], **settings: Any) -> Experiment:
        """Return a copy in which every source of training data is what `change` makes of it, and `settings` hold.

        Stages with data of their own keep theirs, changed too.
        """
        stages = tuple(
            stage.but(data=change(stage.data)) if isinstance(stage.data, Source) else stage
            for stage in self.stages
        )
        return self.but(data=change(self.data), stages=stages, **settings)

    @property
    def sets(self) -> tuple[PairSet, ...]:
        """The evaluation sets of pairs, always as a tuple."""
        return self.evaluate  # type: ignore[return-value]  # `_normalise` has made it so

    @property
    def trained_on(self) -> tuple[Source, ...]:
        """The sources of all stages, each once, the experiment's own first."""
        own = [stage.data for stage in self.stages if isinstance(stage.data, Source)]
        return tuple(dict.fromkeys((self.data, *own)))

    @property
    def read(self) -> tuple[Source | PairSet, ...]:
        """All data that a run reads, each once: sources, the validation set, evaluation sets."""
        labelled = () if self.validation is None else (self.validation,)
        return tuple(dict.fromkeys((*self.trained_on, *labelled, *self.sets)))

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """The watchers, always as a tuple."""
        return self.watch  # type: ignore[return-value]  # `_normalise` has made it so

    @property
    def epochs(self) -> int:
        """The number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def id(self) -> str:
        """The identity: 12 hex digits of the SHA-256 of the settings, without seed, prose and places.

        Of parts that are not the workbench's own a digest of their source is part of it.
        """
        return self.identity()

    def identity(self, codes: bool = True) -> str:
        """Return the identity; without `codes` as it was before sources of own parts were part of it."""
        content = {"schema": SCHEMA, "experiment": to_json(self, identity=True, codes=codes)}
        # Every byte counts: with other spaces or another order no recorded run would be found again.
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def selector(self) -> str:
        """Return the metric that chooses the best epoch: `select`, the last set, val_* or accuracy."""
        if self.select:
            return self.select
        if self.sets:
            return self.sets[-1].label()
        return "val_accuracy" if self.data.hold_out or self.validation else "accuracy"

    def direction(self, metric: str) -> str | None:
        """Return names.LOWER or names.HIGHER, whichever values of a metric of this training are better."""
        if self.select_direction and metric == self.selector():
            return self.select_direction
        # An evaluation set may have any name; its accuracy rises.
        label = metric.removesuffix(names.TENFOLD_SUFFIX).removesuffix(names.PEAK_SUFFIX)
        sets = {pairs.label(): getattr(pairs, "lower", False) for pairs in self.sets}
        if label in sets:
            return names.LOWER if sets[label] else names.HIGHER
        return names.direction(metric)

    def judged(self) -> tuple[tuple[Plan, ...], int]:
        """Return the plans and how many of them are the trunk's, which its own run is judged by."""
        return self.plans(), self.trunk.stages if self.trunk else 0

    def plans(self) -> tuple[Plan, ...]:
        """Return every stage with its inherited settings filled in and its place on the epoch axis."""
        plans: list[Plan] = []
        first, schedule_t = 1, 0.0
        for number, stage in enumerate(self.stages, start=1):
            if stage.schedule_start is not None:
                schedule_t = stage.schedule_start
            plan = self._plan(number, stage, first, schedule_t)
            plans.append(plan)
            first += stage.epochs
            if stage.advances_schedule and isinstance(stage.learning_rate, Inherit):
                schedule_t += stage.epochs
        return tuple(plans)

    def _plan(self, number: int, stage: Stage, first: int, schedule_t: float) -> Plan:
        inherited = {
            name: getattr(self, name) if isinstance(getattr(stage, name), Inherit) else getattr(stage, name)
            for name in ("data", "optimizer", "weight_decay", "label_smoothing", "batch_size", "devices")
        }
        own_rate = not isinstance(stage.learning_rate, Inherit)
        augment = self.augment if isinstance(stage.augment, Inherit) else stage.augment
        return Plan(
            number=number,
            name=stage.name or stage_name(stage),
            loss=stage.loss,
            epochs=stage.epochs,
            first_epoch=first,
            last_epoch=first + stage.epochs - 1,
            train=stage.train,
            schedule=stage.learning_rate if own_rate else self.learning_rate,  # type: ignore[arg-type]
            schedule_offset=0.0 if own_rate else schedule_t,
            advances_schedule=own_rate or stage.advances_schedule,
            optimizer_state=stage.optimizer_state,
            sampler=stage.sampler,
            augment=_as_tuple(augment),
            **inherited,
        )

    def parameters(self) -> dict[str, str | int | float | bool]:
        """Return the settings as flat parameters: `embedding.size`, `stages.1.loss.scale` ...

        A setting that is off (None) or inherited is absent; every parameter has one type in all runs.
        """
        found: dict[str, str | int | float | bool] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name not in ("name", "stages", "seed", "safety", "log_model", "trunk"):
                flatten(found, field.name, getattr(self, field.name))
        for number, stage in enumerate(self.stages, start=1):
            for field in dataclasses.fields(stage):
                if field.name != "name":
                    flatten(found, f"stages.{number}.{field.name}", getattr(stage, field.name))
        return found

    def diff(self, other: Experiment) -> dict[str, tuple[Any, Any]]:
        """Return the parameters that differ from `other` as {name: (here, there)}; absent is None."""
        here, there = self.parameters(), other.parameters()
        names = dict.fromkeys((*here, *there))
        return {n: (here.get(n), there.get(n)) for n in names if here.get(n) != there.get(n)}

    def to_json(self) -> dict[str, Any]:
        """Return the whole spec as JSON values, seed, name and places included."""
        return dict(to_json(self))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)
