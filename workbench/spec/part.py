"""What every setting-bearing class of the workbench is: a frozen, typo-proof, checked value.

A *part* (a loss, an optimizer, a data source, a stage, an experiment ...) is one frozen, keyword-only
dataclass made with `@part`. Its fields are its settings; validation, `but()`, parameters, JSON and
the documentation follow from them. Nothing here knows TensorFlow.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from typing_extensions import Self, dataclass_transform

from workbench.errors import SpecError, suggestion
from workbench.spec import custom_source, definition

CLASS, CODE = definition.CLASS, definition.CODE
REGISTRY: dict[str, type[Part]] = {}  # every part class by its name, filled as classes are defined


def setting(
    default: Any = dataclasses.MISSING,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    choices: tuple[Any, ...] | None = None,
    place: bool = False,
    later: bool = False,
    positional: bool = False,
    doc: str = "",
) -> Any:
    """Declare a setting with its limits; a value beyond them is refused when the part is made.

    Args:
        default: An immutable value; without one the setting must be given.
        above, at_least, below, at_most: Limits of a number, or of each number of a tuple.
        choices: The values that are possible, or those of each item of a tuple.
        place: It says where something is stored or how it is carried out: recorded, but no part of the identity.
        later: It was added after the first release: left out of the identity at its default, so that old
            identities hold.
        positional: It may be given without its name.
        doc: One phrase, with the unit, for messages and the generated lists.
    """
    limits = {"above": above, "at_least": at_least, "below": below, "at_most": at_most, "choices": choices}
    metadata = {**limits, "place": place, "later": later, "doc": doc}
    if isinstance(default, (list, dict, set)):
        raise TypeError("a setting's default is immutable: use a tuple")
    return dataclasses.field(default=default, metadata=metadata, kw_only=not positional)


class Inherit:
    """The type of `INHERIT`, the default of every setting that a stage may override."""

    def __repr__(self) -> str:
        return "INHERIT"

    def __reduce__(self) -> str:
        return "INHERIT"


INHERIT = Inherit()  # one value only; written to JSON as {"inherit": true}


class Part(abc.ABC):  # noqa: B024 (families have the abstract methods)
    """Base of all parts. Subclasses are made with `@part`."""

    from_number: ClassVar[str | None] = None  # "module:Class" that a plain number stands for
    variadic: ClassVar[str | None] = None  # the setting that all positional arguments together are

    def __init_subclass__(cls) -> None:
        """Make every subclass a part, `@part` or not: one that is none would train and never be reopened."""
        _make(cls)

    def check(self) -> None:  # noqa: B027 (a part may have nothing to refuse)
        """Refuse settings that do not go together; called at the end of construction."""

    def quick(self) -> Self:
        """Return the small form of this part for `--quick`; by default the part itself."""
        return self

    def but(self, **changes: Any) -> Self:
        """Return a copy with some settings changed at once; dotted names (in a dict) reach into parts."""
        known = list(self.settings())
        whole = {path: value for path, value in changes.items() if path in known}
        result = dataclasses.replace(self, **whole) if whole else self  # type: ignore[type-var]
        for path, value in changes.items():
            if path not in whole:
                result = replace(result, path, value)
        return result

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, in the order of their declaration."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __str__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


T = TypeVar("T", bound=type)


@dataclass_transform(kw_only_default=True, frozen_default=True)  # mypy wants default= by name
def part(cls: T) -> T:
    """Make a class a part: frozen, keyword-only, checked when it is made, listed by its name."""
    if not issubclass(cls, Part):
        raise SpecError(
            "is not a part",
            where=cls.__name__,
            expected="a class of a family: class Mine(Loss), class Mine(Source) ...",
        )
    return cls  # made when it was defined, by `Part.__init_subclass__`


def _make(cls: type[Part]) -> None:
    if custom_source.is_custom(cls):
        custom_source.remember(cls)
        definition.refuse(cls, REGISTRY)
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True, repr=True)(cls)
    generated = made.__init__

    def __init__(self: Any, *args: Any, **settings: Any) -> None:
        known = [field.name for field in dataclasses.fields(made)]
        for name in settings:
            if name not in known:
                raise SpecError(f"no setting {name!r}", where=made.__name__, do=suggestion(name, known))
        if args and made.variadic is not None:
            args, settings = (), {made.variadic: args, **settings}
        nameless = sum(not field.kw_only for field in dataclasses.fields(made))
        if len(args) > nameless:
            raise SpecError(
                f"{len(args)} positional arguments",
                where=made.__name__,
                expected=f"at most {nameless}",
                do="write setting=value",
            )
        try:
            generated(self, *args, **settings)
        except TypeError as error:
            raise SpecError(_plain(error, made), where=made.__name__) from error
        _validate(self)

    __init__.__doc__ = definition.args_text(made)
    # Signatures in help() and editors follow it, so that they show the settings.
    __init__.__wrapped__ = generated  # type: ignore[attr-defined]
    made.__init__ = __init__
    REGISTRY[cls.__name__] = cls


def _plain(error: TypeError, cls: type) -> str:
    """Say a constructor's complaint in the words of settings."""
    text = str(error).replace(f"{cls.__name__}.__init__() ", "")
    text = text.replace("missing 1 required keyword-only argument:", "needs the setting")
    text = text.replace("missing 1 required positional argument:", "needs the setting")
    return text.replace("required keyword-only arguments", "settings that it needs")


