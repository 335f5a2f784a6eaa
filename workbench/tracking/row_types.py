"""What each field of a row may hold: the typed reader of records.

A checksum says that a line is as it was written, not that what was written makes sense: a record of another
program, or of somebody who means harm, has sound checksums too. All readers take rows through this table, so
none of them meets a text for an epoch, infinity for a moment, or a list ten thousand levels deep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from workbench.errors import RecordError
from workbench.names import STATUSES
from workbench.security.foreign_names import is_inner, is_run

MOST = 10_000_000  # epochs, stages and attempts: tables of all of them still fit memory
LARGEST = 2**53  # steps and numbers of settings that a float holds exactly
LONGEST = 1_000_000  # letters of one text
LONGEST_NAME = 1000  # letters of the name of a metric, a setting or a tag
DEEPEST = 100  # levels of lists and objects
NOT_FINITE = ("nan", "inf", "-inf")
LAST_MOMENT = 253_402_300_799  # the end of the year 9999, in seconds since 1970

Check = tuple[Callable[[Any], bool], str]


def _count(least: int, most: int = MOST) -> Check:
    # `type`, not `isinstance`: True is an int for Python.
    return lambda value: type(value) is int and least <= value <= most, f"a whole number from {least} on"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _is_number(value: Any) -> bool:
    """Tell numbers that a float can hold, and the words that stand for those that are not finite."""
    # Not `isinstance`: True is an int for Python, and no number for a record.
    if type(value) is float:
        return True
    return (type(value) is int and abs(value) <= LARGEST**3) or (
        isinstance(value, str) and value in NOT_FINITE
    )


def _is_moment(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= LAST_MOMENT


def _is_setting(value: Any) -> bool:
    return isinstance(value, bool) or _is_number(value) or _is_text(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME


def _named(inner: Callable[[Any], bool], what: str) -> Check:
    def check(value: Any) -> bool:
        return isinstance(value, Mapping) and all(_is_name(k) and inner(v) for k, v in value.items())

    return check, f"an object of {what} by name"


def _is_plain(value: Any) -> bool:
    """Tell what JSON may hold, no deeper than anybody nests on purpose; without recursion."""
    # Level by level instead of recursion: Python's own limit is what a hostile record aims at.
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (Mapping, list, tuple))
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
        if not level:
            return True
    return False


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_plain(value)


# Unknown names pass: a record of a later version holds more than this one knows.
def _has(**checks: Check) -> Callable[[Any], bool]:
    """Return the check of an object in which the given names, where they are there, hold what they should."""

    def check(value: Any) -> bool:
        return _is_object(value) and all(
            inner(value[name]) for name, (inner, _) in checks.items() if value.get(name) is not None
        )

    return check


TEXT: Check = (_is_text, "a text")
NUMBER: Check = (_is_number, "a number")
MOMENT: Check = (_is_moment, "seconds since 1970")
FLAG: Check = (lambda value: isinstance(value, bool), "true or false")
TEXTS = _named(_is_text, "texts")
NUMBERS = _named(_is_number, "numbers")
_LIST: Check = (lambda value: isinstance(value, (list, tuple)), "a list")
_OF_TEXT = "spec_path spec_file question commit diff engine folder platform processor python repository"
_FACTS = _has(
    **dict.fromkeys(_OF_TEXT.split(), TEXT),
    origins=TEXTS,
    environment=TEXTS,
    data=(_is_object, "an object"),
    steps=_count(1),
    uncommitted=FLAG,
    masked=FLAG,
)
_STAGE_FACTS = _has(
    number=_count(1),
    name=TEXT,
    epochs=_count(0),
    first_epoch=_count(1),
    steps=_count(0, LARGEST),
    batch_size=_count(0),
    breaks=(lambda value: isinstance(value, (list, tuple)) and all(map(_is_number, value)), ""),
)
_TRUNK = _has(
    run=(is_run, ""),
    epoch=_count(0),
    stage=_count(0),
    step=_count(0, LARGEST),
)


def _is_stage(value: Any) -> bool:
    return _STAGE_FACTS(value) and value.get("epochs") is not None


def _is_trunk(value: Any) -> bool:
    return value == {} or (_TRUNK(value) and {"run", "epoch"} <= set(value))


FIELDS: Mapping[str, Mapping[str, Check]] = {
    "start": {
        "run": (is_run, "a name of letters, digits and _.+=@-"),
        "attempt": _count(1),
        "from_epoch": _count(1),
        "time": MOMENT,
        "id": TEXT,
        "study": TEXT,
        "name": TEXT,
        "seed": (lambda v: type(v) is int, "a whole number"),
        "quick": FLAG,
        "parent": (lambda v: v is None or is_run(v), "the name of a run"),
        "trunk": (_is_trunk, "run and epoch"),
        "spec": (_is_object, "an object"),
        "stages": (lambda v: _LIST[0](v) and all(map(_is_stage, v)), "a list of stages"),
        "parameters": _named(_is_setting, "settings"),
        "domains": _named(_is_object, "objects"),
        "tags": TEXTS,
        "host": TEXT,
        "process": _count(0, LARGEST),
        "versions": TEXTS,
        "provenance": (_FACTS, "facts of a run"),
        "files": (lambda v: _LIST[0](v) and all(map(is_inner, v)), "relative paths that stay inside"),
    },
    "epoch": {
        "system": _named(_is_number, "numbers by name"),
        "stop": TEXT,
        "attempt": _count(1),
        "stage": _count(1),
        "stage_epoch": _count(1),
        "epoch": _count(1),
        "step": _count(0, LARGEST),
        "metrics": NUMBERS,
        "seconds": NUMBER,
        "time": MOMENT,
    },
    "checkpoint": {
        "epoch": _count(0),
        "file": (is_inner, "a relative path that stays inside"),
        "digest": TEXT,
        "step": _count(0, LARGEST),
        "attempt": _count(1),
        "time": MOMENT,
    },
    "end": {
        "status": (lambda v: v in STATUSES if isinstance(v, str) else False, "one of " + ", ".join(STATUSES)),
        "reason": TEXT,
        "final_epoch": (lambda v: v is None or _count(0)[0](v), "an epoch"),
        "attempt": _count(1),
        "time": MOMENT,
    },
}


def require(kind: str, values: Mapping[str, Any]) -> None:
    """Raise `RecordError` naming the first field of a row of `kind` that holds what it cannot."""
    for name, (fits, expected) in FIELDS[kind].items():
        if name in values and not fits(values[name]):
            shown = repr(values[name])
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            raise RecordError(f"a {kind} row holds {name}={shown}", expected=expected)
