"""When two stages, networks or switches need one trial only: what `workbench check` tries once of each kind."""

from __future__ import annotations

from typing import Any

from workbench.spec.interfaces import terms
from workbench.spec.part import Part
from workbench.spec.plan import Plan


def _update(plan: Plan) -> tuple[Any, ...]:
    """Return what decides how a stage's step updates the weights."""
    how = (plan.optimizer, plan.optimizer_state, plan.weight_decay)
    return (plan.loss, plan.label_smoothing, plan.train, *how)


def stage_key(plan: Plan) -> tuple[Any, ...]:
    """Return what makes a stage's step another one; rates and lengths do not."""
    images = (plan.augment, plan.sampler, plan.batch_size, plan.data)
    return (*_update(plan), type(plan.schedule), *images)


def kinds(plan: Plan) -> set[Any]:
    """Return what a stage's step tries: its loss and update, and apart from them its data, images and rates."""
    return {
        ("step", kind(_update(plan))),
        ("data", kind((plan.data, plan.sampler))),
        ("augment", kind(plan.augment)),
        ("schedule", type(plan.schedule)),
    }


def handed(plan: Plan) -> tuple[Any, ...]:
    """Return what a switch between two stages depends on: what the trainer hands on from one to the other."""
    names = tuple(type(term.loss).__name__ for term in terms(plan.loss))
    head = plan.loss.classifier()
    return (names, kind(head), plan.train, type(plan.optimizer).__name__, plan.optimizer_state)


def family(network: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the classes of a backbone and an embedding, and the precision."""
    backbone, embedding, precision = network
    return (type(backbone).__name__, type(embedding).__name__, precision)


def kind(value: Any) -> Any:
    """Return a value with its numbers left out, but for whether they are zero; equal kinds make equal graphs."""
    if isinstance(value, Part):
        return (type(value).__name__, *(kind(inner) for inner in value.settings().values()))
    if isinstance(value, tuple):
        return tuple(kind(item) for item in value)
    return bool(value) if isinstance(value, (int, float)) else value
