"""A sweep's space in the words of others: Keras Tuner's declarations, the domains and parameters of records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workbench.errors import SpecError
from workbench.spec.experiment import Experiment
from workbench.spec.part import replace
from workbench.sweep.search_space import Domain, Range, grid, lattice

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

    from workbench.sweep.spec import Sweep

LISTED = 64  # values of a stepped range that are listed one by one as a domain


def declared(sweep: Sweep, space: HyperParameters) -> HyperParameters:
    """Make all settings of a sweep known to `space`, conditional ones under their conditions; return it."""
    for name, domain in sweep.space:
        with contextlib.ExitStack() as scopes:
            # From the outermost in: Keras Tuner finds a setting only within the scopes that it was declared in.
            for parent, raws in reversed(conditions(sweep, name)):
                scopes.enter_context(space.conditional_scope(parent, raws))
            domain.declare(space, name)
    return space


def conditions(sweep: Sweep, name: str) -> list[tuple[str, list[Any]]]:
    """Return what the setting `name` depends on, and that in turn: settings, each with the raw values it may have."""
    found = []
    while (given := sweep.domains[name].only_if) is not None:
        name, values = given
        found.append((name, [sweep.domains[name].encode(value) for value in values]))
    return found


def combinations(sweep: Sweep, space: HyperParameters) -> Iterator[dict[str, Any]]:
    """Yield the combinations of a grid in order, ranges at the values that Keras Tuner lists for them."""
    listed = {hp.name: tuple(hp.values) for hp in space.space}
    return grid(listed, sweep.space)


def base_values(sweep: Sweep) -> dict[str, Any]:
    """Return the raw value that leaves the base as it is, of each varied setting whose domain has one."""
    known, found = sweep.base.parameters(), {}
    for name, domain in sweep.space:
        own = [value for key, value in known.items() if key == name or key.startswith(f"{name}.")]
        for raw in (*own, *(lattice(domain) or ())):
            # A value may be none of the domain's, or not fit the base: then the next one is looked at.
            with contextlib.suppress(SpecError):
                if replace(sweep.base, name, domain.decode(domain.encode(raw))) == sweep.base:
                    found[name] = domain.encode(raw)
                    break
    return found


def domains_of(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """Return the values that parameters may take in this sweep, as records know them."""
    base = sweep.base.parameters()
    found: dict[str, dict[str, Any]] = {}
    for name, domain in sweep.space:
        raws, ranged = _shown(domain)
        for parameter, values in _seen(sweep, name, raws, base).items():
            if ranged and not any(isinstance(value, (bool, str)) for value in values):
                found[parameter] = {"min": min(values), "max": max(values)}
            else:
                known = found.get(parameter, {}).get("values", [])
                found[parameter] = {"values": list(dict.fromkeys([*known, *values]))}
    return found


def _seen(sweep: Sweep, name: str, raws: tuple[Any, ...], base: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each parameter that the values of one setting change."""
    seen: dict[str, list[Any]] = {}
    for raw in raws:
        # Values under which its condition holds: without them the setting would have no effect to be seen.
        settings = {**{parent: own[0] for parent, own in conditions(sweep, name)}, name: raw}
        experiment = sweep.experiment(settings)
        parameters = {**experiment.parameters(), **extra_parameters(sweep, settings, experiment)}
        for parameter, value in parameters.items():
            inside = parameter == name or parameter.startswith(f"{name}.")
            if inside or base.get(parameter) != value:
                seen.setdefault(parameter, []).append(value)
    return seen


def _shown(domain: Domain) -> tuple[tuple[Any, ...], bool]:
    raws = lattice(domain)
    if isinstance(domain, Range) and (raws is None or len(raws) > LISTED):
        return domain.candidates(), True
    return raws or (), False


def extra_parameters(sweep: Sweep, settings: Mapping[str, Any], experiment: Experiment) -> dict[str, Any]:
    """Return the varied settings that are not parameters by their own name, such as `backbone.units.1`."""
    known = experiment.parameters()
    decoded = {name: sweep.domains[name].decode(raw) for name, raw in settings.items()}
    return {
        name: value
        for name, value in decoded.items()
        if name not in known and isinstance(value, (bool, int, float, str))
    }
