"""The images of a run: the sources of all its stages and its evaluation sets, opened once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.data import pipeline, samplers
from workbench.data.pairs import in_both
from workbench.errors import DataError, InputError
from workbench.lazy import tf
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import PairSet, Places, Source
from workbench.spec.plan import Plan
from workbench.spec.watchers import Evaluation

if TYPE_CHECKING:
    from workbench.data.pipeline import Split
    from workbench.verification.custom_evaluation import CustomEvaluator
    from workbench.verification.evaluator import Evaluator


class RunData:
    """Everything a run reads. `limit` bounds the steps of an epoch (`--quick`, `check`).

    `meant` is the experiment that a trial with smaller batches stands for: losses judge the data by its
    batch sizes, as few images find a second one of their identity in a small batch.
    """

    def __init__(
        self, experiment: Experiment, where: Places, limit: int | None = None, meant: Experiment | None = None
    ) -> None:
        plans = experiment.plans()
        self.size = experiment.backbone.image_size
        self.limit = limit

        # Evaluation sets first: who is in them decides whom the training sources must leave out.
        self.evaluators = [_evaluator(part, where, experiment.data, self.size) for part in experiment.sets]
        self.held_out = frozenset(name for evaluator in self.evaluators for name in evaluator.held_out)
        self.splits: dict[Any, Split] = {}
        for plan in plans:
            # Stages that share a source share its opened form; an index of millions of images is read once.
            if plan.data not in self.splits:
                split = pipeline.open_split(plan.data, where, experiment.seed)
                # Held out before the check for strangers, which would otherwise refuse the very people just left out.
                self.splits[plan.data] = without(split, self.held_out)
                self._refuse_strangers(plan.data)
        # After the sources: validation is labelled by their numbering of identities.
        self.validation = self._open_validation(experiment, where)
        self._hold_outs: dict[Any, tf.data.Dataset] = {}  # by source and batch size
        # Last, with everything open: whether a batch can be filled depends on what was left out.
        for plan, real in zip(plans, (meant or experiment).plans()):
            self._check(plan, real)

    def _refuse_strangers(self, source: Source) -> None:
        """Refuse a source with people of an evaluation set that must not be in training."""
        known = set(self.splits[source].images.identities)
        for evaluator in self.evaluators:
            common = sorted(evaluator.pairs.strangers & known)
            if common:
                raise DataError(
                    in_both(common),
                    where=f"evaluation set {evaluator.name!r}",
                    expected="people that training never sees",
                    do="train on ImageFolder(leave_out=PeopleOf(the set)), or set overlap='warn' at the set",
                )

    def _open_validation(self, experiment: Experiment, where: Places) -> dict[Any, Split]:
        """Return the validation images for each source, labelled as that source labels its identities."""
        if experiment.validation is None:
            return {}
        opened = pipeline.open_split(experiment.validation, where, experiment.seed)
        return {source: matched(opened, split, self.held_out) for source, split in self.splits.items()}

    def _check(self, plan: Plan, real: Plan) -> None:
        split, where = self.splits[plan.data], f"stage {plan.number} ({plan.name})"
        if len(split.train) < plan.batch_size:
            raise InputError(
                f"{len(split.train)} training images are fewer than batch_size={plan.batch_size}",
                where=where,
                do="choose a smaller batch_size",
            )
        if isinstance(plan.sampler, samplers.MinedTriplets) and plan.batch_size % 3:
            raise InputError(
                f"triplets in batches of {plan.batch_size}", where=where, expected="a multiple of 3"
            )
        try:
            labels, sampled = split.images.labels[split.train], plan.sampler is not None
            if real.sampler is not None:
                real.sampler.fits(real.batch_size)
            plan.loss.check_data(labels, real.batch_size, sampled, split.images.teacher_size)
        except InputError as error:
            # The same class, for its exit status; the stage's name is what the loss could not know.
            raise type(error)(str(error), where=where) from error

    @property
    def notes(self) -> list[str]:
        """What the sources have to say before the training: skipped files, overlaps ..."""
        found = [note for split in self.splits.values() for note in split.images.notes]
        found += [note for split in self.validation.values() for note in split.images.notes]
        return list(dict.fromkeys(found + [note for e in self.evaluators for note in e.notes]))

    @property
    def fingerprints(self) -> dict[str, str]:
        """The content of every source and set, by a name a person knows."""
        found = {str(source): split.images.fingerprint for source, split in self.splits.items()}
        if self.validation:
            found["validation"] = next(iter(self.validation.values())).images.fingerprint
        return {**found, **{evaluator.name: evaluator.fingerprint for evaluator in self.evaluators}}

    def described(self) -> list[dict[str, Any]]:
        """Return every source and set as a reader of the record wants it: what it is for, its counts, its content."""
        found = []
        for source, split in self.splits.items():
            found.append(
                {
                    "name": type(source).__name__,
                    "context": "training",
                    "source": str(source),
                    "fingerprint": split.images.fingerprint,
                    "images": len(split.train),
                    "identities": len(split.images.identities),
                    "held_out": len(split.held),
                }
            )
        for split in list(self.validation.values())[:1]:
            found.append(
                {
                    "name": "validation",
                    "context": "validation",
                    "source": "validation",
                    "fingerprint": split.images.fingerprint,
                    "images": len(split.held),
                    "identities": len(split.images.identities),
                }
            )
        for evaluator in self.evaluators:
            found.append(
                {
                    "name": evaluator.name,
                    "context": "evaluation",
                    "source": evaluator.name,
                    "fingerprint": evaluator.fingerprint,
                    "pairs": len(evaluator.same),
                    "images": len(evaluator.pixels),
                }
            )
        return found

    def classes(self, plan: Plan) -> int:
        """Return the number of identities of a stage's data."""
        return len(self.splits[plan.data].images.identities)

    def teacher_size(self, plan: Plan) -> int | None:
        """Return how many numbers a teacher's vector has in a stage's data, None without a teacher."""
        return self.splits[plan.data].images.teacher_size

    def identities(self, plan: Plan) -> tuple[str, ...]:
        """Return the names of the identities of a stage's data, in the order of their labels."""
        return self.splits[plan.data].images.identities

    def name(self, plan: Plan, record: int) -> str:
        """Return the image id of a record of a stage's data."""
        return str(self.splits[plan.data].images.names[record])

    def steps(self, plan: Plan) -> int:
        """Return the optimizer steps of one epoch of a stage."""
        steps = len(self.splits[plan.data].train) // plan.batch_size
        return min(steps, self.limit) if self.limit else steps

    def training(
        self,
        plan: Plan,
        seed: int,
        start: int,
        mined: np.ndarray | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Return the stage's batches from step `start` of the stage on, those of `mined` triplets if given.

        `shard` = (k, n) gives the k-th of n equal parts of each batch.
        """
        split, steps = self.splits[plan.data], self.steps(plan)
        draw = None if mined is None else samplers.shuffled(mined, steps * plan.batch_size, seed)
        return pipeline.training(
            split.images, split.train, plan, self.size, seed, steps, start, shard=shard, draw=draw
        )

    def mine(self, plan: Plan, network: Any, seed: int, epoch: int) -> np.ndarray:
        """Return the record numbers [T, 3] of the triplets that `network` gets wrong before global `epoch`."""
        split = self.splits[plan.data]
        assert isinstance(plan.sampler, samplers.MinedTriplets)

        def embed(records: np.ndarray) -> np.ndarray:
            return pipeline.embeddings(network, split.images, records, self.size)

        return plan.sampler.mine(embed, split.images.labels, split.train, seed, epoch)

    def blame(self, plan: Plan) -> Exception | None:
        """Return the error that names the first broken image of a stage, after reading has failed."""
        split = self.splits[plan.data]
        return split.images.blame(split.train.tolist()) if split.images.blame is not None else None

    def held(self, plan: Plan) -> Split:
        """Return the split whose `held` records a stage measures its classifier on: the validation set's, or its own."""
        return self.validation.get(plan.data, self.splits[plan.data])

    def hold_out(self, plan: Plan) -> tf.data.Dataset | None:
        """Return the batches of the validation set or the hold-out split, or None where there is none."""
        split = self.held(plan)
        if not len(split.held):
            return None
        # Built once for all epochs: each building traces its functions anew, and TensorFlow keeps them all.
        key = (plan.data, plan.batch_size)
        if key not in self._hold_outs:
            self._hold_outs[key] = pipeline.holdout(split.images, split.held, plan.batch_size, self.size)
        return self._hold_outs[key]


def without(split: Split, held_out: Iterable[str]) -> Split:
    """Return the split without the identities of evaluation sets, the others numbered anew."""
    names = split.images.identities
    gone = set(held_out) & set(names)
    if not gone:
        return split
    kept = [number for number, name in enumerate(names) if name not in gone]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} identities are left for training", do="hold fewer identities out")
    # Labels are numbered without gaps: a head has one row a class, and an empty one would still be pushed away.
    new = np.full(len(names), -1, np.int32)
    new[kept] = np.arange(len(kept), dtype=np.int32)
    labels, true, wrong = new[split.images.labels], split.images.true_labels, split.images.mislabelled
    if true is not None:  # an image of somebody held out stays out under a wrong label too
        labels[new[true] < 0] = -1
        true = new[true]
    images = dataclasses.replace(
        split.images,
        labels=labels,
        identities=tuple(names[number] for number in kept),
        true_labels=true,
        mislabelled=None if wrong is None else wrong[labels[wrong] >= 0],
    )
    train, held = (records[labels[records] >= 0] for records in (split.train, split.held))
    return split._replace(images=images, train=train, held=held)


