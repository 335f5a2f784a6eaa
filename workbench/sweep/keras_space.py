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
        if domain.only_if is None:
            domain.declare(space, name)
            continue
        parent, values = domain.only_if
        raw = [sweep.domains[parent].encode(value) for value in values]
        with _conditions(sweep, space, parent), space.conditional_scope(parent, raw):
            domain.declare(space, name)
    return space


def _conditions(sweep: Sweep, space: HyperParameters, name: str) -> Any:
    """Open the scopes that the setting `name` itself stands in."""
    stack = contextlib.ExitStack()
    chain = []
    while (given := sweep.domains[name].only_if) is not None:
        chain.append(given)
        name = given[0]
    for parent, values in reversed(chain):
        raw = [sweep.domains[parent].encode(value) for value in values]
        stack.enter_context(space.conditional_scope(parent, raw))
    return stack


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
        settings = {**_condition_values(sweep, name), name: raw}
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


def _condition_values(sweep: Sweep, name: str) -> dict[str, Any]:
    """Return raw values under which a setting's condition holds."""
    found: dict[str, Any] = {}
    while (given := sweep.domains[name].only_if) is not None:
        parent, values = given
        found[parent] = sweep.domains[parent].encode(values[0])
        name = parent
    return found


def extra_parameters(sweep: Sweep, settings: Mapping[str, Any], experiment: Experiment) -> dict[str, Any]:
    """Return the varied settings that are not parameters by their own name, such as `backbone.units.1`."""
    known = experiment.parameters()
    decoded = {name: sweep.domains[name].decode(raw) for name, raw in settings.items()}
    return {
        name: value
        for name, value in decoded.items()
        if name not in known and isinstance(value, (bool, int, float, str))
    }
