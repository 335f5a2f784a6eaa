"""The values that a sweep may give a setting, and on what that depends. No Keras Tuner at import.

A value travels as what Keras Tuner knows: a number, a text or a truth value (`raw`). Choices among
anything else (parts, None, tuples) travel as their labels.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union

from typing_extensions import Self

from workbench.errors import SpecError
from workbench.spec.part import Part, part, setting

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

LISTED = 1000  # values of a stepped range that are listed one by one


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
                f"{given!r} is not a condition",
                where=type(self).__name__,
                expected='.when("setting", value, ...)',
            )

    @abc.abstractmethod
    def candidates(self) -> tuple[Any, ...]:
        """Return raw values that stand for all: those of a choice, the ends of a range."""

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

    @abc.abstractmethod
    def declare(self, space: HyperParameters, name: str) -> None:
        """Make the setting known to Keras Tuner."""

    def facts(self) -> dict[str, Any]:
        """Return what analysis needs to know: the kind, and values or limits, as raw values."""
        return {"kind": type(self).__name__, "values": list(self.candidates())}


@part
class Choice(Domain):
    """One of the given values: numbers, texts, parts such as `SGD()`, or None for off."""

    variadic: ClassVar[str | None] = "values"

    values: tuple[Any, ...] = setting((), positional=True, doc="what to choose from, each without a name")

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


@part
class Boolean(Domain):
    """Off or on: False, then True."""

    def candidates(self) -> tuple[Any, ...]:
        return (False, True)

    def declare(self, space: HyperParameters, name: str) -> None:
        space.Boolean(name)


@part
class Range(Domain):
    """Numbers from `low` to `high`, which `Int` and `Float` give their type."""

    low: Any = setting(positional=True, doc="the smallest")
    high: Any = setting(positional=True, doc="the largest")
    step: Any = setting(None, positional=True, doc="distance (log: factor) of neighbours")
    sampling: Literal["linear", "log"] = setting("linear", doc="how the range is drawn from")

    unit: ClassVar[int | None] = None  # distance of neighbours where no step is given

    def check(self) -> None:
        super().check()
        kind, log = type(self).__name__, self.sampling == "log"
        where = f"{kind}({self.low}, {self.high})"
        if self.high <= self.low:
            raise SpecError("an empty range", where=where, expected="the smallest value, then a larger one")
        if log and self.low <= 0:
            raise SpecError(
                "a logarithmic range starts above 0", where=where, do="raise low or draw linearly"
            )
        if self.step is None:
            return
        if log and self.step <= 1:
            raise SpecError(f"step={self.step}", where=where, expected="with log a factor above 1")
        if not log and self.step > self.high - self.low:
            raise SpecError(
                f"step={self.step} is wider than the range", where=where, do="choose a smaller step"
            )

    def candidates(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    def encode(self, value: Any) -> Any:
        if isinstance(value, (int, float)) and self.low <= value <= self.high:
            return value
        raise SpecError(f"{value} is outside", expected=f"{self.low} to {self.high}")

    def declare(self, space: HyperParameters, name: str) -> None:
        declare = getattr(space, type(self).__name__)  # Keras Tuner's names are ours
        declare(name, self.low, self.high, step=self.step, sampling=self.sampling)

    def facts(self) -> dict[str, Any]:
        limits = {"min": self.low, "max": self.high, "step": self.step, "sampling": self.sampling}
        return {"kind": type(self).__name__, **limits}

    def listed(self) -> tuple[Any, ...] | None:
        """Return the values that steps reach, None where there is no step or they are above a thousand."""
        log = self.sampling == "log"
        step = self.step if self.step is not None or log else self.unit
        if step is None:
            return None
        found: list[Any] = []
        value = self.low
        while value <= self.high * (1 + 1e-9) and len(found) <= LISTED:
            found.append(value)
            value = self.low * step ** len(found) if log else self.low + step * len(found)
        return None if len(found) > LISTED else tuple(found)


@part
class Int(Range):
    """Whole numbers from `low` to `high`, both included."""

    low: int = setting(positional=True, doc="the smallest")
    high: int = setting(positional=True, doc="the largest")
    step: Union[int, None] = setting(
        None, at_least=1, positional=True, doc="distance (log: factor) of neighbours; None: 1, or any"
    )

    unit: ClassVar[int | None] = 1


@part
class Float(Range):
    """Numbers from `low` to `high`."""

    low: float = setting(positional=True, doc="the smallest")
    high: float = setting(positional=True, doc="the largest")
    step: Union[float, None] = setting(
        None, above=0, positional=True, doc="distance (log: factor) of neighbours; None: any"
    )


def lattice(domain: Domain) -> tuple[Any, ...] | None:
    """Return every raw value of a domain in order, None where there are too many to list."""
    return domain.listed() if isinstance(domain, Range) else domain.candidates()


def is_active(domain: Domain, chosen: Mapping[str, Any], domains: Mapping[str, Domain]) -> bool:
    """Tell whether a setting's condition holds among the raw values chosen so far."""
    if domain.only_if is None:
        return True
    parent, wanted = domain.only_if
    return parent in chosen and chosen[parent] in {domains[parent].encode(value) for value in wanted}


def grid(
    values: Mapping[str, tuple[Any, ...]], space: tuple[tuple[str, Domain], ...]
) -> Iterator[dict[str, Any]]:
    """Yield every combination of raw values, conditional settings only where their condition holds."""

    def grow(number: int, chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if number == len(space):
            yield dict(chosen)
            return
        name, domain = space[number]
        if not is_active(domain, chosen, dict(space)):
            yield from grow(number + 1, chosen)
            return
        for value in values[name]:
            yield from grow(number + 1, {**chosen, name: value})

    return grow(0, {})