def matched(validation: Split, split: Split, held_out: Iterable[str]) -> Split:
    """Return a validation set with the labels that a source gives to the identities of the same names.

    Images of identities that evaluation sets hold out of training are left out. Raises `DataError` for
    identities that training does not know.
    """
    numbers = {name: number for number, name in enumerate(split.images.identities)}
    given, gone = validation.images.identities, set(held_out)
    unknown = [name for name in given if name not in numbers and name not in gone]
    if unknown:
        raise DataError(
            f"{len(unknown)} of its {len(given)} identities are not in the training data, {unknown[0]!r} first",
            where="validation",
            expected="images of the identities that are trained, under the same names",
        )
    new = np.array([numbers.get(name, -1) for name in given], np.int32)
    labels = new[validation.images.labels]
    images = dataclasses.replace(validation.images, labels=labels, identities=split.images.identities)
    # All of it held, none for training: a validation set passes through the same type as a split source.
    every = np.arange(len(labels))
    return validation._replace(images=images, train=every[:0], held=every[labels >= 0])


def _evaluator(part: PairSet, where: Places, data: Source, size: int) -> Evaluator | CustomEvaluator:
    from workbench.verification.custom_evaluation import CustomEvaluator
    from workbench.verification.evaluator import Evaluator

    if isinstance(part, Evaluation):
        return CustomEvaluator(part, where, data)
    return Evaluator.open(part, where, data, size)
