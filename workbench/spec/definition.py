"""What is refused where a part is defined, rather than when its records are opened again."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Mapping
from types import FunctionType

from workbench.errors import SpecError
from workbench.spec import custom_source

CLASS, CODE = "class", "code"  # beside the name of a user's part in a record: where it stood, what it was
RESERVED = ("part", CLASS, CODE)


def args_text(cls: type) -> str:
    """Return the Args part of a part's constructor: each setting with its meaning, unit and default."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    if not fields:
        return "It has no settings."
    lines = []
    for field in fields:
        default = "" if field.default is dataclasses.MISSING else f" (default: {field.default})"
        lines.append(f"    {field.name}: {field.metadata.get('doc') or 'of this stage'}{default}.")
    return "\n".join(["Args:", *lines, "", "Raises:", "    SpecError: A value is not possible."])


def refuse(cls: type, known: Mapping[str, type]) -> None:
    """Refuse a part whose name is taken, or whose settings would be lost; raises `SpecError`."""
    if not custom_source.is_custom(cls):
        return
    _refuse_taken_name(cls, known)
    if "__init__" in vars(cls):
        raise SpecError(
            "defines __init__, so its settings would not be recorded",
            where=place(cls),
            expected='settings as fields: strength: float = setting(0.5, doc="...")',
            do="take __init__ away; `check(self)` is called at the end of construction",
        )
    fields = {
        field.name
        for base in cls.__mro__[1:]
        if dataclasses.is_dataclass(base)
        for field in dataclasses.fields(base)
    }
    typed = inspect.get_annotations(cls)
    for name, value in vars(cls).items():
        if name in typed or name.startswith("__") or isinstance(value, FunctionType):
            continue
        if name in fields or isinstance(value, dataclasses.Field):
            raise SpecError(
                f"its setting {name!r} has no type, so it would not be recorded",
                where=place(cls),
                expected=f"{name}: float = setting(...), with its own type",
            )
    for name in RESERVED:
        if name in typed:
            raise SpecError(
                f"a setting cannot be called {name!r}", where=place(cls), do="give it another name"
            )


def _refuse_taken_name(cls: type, known: Mapping[str, type]) -> None:
    import workbench

    name, other = cls.__name__, known.get(cls.__name__)
    own = f"My{name}"
    if name in workbench.PARTS or (other is not None and not custom_source.is_custom(other)):
        raise SpecError(
            f"the name {name} is taken by the workbench's own part workbench.{name}",
            where=place(cls),
            do=f"give the class another name, such as {own}; records, labels and `--set` know parts by their names",
        )
    if other is not None and _is_another(cls, other):
        raise SpecError(
            f"the name {name} is taken by another part, in {place(other)}",
            where=place(cls),
            do=f"give one of them another name, such as {own}, or let both files import one class",
        )


def _is_another(cls: type, other: type) -> bool:
    """Tell whether `other` still stands beside `cls`, rather than being it as defined before or elsewhere."""
    if "<locals>" in cls.__qualname__ + other.__qualname__:
        return False
    space = vars(sys.modules.get(other.__module__, object))
    if space.get(other.__name__) is not other:
        return False
    if cls.__module__ == other.__module__:
        return _stand_in_one_text(cls, other)
    return custom_source.custom_text(cls) != custom_source.custom_text(other)


def _stand_in_one_text(cls: type, other: type) -> bool:
    """Tell whether both classes stand in one file at different places: a reload or a cell run again is none."""
    now, before = custom_source.defined(cls), custom_source.defined(other)
    if now is None or before is None or now.source.name != before.source.name:
        return False
    return now.source.text == before.source.text and now.line != before.line


def place(cls: type) -> str:
    """Return where a class is defined in words: `experiments/mine.py, line 12 (class Mine)`."""
    found = custom_source.defined(cls)
    return (
        f"{found.source.name}, line {found.line} (class {cls.__name__})" if found else f"class {cls.__name__}"
    )