@functools.cache
def hints(cls: Any) -> dict[str, Any]:
    """Return the resolved types of a part's settings."""
    return typing.get_type_hints(cls)


def _validate(value: Any) -> None:
    cls: Any = type(value)
    types_ = hints(cls)
    for field in dataclasses.fields(cls):
        where = f"{cls.__name__}.{field.name}"
        given = coerce(getattr(value, field.name), types_[field.name], where)
        _limits(given, field.metadata, where)
        object.__setattr__(value, field.name, given)
    value.check()


def _limits(value: Any, limits: Mapping[str, Any], where: str) -> None:
    values = value if isinstance(value, tuple) else (value,)
    for item in values:
        if limits.get("choices") is not None and item not in limits["choices"]:
            words = [str(choice) for choice in limits["choices"]]
            raise SpecError(f"{item!r} is not possible", where=where, do=suggestion(str(item), words))
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            continue
        if not math.isfinite(item):
            raise SpecError(f"{item} is not a finite number", where=where)
        for name, words_, holds in _BOUNDS:
            bound = limits.get(name)
            if bound is not None and not holds(item, bound):
                raise SpecError(f"{item} is out of range", where=where, expected=f"a value {words_} {bound}")


_BOUNDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("above", "above", lambda value, bound: value > bound),
    ("at_least", "of at least", lambda value, bound: value >= bound),
    ("below", "below", lambda value, bound: value < bound),
    ("at_most", "of at most", lambda value, bound: value <= bound),
)


