"""The errors of the workbench: one clear line each, and the exit status that goes with it.

Every error that a user can cause says four things: what came, where, what was expected and what to
do. `InputError` puts them into one line; the command line prints that line and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class WorkbenchError(Exception):
    """Anything that ends a command on purpose; `exit_status` is what the process ends with."""

    exit_status = 1


class RunFailed(WorkbenchError):
    """A training ended before its last epoch (exit status 1); the reason is in its record."""


class RunStopped(WorkbenchError):
    """A training was stopped at a safe point and can be resumed (exit status 75)."""

    exit_status = 75


class RunKilled(RunStopped):
    """A training was stopped by Ctrl-C after its epoch; it can be resumed (exit status 130)."""

    exit_status = 130


class InputError(WorkbenchError):
    """Bad input (exit status 2), reported in one line.

    `what` says what came, `where` names the file, field or line, `expected` what would have been
    right and `do` the next step for the user. Line breaks are folded, so that it stays one line.
    """

    exit_status = 2

    def __init__(
        self, what: str, *, where: object = None, expected: str | None = None, do: str | None = None
    ) -> None:
        self.what, self.where, self.expected, self.do = what, where, expected, do
        line = f"{where}: {what}" if where is not None else what
        if expected:
            line += f"; expected {expected}"
        if do:
            line += f"; {do}"
        super().__init__(" ".join(line.split()))


class SpecError(InputError):
    """A setting, or a spec file, that cannot be used."""


class DataError(InputError):
    """Images, pairs or lists that are missing, broken or contradict each other."""


class StoreError(InputError):
    """A place of records that cannot be read or written."""


class RecordError(InputError):
    """A run, journal or checkpoint that does not exist, is damaged or does not fit."""


def few(items: Sequence[object], most: int = 3) -> str:
    """Return some of many things in words: `a, b, c and 4 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of the `known` names that look like `name`, the best first."""
    import difflib  # 3 ms of a start, for a misspelt name alone

    choices = list(dict.fromkeys(known))
    folded = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), folded, n=count, cutoff=0.55)
    return [folded[match] for match in close]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the closing words of a message about a misspelt `name`: near matches, else all."""
    choices = list(dict.fromkeys(known))
    close = nearest(name, choices)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "choose one of " + ", ".join(sorted(choices)) if choices else "there is nothing to choose"
