"""The values that a sweep may give a setting, and on what that depends. No Keras Tuner at import.

A value travels as what Keras Tuner knows: a number, a text or a truth value (`raw`). Choices among
anything else (parts, None, tuples) travel as their labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Union

from typing_extensions import Self

from workbench.errors import SpecError
from workbench.parts import Part, part, setting

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

GRID_SAMPLES = 10  # Keras Tuner's own number of values of a range without a step


@part
class Domain(Part):
    """The values that a sweep may give one setting."""

    only_if: Any = setting(None, doc="(setting, values): varied only where that setting has one of them")

    def when(self, name: str, *values: Any) -> Self:
        """Return this domain for trials in which the setting `name` has one of `values`."""
        return self.but(only_if=(name, values))

    def check(self) -> None:
        given = self.only_if
        if given is not None and not (len(given) == 2 and isinstance(given[0], str) and given[1]):
            raise SpecError(
                f"{given!r} is no condition", where=type(self).__name__,
                expected='.when("setting", value, ...)',
            )  # fmt: skip

    def candidates(self) -> tuple[Any, ...]:
        """Return raw values that stand for all: those of a choice, the ends of a range."""
        raise SpecError("is no set of values by itself", where=type(self).__name__)

    def decode(self, raw: Any) -> Any:
        """Return what the setting is set to for a raw value."""
        return raw

    def encode(self, value: Any) -> Any:
        """Return the raw value that means `value`; raises `SpecError` where the domain has no such value."""
        for raw in self.candidates():
            if raw == value or self.decode(raw) == value:
                return raw
        known = ", ".join(str(self.decode(raw)) for raw in self.candidates())
        raise SpecError(f"{value} is none of its values", expected=known)

    def declare(self, space: HyperParameters, name: str) -> None:
        """Make the setting known to Keras Tuner."""
        raise SpecError("is no set of values by itself", where=type(self).__name__)

    def facts(self) -> dict[str, Any]:
        """Return what analysis needs to know: the kind, and values or limits, as raw values."""
        return {"kind": type(self).__name__, "values": list(self.candidates())}


@part
class Choice(Domain):
    """One of the given values: numbers, texts, parts such as `SGD()`, or None for off."""

    values: tuple[Any, ...] = setting(positional=True, doc="what to choose from, each without a name")

    def check(self) -> None:
        super().check()
        if not self.values:
            raise SpecError("no value", where="Choice", expected="values: Choice(0, 0.1)")
        for number, value in enumerate(self.values):
            if any(value == other and type(value) is type(other) for other in self.values[:number]):
                raise SpecError(f"{value} twice", where="Choice", do="give each value once")

    def candidates(self) -> tuple[Any, ...]:
        kinds = {type(value) for value in self.values}
        if kinds <= {int, float} and len(kinds) == 2:
            return tuple(float(value) for value in self.values)
        if len(kinds) == 1 and kinds <= {int, float, str, bool}:
            return self.values
        return tuple(self._labels())

    def _labels(self) -> list[str]:
        """Return a text for each value, numbered where two would read alike."""
        texts = ["off" if value is None else str(value) for value in self.values]
        return [
            text if texts.count(text) == 1 else f"{text} #{number}"
            for number, text in enumerate(texts, start=1)
        ]

    def decode(self, raw: Any) -> Any:
        known = dict(zip(self.candidates(), self.values))
        if raw not in known:
            raise SpecError(f"{raw!r} is none of its values", where="Choice")
        return known[raw]

    def declare(self, space: HyperParameters, name: str) -> None:
        space.Choice(name, list(self.candidates()))


def _choice(self: Any, *values: Any, **settings: Any) -> None:
    _made(self, values, **settings) if values else _made(self, **{"values": (), **settings})


_made: Any = Choice.__init__
Choice.__init__ = _choice  # type: ignore[method-assign]


@part
class Boolean(Domain):
    """Off or on: False, then True."""

    def candidates(self) -> tuple[Any, ...]:
        return (False, True)

    def declare(self, space: HyperParameters, name: str) -> None:
        space.Boolean(name)


@part
class Int(Domain):
    """Whole numbers from `low` to `high`, both included."""

    low: int = setting(positional=True, doc="the smallest")
    high: int = setting(positional=True, doc="the largest")
    step: Union[int, None] = setting(
        None, at_least=1, positional=True, doc="distance (log: factor) of neighbours; None: 1, or any"
    )
    sampling: Literal["linear", "log"] = setting("linear", doc="how the range is drawn from")

    def check(self) -> None:
        super().check()
        _check_range(self)

    def candidates(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    def encode(self, value: Any) -> Any:
        return _within(self, value)

    def declare(self, space: HyperParameters, name: str) -> None:
        space.Int(name, self.low, self.high, step=self.step, sampling=self.sampling)

    def facts(self) -> dict[str, Any]:
        return _range_facts(self)


@part
class Float(Domain):
    """Numbers from `low` to `high`."""

    low: float = setting(positional=True, doc="the smallest")
    high: float = setting(positional=True, doc="the largest")
    step: Union[float, None] = setting(
        None, above=0, positional=True, doc="distance (log: factor) of neighbours; None: any"
    )
    sampling: Literal["linear", "log"] = setting("linear", doc="how the range is drawn from")

    def check(self) -> None:
        super().check()
        _check_range(self)

    def candidates(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    def encode(self, value: Any) -> Any:
        return _within(self, value)

    def declare(self, space: HyperParameters, name: str) -> None:
        space.Float(name, self.low, self.high, step=self.step, sampling=self.sampling)

    def facts(self) -> dict[str, Any]:
        return _range_facts(self)


def _check_range(domain: Int | Float) -> None:
    where = f"{type(domain).__name__}({domain.low}, {domain.high})"
    if domain.high <= domain.low:
        raise SpecError("an empty range", where=where, expected="the smallest value, then a larger one")
    if domain.sampling == "log" and domain.low <= 0:
        raise SpecError("a logarithmic range starts above 0", where=where, do="raise low or draw linearly")
    if domain.sampling == "log" and domain.step is not None and domain.step <= 1:
        raise SpecError(f"step={domain.step}", where=where, expected="with log a factor above 1")
    widest = math.inf if domain.sampling == "log" else domain.high - domain.low
    if domain.step is not None and domain.step > widest:
        raise SpecError(
            f"step={domain.step} is wider than the range", where=where, do="choose a smaller step"
        )


def _within(domain: Int | Float, value: Any) -> Any:
    if isinstance(value, (int, float)) and domain.low <= value <= domain.high:
        return value
    raise SpecError(f"{value} is outside", expected=f"{domain.low} to {domain.high}")


def _range_facts(domain: Int | Float) -> dict[str, Any]:
    return {
        "kind": type(domain).__name__,
        "min": domain.low,
        "max": domain.high,
        "step": domain.step,
        "sampling": domain.sampling,
    }


def lattice(domain: Domain) -> tuple[Any, ...] | None:
    """Return every raw value of a domain in order, None where there are too many to list."""
    if not isinstance(domain, (Int, Float)):
        return domain.candidates()
    step = domain.step if domain.step is not None else (1 if isinstance(domain, Int) else None)
    if step is None or (domain.sampling == "log" and domain.step is None):
        return None
    found: list[Any] = []
    value: float = domain.low
    while value <= domain.high * (1 + 1e-9) and len(found) <= 1000:
        found.append(value)
        value = (
            domain.low * step ** len(found) if domain.sampling == "log" else domain.low + step * len(found)
        )
    return None if len(found) > 1000 else tuple(found)