def coerce(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the type `hint`, converting only what loses nothing (1 to 1.0, list to tuple).

    Raises `SpecError` naming the setting, the value and what was expected.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, arguments, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise SpecError(
            f"{value!r} is not possible", where=where, do=suggestion(str(value), map(str, arguments))
        )
    if origin is tuple and isinstance(value, (tuple, list)):
        return _coerce_tuple(value, arguments, where)
    if hint is type(None) and value is None:
        return None
    if hint is float and _is_number(value):
        return float(value)
    if isinstance(hint, type) and origin is None and isinstance(value, hint):
        if not (hint is int and isinstance(value, bool)):  # True is an int to Python, and no number of epochs
            return value
    if _is_part(hint) and _is_number(value) and hint.from_number:
        module, _, name = hint.from_number.partition(":")
        return getattr(importlib.import_module(module), name)(value)
    raise SpecError(f"{value!r} is not possible", where=where, expected=describe(hint))


def _is_part(hint: Any) -> bool:
    # On Python 3.10 `tuple[int, ...]` counts as a type, and `issubclass` refuses it.
    return isinstance(hint, type) and typing.get_origin(hint) is None and issubclass(hint, Part)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _coerce_union(value: Any, members: tuple[Any, ...], where: str) -> Any:
    for member in members:  # an exact type first, so that a number is not converted needlessly
        if isinstance(member, type) and type(value) is member:
            return value
    first: SpecError | None = None
    for member in members:
        try:
            return coerce(value, member, where)
        except SpecError as error:
            first = first or error
    raise SpecError(
        f"{value!r} is not possible", where=where, expected=describe(typing.Union[members])
    ) from first


def _coerce_tuple(value: Any, members: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        items = [coerce(item, members[0], f"{where}[{i}]") for i, item in enumerate(value)]
        if _is_part(members[0]):
            # a number may stand for several parts in a row: `augment=(100, Cutout())` is one row of three
            items = [inner for item in items for inner in (item if isinstance(item, tuple) else (item,))]
        return tuple(items)
    if len(members) != len(value):
        raise SpecError(f"{value!r} is not possible", where=where, expected=f"{len(members)} values")
    return tuple(coerce(item, member, where) for item, member in zip(value, members))


def describe(hint: Any) -> str:
    """Say a type in words for messages and lists: `a number`, `Schedule or a number`, `off (None)`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is typing.Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple:
        return "a tuple of " + describe(arguments[0])
    words = {float: "a number", int: "a whole number", bool: "True or False", str: "a text"}
    if hint is type(None):
        return "None (off)"
    if _is_part(hint):
        return str(hint.__name__) + (" or a number" if hint.from_number else "")
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def replace(value: Any, path: str, new: Any) -> Any:
    """Return `value` with the setting at a dotted `path` changed: `stages.2.loss.scale`, 1-based."""
    name, _, rest = path.partition(".")
    if isinstance(value, tuple):
        return _replace_item(value, name, rest, new)
    if not isinstance(value, Part):
        raise SpecError(f"no setting {path!r} within {value!r}", where=path)
    known = list(value.settings())
    if name not in known:
        raise SpecError(f"no setting {name!r}", where=type(value).__name__, do=suggestion(name, known))
    inner = replace(getattr(value, name), rest, new) if rest else new
    return dataclasses.replace(value, **{name: inner})  # type: ignore[type-var]


def _replace_item(values: tuple[Any, ...], name: str, rest: str, new: Any) -> Any:
    if not name.isdigit() or not 1 <= int(name) <= len(values):
        raise SpecError(f"no item {name!r}", expected=f"a number from 1 to {len(values)}")
    position = int(name) - 1
    inner = replace(values[position], rest, new) if rest else new
    return type(values)((*values[:position], inner, *values[position + 1 :]))


def to_json(value: Any, *, identity: bool = False, codes: bool = True) -> Any:
    """Return a part as plain JSON values; with `identity` only what makes it different.

    Without `codes` the sources of parts that are not the workbench's own are left out.
    """
    if isinstance(value, Part):
        result: dict[str, Any] = {"part": type(value).__name__, **_own_facts(type(value), identity, codes)}
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            inner = getattr(value, field.name)
            hidden = field.metadata.get("place") or (field.metadata.get("later") and inner == field.default)
            if not (identity and hidden):
                result[field.name] = to_json(inner, identity=identity, codes=codes)
        return result
    if isinstance(value, (tuple, list)):
        return [to_json(item, identity=identity, codes=codes) for item in value]
    return {"inherit": True} if isinstance(value, Inherit) else value


def _own_facts(cls: type, identity: bool, codes: bool) -> dict[str, str]:
    """Return what a part of the user's is recorded with beside its name; nothing for the workbench's own."""
    if not (codes and custom_source.is_custom(cls)):
        return {}
    place = {} if identity else {CLASS: custom_source.class_path(cls)}
    return {**place, CODE: custom_source.code_of(cls)}


def from_json(value: Any, where: str = "spec", any_code: bool = False) -> Any:
    """Return the part that `to_json` (without `identity`) wrote; unknown parts are refused by name.

    A part of the user's whose source is another one now is refused too, unless with `any_code`.
    """
    if isinstance(value, list):
        return tuple(from_json(item, where, any_code) for item in value)
    if not isinstance(value, dict):
        return value
    if "inherit" in value:
        return INHERIT
    if "part" not in value:  # the run of a sweep, and imported ones, have no settings
        raise SpecError("holds no settings", where=where, expected='an object with "part"')
    cls = find(value["part"], where)
    if custom_source.is_custom(cls) != (CLASS in value) and (CLASS in value or not any_code):
        known = custom_source.class_path(cls)
        raise OtherCode(
            f"its part {value['part']} was {value.get(CLASS, 'recorded without its source')}, not {known}"
        )
    if not any_code and CODE in value and custom_source.code_of(cls) != value[CODE]:
        raise OtherCode(
            f"its part {value['part']} has the source {value[CODE]} in the record, {custom_source.code_of(cls)} now",
            where=where,
        )
    settings = {name: inner for name, inner in value.items() if name not in definition.RESERVED}
    return cls(**{name: from_json(inner, where, any_code) for name, inner in settings.items()})


class OtherCode(SpecError):
    """A part of the user's is not the one that a record was made with."""


def find(name: str, where: str | None = "spec") -> type[Part]:
    """Return the part class called `name`, importing the engine's file that holds it."""
    if name not in REGISTRY:
        package = importlib.import_module("workbench")
        if name not in package.PARTS:
            known = [*REGISTRY, *package.PARTS]
            raise SpecError(f"no part {name!r}", where=where, do=suggestion(name, known))
        getattr(package, name)
    return REGISTRY[name]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every part below `value` with its dotted path (items of tuples are 1-based)."""
    if isinstance(value, Part):
        yield path, value
        for name, inner in value.settings().items():
            yield from walk(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, tuple):
        for number, item in enumerate(value, start=1):
            yield from walk(item, f"{path}.{number}".lstrip("."))
